// Makes the compiled commands executable, and puts them into this checkout's own node_modules/.bin:
// npm links the bins of dependencies, never those of the root. Last, it notes when all was built, for scripts/prepare.js.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const binDirectory = join(root, 'node_modules', '.bin');

for (const [name, file] of Object.entries(bin)) {
  const target = join(root, file);
  if (!existsSync(target)) continue;
  chmodSync(target, 0o755);
  if (process.platform === 'win32' || !existsSync(join(root, 'node_modules'))) continue;
  mkdirSync(binDirectory, { recursive: true });
  const link = join(binDirectory, name);
  rmSync(link, { force: true });
  symlinkSync(relative(binDirectory, target), link);
}

writeFileSync(join(root, 'dist', '.built'), '');
