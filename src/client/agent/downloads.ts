/** The `download` command: from a name to verified bytes under the file's own name, or as far as they can be had. */
import { lstat, stat } from 'node:fs/promises';
import { BLOCK_BYTES } from '../../protocol/limits.js';
import { blockDigest, digestAt } from '../../chunks/digest.js';
import { fileIdentity, sameIdentity } from '../../chunks/files.js';
import { buildManifest } from '../../chunks/manifest.js';
import { clearRemains } from '../../chunks/endings.js';
import { openPart } from '../../chunks/part.js';
import { blockPlace, chunkRange } from '../../chunks/plan.js';
import type { Clock } from '../../protocol/clock.js';
import type { ParamsOf, ResultIn } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { TransferState } from '../../protocol/events.js';
import type { DownloadView } from '../../p2p/diagnosis.js';
import { download } from '../../p2p/download.js';
import type { DownloadResult } from '../../p2p/download.js';
import { numbersIn } from '../../p2p/fetch.js';
import type { PartHolding } from './holding.js';
import type { Library } from './library.js';
import type { Log } from './log.js';
import { fetchManifest } from './manifests.js';
import type { Registered } from './manifests.js';
import type { Account } from './account.js';
import type { Peers } from './peers.js';
import type { Session } from './session.js';
import { targetPath } from './targetpath.js';
import type { Tracked, Transfers } from './transfers.js';
import { Failures, whyNot, whyRunning } from './why.js';
import type { WhyAnswer } from './why.js';

export type DownloadRequest = ParamsOf<typeof agentCommands.download>;
export type DownloadAnswer = ResultIn<typeof agentCommands.download>;

/** How often what is on disk may turn out spoilt before the download gives up. */
const MAX_ROUNDS = 3;

export interface DownloadsOptions {
  readonly clock: Clock;
  readonly session: Pick<Session, 'call'>;
  readonly library: Library;
  readonly peers: Peers;
  readonly transfers: Transfers;
  readonly log: Log;
  readonly account: () => Account;
}

