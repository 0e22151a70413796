/** This user's own key and certificate: made once, kept in the home folder, never replaced behind anyone's back. */
import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { identityFromPem } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import { ParleyError } from '../protocol/errors.js';

/** Key and certificate stand in one file, so that they can only appear, be copied and be lost together. */
export const IDENTITY_FILE = 'identity.pem';

const PRIVATE_KEY = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/;

/**
 * The identity kept in `home`; made at the first call. Processes that race end with the same one.
 * @throws ParleyError STATE_DAMAGED when the file is there but cannot be used: it is never made anew, since everyone who
 * pinned the old key would take the new one for an attack
 */
export async function loadIdentity(home: string): Promise<Identity> {
  const path = join(home, IDENTITY_FILE);
  await mkdir(home, { recursive: true, mode: 0o700 });
  await chmod(home, 0o700);
  return (await readIdentity(path)) ?? (await createIdentity(home, path));
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw damaged(path, (cause as Error).message, cause);
  }
  const key = PRIVATE_KEY.exec(text)?.[0];
  const certificate = CERTIFICATE.exec(text)?.[0];
  if (key === undefined || certificate === undefined) throw damaged(path, 'it lacks a private key or a certificate');
  try {
    const identity = identityFromPem(key, certificate);
    // A restored backup may have come back readable for others.
    await chmod(path, 0o600);
    return identity;
  } catch (cause) {
    throw damaged(path, 'its key and certificate cannot be read, or do not belong together', cause);
  }
}

function damaged(path: string, reason: string, cause?: unknown): ParleyError {
  const next = 'restore it from a backup; or move it away for a new key, which others will have to trust anew';
  return new ParleyError('STATE_DAMAGED', { path, reason, next }, { cause });
}

function makeInThread(): Promise<Identity> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./identityworker.js', import.meta.url), { execArgv: [] });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread that makes the key ended')));
  });
}

/** Written whole under another name, then linked to its own: a link never replaces, so the first of racing processes wins. */
async function createIdentity(home: string, path: string): Promise<Identity> {
  const made = await makeInThread();
  const temporary = join(home, `.${IDENTITY_FILE}.${randomBytes(8).toString('hex')}`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await file.writeFile(made.privateKeyPem + made.certificatePem);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    });
  } finally {
    await unlink(temporary);
  }
  const folder = await open(home, 'r');
  // Not every platform can sync a folder; the file itself is on disk already.
  await folder.sync().catch(() => undefined);
  await folder.close();
  const kept = await readIdentity(path);
  if (kept === undefined) throw damaged(path, 'it went away while it was made');
  return kept;
}
