/** A thread for hashing and writing blocks, so that the one with the sockets is free for them; shared by all of this process. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { bytesOfWork, runBlockJob } from './blockjob.js';
import type { BlockJob, BlockJobResult } from './blockjob.js';
import type { AnswerMessage, JobMessage } from './blockworker.js';
import { unpackError } from './fserrors.js';

/** Bytes of a file from which on it is worth a thread: starting one takes 30 ms and 10 MB. */
export const THREAD_FROM_BYTES = 16 * 1024 * 1024;
/** Jobs that it has at once: the next one is done here, so that what waits stays small, and in the cache. */
export const MAX_WAITING = 3;
/** Bytes from which on a job is worth asking the thread: less is done sooner than said. */
const LEAST_BYTES = 128 * 1024;
/**
 * Cores from which on there is one for it. With two for both ends of a transfer it takes a tenth more CPU and is no faster; larger
 * machines were not measured.
 */
const LEAST_CORES = 4;
/** Milliseconds without a job after which the thread ends and gives its memory back. */
const IDLE_MS = 60_000;

interface Asked {
  readonly job: BlockJob;
  readonly resolve: (result: BlockJobResult) => void;
  readonly reject: (error: Error) => void;
}

/** Does a few jobs at a time, in the order they are given, and leaves to the caller's thread what is too small or too much. */
export class BlockThread {
  readonly #asked = new Map<number, Asked>();
  readonly #script: URL;
  #worker: Worker | undefined;
  #lastId = 0;
  #idle: NodeJS.Timeout | undefined;
  /** It could not be started, or died: everything is done on this thread from then on. */
  #failed = false;

  /** `script` is what the thread runs. */
  constructor(script = new URL('./blockworker.js', import.meta.url)) {
    this.#script = script;
  }

  /** Bytes given to it should be shared memory: others are copied. @throws what the file system refuses */
  run(job: BlockJob): Promise<BlockJobResult> {
    if (bytesOfWork(job) < LEAST_BYTES || this.#asked.size >= MAX_WAITING) return runHere(job);
    const worker = this.#started();
    if (worker === undefined) return runHere(job);
    clearTimeout(this.#idle);
    // The process may end while the thread is idle, and not while it writes.
    if (this.#asked.size === 0) worker.ref();
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { job, resolve, reject });
      // What a view is of is copied whole: not more than what is meant.
      const expected = new Uint8Array(job.expected);
      worker.postMessage({ id, job: { ...job, expected } } satisfies JobMessage);
    });
  }

  /** Ends the thread once nothing is asked of it; the next job starts another. */
  stopWhenIdle(): void {
    if (this.#asked.size > 0) return;
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }

  #started(): Worker | undefined {
    if (this.#failed || this.#worker !== undefined) return this.#worker;
    try {
      const worker = new Worker(this.#script);
      worker.on('message', (answer: AnswerMessage) => this.#answered(answer));
      worker.on('error', () => this.#lose(worker));
      worker.on('exit', () => this.#lose(worker));
      worker.unref();
      this.#worker = worker;
    } catch {
      this.#failed = true;
    }
    return this.#worker;
  }

  #answered(answer: AnswerMessage): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (this.#asked.size === 0) {
      this.#worker?.unref();
      this.#idle = setTimeout(() => this.stopWhenIdle(), IDLE_MS).unref();
    }
    if ('result' in answer) asked?.resolve(answer.result);
    else asked?.reject(unpackError(answer.refused));
  }

  /** What it had not done is done here: a job may be done twice. */
  #lose(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#failed = true;
    const left = [...this.#asked.values()];
    this.#asked.clear();
    for (const { job, resolve, reject } of left) runHere(job).then(resolve, reject);
  }
}

async function runHere(job: BlockJob): Promise<BlockJobResult> {
  return Promise.resolve(runBlockJob(job));
}

let shared: BlockThread | undefined;

/** The thread for a file of so many bytes; undefined when there is no core for one, or too little to do. */
export function blockThreadFor(sizeBytes: number): BlockThread | undefined {
  if (sizeBytes < THREAD_FROM_BYTES || availableParallelism() < LEAST_CORES) return undefined;
  shared ??= new BlockThread();
  return shared;
}
