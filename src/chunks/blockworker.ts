/** The thread that `BlockThread` starts: does one job after another, and says how each went. */
import { parentPort } from 'node:worker_threads';
import { runBlockJob } from './blockjob.js';
import type { BlockJob, BlockJobResult } from './blockjob.js';

export interface JobMessage {
  readonly id: number;
  readonly job: BlockJob;
}
/** An error loses its code on the way between threads: it travels as what it is made of. */
export type AnswerMessage = { readonly id: number } & (
  | { readonly result: BlockJobResult }
  | { readonly refused: { readonly message: string; readonly code: string | undefined } }
);

function answerTo({ id, job }: JobMessage): AnswerMessage {
  try {
    return { id, result: runBlockJob(job) };
  } catch (thrown) {
    const { message, code } = thrown as NodeJS.ErrnoException;
    return { id, refused: { message, code } };
  }
}

parentPort?.on('message', (message: JobMessage) => parentPort?.postMessage(answerTo(message)));
