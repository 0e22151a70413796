// Builds when dist is older than what it is made of. npm runs `prepare` also when `npx` links this checkout into its cache,
// and a build then would pull the files from under a server that is running.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const newest = (folder) =>
  Math.max(
    ...readdirSync(folder, { recursive: true }).map((name) => statSync(join(folder, name)).mtimeMs),
    statSync(folder).mtimeMs,
  );

function isFresh() {
  try {
    const built = statSync(join(root, 'dist', '.built')).mtimeMs;
    const sources = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'].map((name) => join(root, name));
    return built > Math.max(newest(join(root, 'src')), ...sources.map((path) => statSync(path).mtimeMs));
  } catch {
    return false;
  }
}

if (!isFresh()) process.exitCode = spawnSync('npm run build', { cwd: root, stdio: 'inherit', shell: true }).status ?? 1;
