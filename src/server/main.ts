#!/usr/bin/env node
/** The executable `server`. */
import { readFileSync } from 'node:fs';
import { toParleyError } from '../protocol/errors.js';
import { Passwords } from './auth/passwords.js';
import { runProgram } from './program.js';
import type { UserAction } from './program.js';
import { readPassword } from './prompt.js';
import { serve } from './serve.js';
import { openSqlite } from './storage/sqlite.js';
import { runUserAction } from './users.js';

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);
// Whoever read the output has gone; the server goes on.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : '?';
}

async function user(action: UserAction): Promise<number> {
  try {
    const storage = await openSqlite({ dataDir: action.dataDir, role: 'tool' });
    try {
      await runUserAction(action, { storage, passwords: await Passwords.create(), readPassword, print });
    } finally {
      await storage.close();
    }
    return 0;
  } catch (thrown) {
    const error = toParleyError(thrown);
    complain(`server: ${error.message}`);
    return error.exitCode;
  }
}

const openStorage = (dataDir: string): ReturnType<typeof openSqlite> => openSqlite({ dataDir, role: 'server' });

process.exitCode = await runProgram(process.argv.slice(2), version(), {
  serve: (config) => serve(config, { openStorage, print, complain }),
  user,
});