export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #stopped = new AbortController();
  /** By target. */
  readonly #running = new Map<string, Running>();
  readonly #failures = new Failures();

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  /**
   * @throws ParleyError FILE_NOT_REGISTERED, CHUNK_NOT_FOUND, TARGET_EXISTS, TARGET_BUSY, NO_HOLDER naming the chunks that nobody has, DISK_FULL,
   * HASH_MISMATCH, CANCELLED; whatever the end, what was verified stays, and what is whole of it is offered
   */
  async run(
    request: DownloadRequest,
    signal: AbortSignal,
    onState: (state: TransferState) => void,
  ): Promise<DownloadAnswer> {
    const either = AbortSignal.any([signal, this.#stopped.signal]);
    const { session, library } = this.#options;
    const registered = await fetchManifest(session, request.file, either);
    const chunks = wantedChunks(request, registered);
    const path = await targetPath(request, registered.file);
    await library.started;
    // One that was interrupted is writing down what it has: it is gone in a moment.
    for (let other = this.#running.get(path); other !== undefined; other = this.#running.get(path)) {
      if (!other.signal.aborted) throw new ParleyError('TARGET_BUSY', { path, pid: process.pid });
      await other.done;
    }
    const answer = this.#run({ request, registered, chunks, path, signal: either, onState });
    const running: Running = {
      file: registered.file,
      signal: either,
      done: answer.then(ignore, ignore),
      view: undefined,
    };
    this.#running.set(path, running);
    return answer.finally(() => this.#running.delete(path));
  }

  /** What a download of this file waits for, or how the last one ended. */
  async why(file: string): Promise<WhyAnswer> {
    const { transfers } = this.#options;
    const last = transfers.list().findLast((each) => each.direction === 'download' && each.file === file);
    const running = [...this.#running.values()].find((each) => each.file === file);
    if (running === undefined) return whyNot(file, last, this.#failures.of(file));
    return whyRunning(file, await running.view?.());
  }

  /** Interrupts what is running, and waits for it. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #run(job: Job): Promise<DownloadAnswer> {
    const { library } = this.#options;
    const { request, registered, chunks, path, signal } = job;
    const overwrite = request.overwrite ?? false;
    if (await this.#isThere(path, registered, overwrite, signal)) {
      await clearRemains(path);
      return whole(registered, path, { alreadyThere: true });
    }

    const holding = await this.#takePart(path, registered, overwrite, signal);
    const { part } = holding;
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunkRange(part.plan, chunk).length, 0);
    const tracked = this.#options.transfers.begin(registered.file, sizeBytes);
    try {
      const got = await this.#fetchAndFinish(holding, registered, chunks, { ...job, tracked });
      const held = [...numbersIn(part.heldChunks(), part.plan.chunks)];
      await library.announced(registered.file);
      tracked.end(undefined);
      const { file } = registered;
      const complete = part.complete;
      const where = complete ? path : part.path;
      const sources = [...got.sources];
      return { file, path: where, sizeBytes: part.plan.sizeBytes, chunks: [...got.chunks], held, complete, sources };
    } catch (thrown) {
      const error = toParleyError(thrown);
      tracked.end(error);
      this.#failures.note(registered.file, error);
      throw error;
    } finally {
      holding.busy = false;
      if (library.at(path) === holding && !(await isWorthKeeping(holding))) await library.dropPart(holding);
    }
  }

  /** Whether the target has the registered bytes already; it is offered then. */
  async #isThere(path: string, registered: Registered, overwrite: boolean, signal: AbortSignal): Promise<boolean> {
    const { library } = this.#options;
    const { file, chunks, manifest } = registered;
    const there = await lstat(path).catch(() => undefined);
    if (there === undefined) return false;
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() === true && stats.size === manifest.sizeBytes) {
      const known = library.at(path);
      if (known?.kind === 'whole' && known.record.root === manifest.root && known.share.usable) {
        if (sameIdentity(await fileIdentity(path), known.record.state.identity)) return true;
      }
      const built = await buildManifest(path, chunks, { signal });
      if (built.manifest.root === manifest.root) {
        await library.addWhole({ file, chunks, path, ...built, root: manifest.root });
        await library.announce(file);
        return true;
      }
    }
    if (!overwrite || stats?.isDirectory() === true) throw new ParleyError('TARGET_EXISTS', { path });
    return false;
  }

  /** The `.part` of this target, for this download alone. */
  async #takePart(path: string, registered: Registered, overwrite: boolean, signal: AbortSignal): Promise<PartHolding> {
    const { library } = this.#options;
    const { file, manifest } = registered;
    const known = library.at(path);
    if (known?.kind === 'part') {
      if (known.busy) throw new ParleyError('TARGET_BUSY', { path, pid: process.pid });
      known.busy = true;
      if (known.record.root === manifest.root && (await known.part.isInPlace())) return known;
      await library.dropPart(known);
    }
    const part = await openPart({ target: path, manifest, overwrite, signal });
    try {
      const holding = await library.addPart(file, manifest.root, path, part);
      holding.busy = true;
      if (known !== undefined || holdsAnything(holding)) void library.announce(file);
      return holding;
    } catch (thrown) {
      await part.close();
      throw thrown;
    }
  }

  async #fetchAll(
    holding: PartHolding,
    { file, manifest }: Registered,
    chunks: readonly number[],
    { request, path, signal, tracked, onState }: Attempt,
  ): Promise<DownloadResult> {
    const { library, session, peers, clock } = this.#options;
    const own = await this.#copyOwn(holding, chunks, signal);
    const fetched = await download({
      file,
      manifest,
      part: holding.part,
      chunks,
      jobs: request.jobs,
      limitRate: request.limitRate,
      signal,
      clock,
      locate: async (stop) => {
        const found = await session.call(serverCommands.locate, { file }, { signal: stop });
        return found.root === manifest.root ? found.holders : [];
      },
      connect: (user, stop) => peers.connect(user, 'transfer', { signal: stop }),
      onChunk: (chunk) => library.announceChunk(file, chunk),
      onReport: (user, chunk, code) => this.#report(user, file, chunk, code),
      onBegun: (view) => {
        const running = this.#running.get(path);
        if (running !== undefined) running.view = view;
      },
      onProgress: (progress) => onState(tracked.progress(progress)),
    });
    return joinResults(own, fetched);
  }

  /** What this user has of the same bytes elsewhere need not come over a link. */
  async #copyOwn(
    { part, record }: PartHolding,
    chunks: readonly number[],
    signal: AbortSignal,
  ): Promise<DownloadResult> {
    const { library, account } = this.#options;
    const share = library.find(record.root);
    const there = new Set(share && numbersIn(share.heldChunks(), part.plan.chunks));
    const copied: number[] = [];
    let bytes = 0;
    const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
    for (const chunk of chunks) {
      if (part.hasChunk(chunk) || share === undefined || !there.has(chunk)) continue;
      const digests = share.blockDigests(chunk);
      if (digests === undefined) continue;
      try {
        part.learn(chunk, digests);
        for (const block of part.missing(chunk)) {
          signal.throwIfAborted();
          const { indexInChunk } = blockPlace(part.plan, block);
          const copy = buffer.subarray(0, await share.read(block, buffer, 0));
          if (!blockDigest(copy).equals(digestAt(digests, indexInChunk))) break;
          await part.write(block, copy);
          bytes += copy.length;
        }
      } catch (thrown) {
        const { code } = toParleyError(thrown);
        if (code !== 'CHUNK_GONE' && code !== 'HASH_MISMATCH') throw thrown;
      }
      if (part.hasChunk(chunk)) copied.push(chunk);
    }
    return { chunks: copied, sources: bytes === 0 ? [] : [{ user: account().user, bytes }] };
  }

  /** Fetches, and gives the file its name when all is there; blocks that turn out spoilt on disk then are fetched again. */
  async #fetchAndFinish(
    holding: PartHolding,
    registered: Registered,
    chunks: readonly number[],
    attempt: Attempt,
  ): Promise<DownloadResult> {
    const { library } = this.#options;
    const { part, record } = holding;
    const { signal, request } = attempt;
    let got = await this.#fetchAll(holding, registered, chunks, attempt);
    for (let round = 1; part.complete; round++) {
      try {
        const finished = await part.finish({ overwrite: request.overwrite, signal });
        await library.finishPart(holding, finished);
        await library.announce(record.file);
        return got;
      } catch (thrown) {
        if (round === MAX_ROUNDS || toParleyError(thrown).code !== 'HASH_MISMATCH') throw thrown;
        got = joinResults(got, await this.#fetchAll(holding, registered, wantedChunks({}, registered), attempt));
      }
    }
    return got;
  }

  #report(user: string, file: string, chunk: number, code: 'HASH_MISMATCH' | 'CHUNK_GONE'): void {
    const { session, log } = this.#options;
    log.warn({ user, file, chunk, code }, 'a holder’s bytes or promises were wrong');
    session.call(serverCommands.report, { user, file, chunk, code }).catch((thrown: unknown) => {
      log.debug({ reason: toParleyError(thrown).message }, 'could not report a holder');
    });
  }
}

