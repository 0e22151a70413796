/** Handlers about files and folders: register, seed, download, transfers, why, limits. */
import { basename } from 'node:path';
import { fileIdentity } from '../../chunks/files.js';
import { buildFolderManifest, prepareFolder } from '../../chunks/folder.js';
import type { BuiltFolder } from '../../chunks/folder.js';
import { countsOf, isDirectory } from './folders.js';
import { buildManifest } from '../../chunks/manifest.js';
import type { BuiltManifest } from '../../chunks/manifest.js';
import type { Clock } from '../../protocol/clock.js';
import type { IncomingCall, ParamsOf, ResultIn } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { checkChunkCount, parseFileName } from '../../protocol/values.js';
import type { Provider } from '../../p2p/provider.js';
import type { Downloads } from './downloads.js';
import type { HandlersOf } from './handlers.js';
import type { Library } from './library.js';
import { fetchManifest } from './manifests.js';
import type { Session } from './session.js';
import type { Transfers } from './transfers.js';
import { why } from './why.js';
import type { WhyParts } from './why.js';

/** Milliseconds between events that tell a face how far it is. */
const TELL_EVERY_MS = 100;

export interface FileParts extends WhyParts {
  readonly home: string;
  readonly clock: Clock;
  readonly session: Pick<Session, 'call'>;
  readonly library: Library;
  readonly downloads: Downloads;
  readonly transfers: Transfers;
  readonly provider: Pick<Provider, 'limits' | 'setLimits'>;
}

type FileCommand = 'register' | 'seed' | 'download' | 'transfers' | 'why' | 'limits';

export function fileHandlers(parts: FileParts): HandlersOf<FileCommand> {
  return {
    register: ({ path, chunks }, _context, call) => register(path, chunks, call, parts),
    seed: ({ path }, _context, call) => seed(path, call, parts),
    download: async (params, _context, call) => {
      const { tell, tellLast } = teller(call, parts.clock);
      try {
        return await parts.downloads.run(params, call.signal, (transfer) => tell({ type: 'transfer', transfer }));
      } finally {
        await tellLast();
      }
    },
    transfers: () => ({ transfers: parts.transfers.list() }),
    why: ({ file }) => why(file, parts),
    limits: (params) => setLimits(params, parts),
  };
}

/** In JSON null stands for no limit, which is Infinity here. */
function setLimits(
  { upload, uploadPerLink }: ParamsOf<typeof agentCommands.limits>,
  { provider }: FileParts,
): ResultIn<typeof agentCommands.limits> {
  const { limitRate, linkLimitRate } = provider.limits;
  const rateOf = (rate: number | null | undefined): number | undefined => (rate === null ? Infinity : rate);
  provider.setLimits({ limitRate: rateOf(upload), linkLimitRate: rateOf(uploadPerLink) });
  const orNull = (rate: number | undefined): number | null => (rate === undefined || rate === Infinity ? null : rate);
  return { upload: orNull(limitRate), uploadPerLink: orNull(linkLimitRate) };
}

type RegisteredFile = ResultIn<typeof agentCommands.register>;

async function register(path: string, chunks: number, call: IncomingCall, parts: FileParts): Promise<RegisteredFile> {
  const { session, library } = parts;
  const file = parseFileName(basename(path));
  const isFolder = await isDirectory(path);
  if (!isFolder) checkChunkCount((await fileIdentity(path)).sizeBytes, chunks);
  // Asked first, so that nobody waits for a pass over a file whose name is taken.
  if (await isRegistered(file, call, parts)) throw new ParleyError('FILE_ALREADY_REGISTERED', { file });
  const built = await hash(path, chunks, isFolder, call, parts);
  const { manifest } = built;
  const { root, sizeBytes, indexBytes } = manifest;
  const before = library.at(path);
  await library.addWhole({ file, chunks, path, ...built, root });
  try {
    const params = { file, sizeBytes, chunks, root, indexBytes };
    await session.call(serverCommands.registerFile, params, { body: [manifest.chunkDigests], signal: call.signal });
  } catch (thrown) {
    const { code } = toParleyError(thrown);
    // Nobody knows whether it was registered: announcing it tells, now or when the server is back.
    if (['SERVER_UNREACHABLE', 'TIMEOUT', 'CANCELLED'].includes(code)) void library.announce(file);
    else if (before === undefined) await library.removeAt(path);
    throw thrown;
  }
  return { file, sizeBytes, chunks, root, ...folderResult(built) };
}

async function isRegistered(file: string, call: IncomingCall, { session }: FileParts): Promise<boolean> {
  try {
    await session.call(serverCommands.searchFile, { file }, { signal: call.signal });
    return true;
  } catch (thrown) {
    if (toParleyError(thrown).code === 'FILE_NOT_REGISTERED') return false;
    throw thrown;
  }
}

async function seed(path: string, call: IncomingCall, parts: FileParts): Promise<{ file: string; chunks: number[] }> {
  const { session, library } = parts;
  const isFolder = await isDirectory(path);
  const sizeBytes = isFolder ? undefined : (await fileIdentity(path)).sizeBytes;
  const { file, chunks, manifest } = await fetchManifest(session, basename(path), call.signal);
  const differ = new ParleyError('BYTES_DIFFER', { path, file });
  if (isFolder !== (manifest.indexBytes !== undefined)) throw differ;
  if (
    (sizeBytes ?? (await prepareFolder(path, { signal: call.signal, avoid: parts.home })).sizeBytes) !==
    manifest.sizeBytes
  )
    throw differ;
  const built = await hash(path, chunks, isFolder, call, parts);
  if (built.manifest.root !== manifest.root) throw differ;
  await library.addWhole({ file, chunks, path, ...built, root: manifest.root });
  await library.announce(file);
  return { file, chunks: Array.from({ length: chunks }, (_, chunk) => chunk) };
}

type Built = BuiltManifest & Partial<Pick<BuiltFolder, 'layout' | 'skipped'>>;

function hash(
  path: string,
  chunks: number,
  isFolder: boolean,
  call: IncomingCall,
  { clock, home }: FileParts,
): Promise<Built> {
  const { tell } = teller(call, clock);
  const onProgress = (bytes: number, sizeBytes: number): void => tell({ type: 'reading', bytes, sizeBytes });
  const options = { signal: call.signal, onProgress };
  return isFolder
    ? buildFolderManifest(path, chunks, { ...options, avoid: home })
    : buildManifest(path, chunks, options);
}

function folderResult({ layout, skipped }: Built): Pick<RegisteredFile, 'folder' | 'skipped'> {
  return layout === undefined ? {} : { folder: countsOf(layout), skipped: skipped?.map((each) => ({ ...each })) ?? [] };
}

interface Teller {
  readonly tell: (event: object) => void;
  /** The newest, when it was passed over; never rejects. */
  readonly tellLast: () => Promise<void>;
}

/** Sends events of a call, at most ten a second, and none while the face does not read. */
function teller(call: IncomingCall, clock: Clock): Teller {
  let toldMs = -Infinity;
  let telling = false;
  let untold: object | undefined;
  return {
    tell: (event) => {
      const now = clock.monotonicMs();
      untold = event;
      if (telling || now - toldMs < TELL_EVERY_MS) return;
      untold = undefined;
      toldMs = now;
      telling = true;
      call
        .emit(event)
        .catch(() => undefined) // The face has gone, and the call is being cancelled.
        .finally(() => (telling = false));
    },
    tellLast: async () => {
      if (untold !== undefined) await call.emit(untold).catch(() => undefined);
    },
  };
}
