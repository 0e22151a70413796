/** The `download` command: from a name to verified bytes under the file's own name, or as far as they can be had. */
import { BitSet } from '../../chunks/bits.js';
import { clearRemains } from '../../chunks/endings.js';
import type { FolderLayout } from '../../chunks/folderlayout.js';
import { IndexPart } from '../../chunks/indexpart.js';
import { openPart } from '../../chunks/part.js';
import { bytesOfChunks } from '../../chunks/plan.js';
import type { Clock } from '../../protocol/clock.js';
import type { ParamsOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { TransferState } from '../../protocol/events.js';
import type { DownloadView } from '../../p2p/diagnosis.js';
import { download } from '../../p2p/download.js';
import type { DownloadOptions, DownloadResult } from '../../p2p/download.js';
import { joinResults, nothingGot, whole } from './downloadresults.js';
import type { DownloadAnswer, Taken } from './downloadresults.js';
import { countsOf } from './folders.js';
import { holdsAnything } from './holding.js';
import type { PartHolding } from './holding.js';
import type { Library } from './library.js';
import type { Log } from './log.js';
import { fetchManifest } from './manifests.js';
import type { Registered } from './manifests.js';
import type { Account } from './account.js';
import type { Peers } from './peers.js';
import type { Session } from './session.js';
import { isThere, wantedChunks } from './target.js';
import { targetPath } from './targetpath.js';
import type { Tracked, Transfers } from './transfers.js';
import { copyOwn } from './owncopy.js';
import { Failures, whyNot, whyRunning } from './why.js';
import type { WhyAnswer } from './why.js';

export type DownloadRequest = ParamsOf<typeof agentCommands.download>;

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
    if (await isThere(path, registered, { library, overwrite, signal })) {
      await clearRemains(path);
      return whole(registered, path, { alreadyThere: true });
    }

    const { holding, got: index } = await this.#takePart(path, registered, job);
    const { part } = holding;
    const sizeBytes = [...chunks.runs()].reduce((sum, run) => sum + bytesOfChunks(part.plan, run).length, 0);
    const tracked = this.#options.transfers.begin(registered.file, sizeBytes);
    try {
      const rest = await this.#fetchAndFinish(holding, registered, chunks, { ...job, tracked });
      const got = joinResults(index, rest);
      const held = BitSet.of(part.heldChunks(), part.plan.chunks).numbers();
      await library.announced(registered.file);
      tracked.end(undefined);
      const where = part.complete ? path : part.path;
      const sources = [...got.sources];
      const result = {
        file: registered.file,
        path: where,
        sizeBytes: part.plan.sizeBytes,
        chunks: got.chunks.numbers(),
        held,
        complete: part.complete,
        sources,
      };
      return { ...result, ...(await this.#folderResult(registered, rest.setAside)) };
    } catch (thrown) {
      const error = toParleyError(thrown);
      tracked.end(error);
      this.#failures.note(registered.file, error);
      throw error;
    } finally {
      holding.busy = false;
      holding.coming = () => [];
      if (library.at(path) === holding && !(await isWorthKeeping(holding))) {
        await library.dropPart(holding);
        // That something of it would come was told when it began.
        void library.announce(registered.file);
      }
    }
  }

  /** The `.part` of this target, for this download alone. */
  async #takePart(path: string, registered: Registered, { request, signal }: Job): Promise<Taken> {
    const { library } = this.#options;
    const { file, manifest } = registered;
    const overwrite = request.overwrite ?? false;
    const known = library.at(path);
    if (known?.kind === 'part') {
      if (known.busy) throw new ParleyError('TARGET_BUSY', { path, pid: process.pid });
      known.busy = true;
      if (known.record.root === manifest.root && (await known.part.isInPlace()))
        return { holding: known, got: nothingGot(registered.chunks) };
      await library.dropPart(known);
    }
    const {
      layout,
      fetched,
      got = nothingGot(registered.chunks),
    } = await this.#findIndex(registered, { request, path, signal });
    const part = await openPart({ target: path, manifest, layout, overwrite, signal });
    try {
      await fetched?.giveTo(part);
      const holding = await library.addPart(file, manifest.root, path, part, layout);
      holding.busy = true;
      void library.announce(file);
      got.chunks.keep(BitSet.of(part.heldChunks(), registered.chunks));
      return { holding, got };
    } catch (thrown) {
      await part.close();
      throw thrown;
    }
  }

  /** Of a folder: what is in it, from what is known here or from its holders, before anything of it is made. */
  async #findIndex(
    registered: Registered,
    job: Pick<Job, 'request' | 'path' | 'signal'>,
  ): Promise<{ layout?: FolderLayout; fetched?: IndexPart; got?: DownloadResult }> {
    const { file, manifest } = registered;
    if (manifest.indexBytes === undefined) return {};
    const known = await this.#options.library.layoutOf(manifest.root);
    if (known?.index.length === manifest.indexBytes) return { layout: known };
    const fetched = new IndexPart(file, manifest);
    const swarm = this.#swarm(registered, job);
    const got = await download({ ...swarm, part: fetched, chunks: fetched.chunks });
    return { layout: fetched.layout(), fetched, got };
  }

  async #fetchAll(
    holding: PartHolding,
    registered: Registered,
    chunks: BitSet,
    { request, path, signal, tracked, onState }: Attempt,
  ): Promise<DownloadResult> {
    const { library, account } = this.#options;
    const own = await copyOwn(library.find(holding.record.root), holding.part, chunks, account().user, signal);
    const fetched = await download({
      ...this.#swarm(registered, { request, path, signal }),
      part: holding.part,
      chunks,
      onChunks: (whole) => library.announceChunks(registered.file, whole),
      onProgress: (progress) => onState(tracked.progress(progress)),
    });
    return joinResults(own, fetched);
  }

  /** Who is asked, and how. */
  #swarm(
    { file, manifest }: Registered,
    { request, path, signal }: Pick<Job, 'request' | 'path' | 'signal'>,
  ): Omit<DownloadOptions, 'part' | 'chunks'> {
    const { session, peers, clock, library } = this.#options;
    // What goes to many files is written by this thread.
    const bytesInOneFile = manifest.indexBytes === undefined ? manifest.sizeBytes : 0;
    return {
      file,
      manifest,
      jobs: request.jobs,
      limitRate: request.limitRate,
      signal,
      clock,
      locate: async (stop) => {
        const found = await session.call(serverCommands.locate, { file }, { signal: stop });
        return found.root === manifest.root ? found.holders : [];
      },
      connect: (user, stop) => peers.connectToFetch(user, bytesInOneFile, stop),
      onReport: (user, chunk, code) => this.#report(user, file, chunk, code),
      onBegun: ({ view, coming }) => {
        const running = this.#running.get(path);
        if (running !== undefined) running.view = view;
        const holding = library.at(path);
        if (holding?.kind === 'part' && holding.busy) holding.coming = coming;
      },
    };
  }

  /** Fetches, and gives the file its name when all is there; blocks that turn out spoilt on disk then are fetched again. */
  async #fetchAndFinish(
    holding: PartHolding,
    registered: Registered,
    chunks: BitSet,
    attempt: Attempt,
  ): Promise<Fetched> {
    const { library } = this.#options;
    const { part, record } = holding;
    const { signal, request } = attempt;
    let got: Fetched = await this.#fetchAll(holding, registered, chunks, attempt);
    for (let round = 1; part.complete; round++) {
      try {
        const finished = await part.finish({ overwrite: request.overwrite, signal });
        await library.finishPart(holding, finished);
        await library.announce(record.file);
        return { ...got, setAside: finished.setAside };
      } catch (thrown) {
        if (round === MAX_ROUNDS || toParleyError(thrown).code !== 'HASH_MISMATCH') throw thrown;
        got = joinResults(got, await this.#fetchAll(holding, registered, wantedChunks({}, registered), attempt));
      }
    }
    return got;
  }

  async #folderResult(
    { manifest }: Registered,
    setAside?: string,
  ): Promise<Pick<DownloadAnswer, 'folder' | 'setAside'>> {
    if (manifest.indexBytes === undefined) return {};
    const layout = await this.#options.library.layoutOf(manifest.root);
    return { ...(layout && { folder: countsOf(layout) }), ...(setAside === undefined ? {} : { setAside }) };
  }

  #report(user: string, file: string, chunk: number, code: 'HASH_MISMATCH' | 'CHUNK_GONE'): void {
    const { session, log } = this.#options;
    log.warn({ user, file, chunk, code }, 'a holder’s bytes or promises were wrong');
    session.call(serverCommands.report, { user, file, chunk, code }).catch((thrown: unknown) => {
      log.debug({ reason: toParleyError(thrown).message }, 'could not report a holder');
    });
  }
}

type Fetched = DownloadResult & { readonly setAside?: string | undefined };

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
  readonly chunks: BitSet;
  /** The target. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly onState: (state: TransferState) => void;
}

type Attempt = Pick<Job, 'request' | 'path' | 'signal' | 'onState'> & { readonly tracked: Tracked };

const ignore = (): void => undefined;

/** A file that is at its path no more is left to whoever has it now. */
async function isWorthKeeping(holding: PartHolding): Promise<boolean> {
  return holdsAnything(holding) && (await holding.part.isInPlace());
}
