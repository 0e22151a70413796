/** Folders for tests: made from a list, and listed again to be compared. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Paths and bytes; `null` is an empty folder. */
export type Tree = Readonly<Record<string, Buffer | string | null>>;

export function makeTree(root: string, tree: Tree): void {
  mkdirSync(root, { recursive: true });
  for (const [path, bytes] of Object.entries(tree)) {
    const at = join(root, path);
    mkdirSync(bytes === null ? at : dirname(at), { recursive: true });
    if (bytes !== null) writeFileSync(at, bytes);
  }
}

/** Everything below a folder: `path/` for a folder, else the bytes in base64; links by what they are. */
export function listTree(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (path: string): void => {
    for (const name of readdirSync(join(root, path)).sort()) {
      const below = path === '' ? name : `${path}/${name}`;
      const stats = lstatSync(join(root, below));
      if (stats.isDirectory()) {
        found[`${below}/`] = '';
        walk(below);
      } else if (stats.isFile()) found[below] = readFileSync(join(root, below)).toString('base64');
      else found[below] = stats.isSymbolicLink() ? 'link' : 'other';
    }
  };
  walk('');
  return found;
}
