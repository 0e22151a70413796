#!/usr/bin/env node
/** The executable `server`. */
import { readFileSync } from 'node:fs';
import { errorJson, toParleyError } from '../protocol/errors.js';
import type { ServeConfig } from './config.js';
import { runProgram } from './program.js';
import type { AdminAction, UserAction } from './program.js';

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);
// Whoever read the output has gone; the server goes on.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : '?';
}

// The rest is loaded when it is known what for: help and complaints come at once.
async function serve(config: ServeConfig): Promise<number> {
  const { serve: run } = await import('./serve.js');
  const { openSqlite } = await import('./storage/sqlite.js');
  return run(config, {
    openStorage: (dataDir) => openSqlite({ dataDir, role: 'server' }),
    print,
    complain,
    version: version(),
  });
}

async function user(action: UserAction): Promise<number> {
  const { runUserAction } = await import('./users.js');
  const { openSqlite } = await import('./storage/sqlite.js');
  const { readPassword } = await import('./prompt.js');
  const { Passwords } = await import('./auth/passwords.js');
  return told(action.json, async () => {
    const storage = await openSqlite({ dataDir: action.dataDir, role: 'tool' });
    try {
      await runUserAction(action, { storage, passwords: () => Passwords.create(), readPassword, print });
    } finally {
      await storage.close();
    }
  });
}

async function admin(action: AdminAction): Promise<number> {
  const { runAdminAction } = await import('./admin/run.js');
  return told(action.json, () => runAdminAction(action, print));
}

/** Its exit code; what went wrong is told as a sentence, or as a line of JSON. */
async function told(json: boolean, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (thrown) {
    const error = toParleyError(thrown);
    complain(json ? JSON.stringify(errorJson(error)) : `server: ${error.message}`);
    return error.exitCode;
  }
}

process.exitCode = await runProgram(process.argv.slice(2), version(), { serve, user, admin });