interface Running {
  readonly file: string;
  readonly signal: AbortSignal;
  /** Resolves whatever the end. */
  readonly done: Promise<void>;
  /** How it stands; undefined while nothing is asked for. */
  view: (() => Promise<DownloadView>) | undefined;
}

interface Job {
  readonly request: DownloadRequest;
  readonly registered: Registered;
  readonly chunks: readonly number[];
  /** The target. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly onState: (state: TransferState) => void;
}

type Attempt = Pick<Job, 'request' | 'path' | 'signal' | 'onState'> & { readonly tracked: Tracked };

const ignore = (): void => undefined;

function joinResults(a: DownloadResult, b: DownloadResult): DownloadResult {
  const bytes = new Map<string, number>();
  for (const source of [...a.sources, ...b.sources]) {
    bytes.set(source.user, (bytes.get(source.user) ?? 0) + source.bytes);
  }
  return {
    chunks: [...new Set([...a.chunks, ...b.chunks])].sort((x, y) => x - y),
    sources: [...bytes].map(([user, sent]) => ({ user, bytes: sent })),
  };
}

/** A file that is at its path no more is left to whoever has it now. */
async function isWorthKeeping(holding: PartHolding): Promise<boolean> {
  return holdsAnything(holding) && (await holding.part.isInPlace());
}

function holdsAnything({ part }: PartHolding): boolean {
  return part.heldChunks().some((byte) => byte > 0);
}

function whole({ file, chunks, manifest }: Registered, path: string, more: { alreadyThere: true }): DownloadAnswer {
  const held = Array.from({ length: chunks }, (_, chunk) => chunk);
  return { file, path, sizeBytes: manifest.sizeBytes, chunks: [], held, complete: true, sources: [], ...more };
}

/** The chunks asked for, ascending, each once. @throws ParleyError CHUNK_NOT_FOUND */
function wantedChunks({ chunks }: Pick<DownloadRequest, 'chunks'>, { file, chunks: count }: Registered): number[] {
  if (chunks === undefined || chunks.length === 0) return Array.from({ length: count }, (_, chunk) => chunk);
  const last = count - 1;
  const beyond = chunks.find((index) => index > last);
  if (beyond !== undefined) throw new ParleyError('CHUNK_NOT_FOUND', { file, last, index: beyond });
  return [...new Set(chunks)].sort((a, b) => a - b);
}
