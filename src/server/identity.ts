/** The server's own key and certificate: made at the first start, kept in the data folder, what clients pin. */
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { identityFromPem, makeIdentity } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import { ParleyError } from '../protocol/errors.js';

const KEY_FILE = 'server.key.pem';
const CERTIFICATE_FILE = 'server.cert.pem';
const PRIVATE_MODE = 0o600;

/**
 * The identity kept in the data folder, which the caller has to itself; made when there is none.
 * @throws ParleyError STATE_DAMAGED when the key is there but cannot be used: it is never made anew, since every client that
 * pinned the old one would take the new one for an attack; DISK_FULL
 */
export async function loadServerIdentity(dataDir: string): Promise<Identity> {
  const keyPath = join(dataDir, KEY_FILE);
  const certificatePath = join(dataDir, CERTIFICATE_FILE);
  const key = await readIfThere(keyPath);
  if (key === undefined) return create(dataDir, keyPath, certificatePath);
  const certificate = await readIfThere(certificatePath);
  if (certificate === undefined) throw damaged(keyPath, `its certificate ${CERTIFICATE_FILE} is missing`);
  try {
    const identity = identityFromPem(key, certificate);
    // A restored backup may have come back readable for others.
    await chmod(keyPath, PRIVATE_MODE);
    return identity;
  } catch (cause) {
    throw damaged(keyPath, 'key and certificate cannot be read, or do not belong together', cause);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw damaged(path, (cause as Error).message, cause);
  }
}

function damaged(path: string, reason: string, cause?: unknown): ParleyError {
  const next =
    'restore both from a backup; or move them away for a new key, which every client will have to trust anew';
  return new ParleyError('STATE_DAMAGED', { path, reason, next }, { cause });
}

/** The key comes last: when it is there, both are. */
async function create(dataDir: string, keyPath: string, certificatePath: string): Promise<Identity> {
  const identity = await makeIdentity('parley server');
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await writeWhole(certificatePath, identity.certificatePem);
    await writeWhole(keyPath, identity.privateKeyPem);
    const folder = await open(dataDir, 'r');
    // Not every platform can sync a folder; the files themselves are on disk already.
    await folder.sync().catch(() => undefined);
    await folder.close();
  } catch (cause) {
    throw new ParleyError('DISK_FULL', { path: dataDir, reason: (cause as Error).message }, { cause });
  }
  return identity;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', PRIVATE_MODE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
