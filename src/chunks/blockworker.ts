/** The thread that `BlockThread` starts: does one job after another, and says how each went. */
import { parentPort } from 'node:worker_threads';
import { runBlockJob } from './blockjob.js';
import type { BlockJob, BlockJobResult } from './blockjob.js';
import { packError } from './fserrors.js';
import type { PackedError } from './fserrors.js';

export interface JobMessage {
  readonly id: number;
  readonly job: BlockJob;
}
export type AnswerMessage = { readonly id: number } & (
  { readonly result: BlockJobResult } | { readonly refused: PackedError }
);

function answerTo({ id, job }: JobMessage): AnswerMessage {
  try {
    return { id, result: runBlockJob(job) };
  } catch (thrown) {
    return { id, refused: packError(thrown) };
  }
}

parentPort?.on('message', (message: JobMessage) => parentPort?.postMessage(answerTo(message)));
