/** What `why` says of a download: what it waits for, or how it ended. */
import type { ResultIn } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { ParleyError } from '../../protocol/errors.js';
import type { TransferState } from '../../protocol/events.js';
import { reasonsOf } from '../../p2p/diagnosis.js';
import type { DownloadView } from '../../p2p/diagnosis.js';

export type WhyAnswer = ResultIn<typeof agentCommands.why>;

/** Failed downloads whose error is remembered, the newest. */
const MAX_FAILURES = 100;

/** What the last download of a file failed with. */
export class Failures {
  readonly #errors = new Map<string, ParleyError>();

  of(file: string): ParleyError | undefined {
    return this.#errors.get(file);
  }

  note(file: string, error: ParleyError): void {
    this.#errors.delete(file);
    this.#errors.set(file, error);
    const [oldest] = this.#errors.keys();
    if (this.#errors.size > MAX_FAILURES && oldest !== undefined) this.#errors.delete(oldest);
  }
}

/** Of one that runs; `view` is undefined while nothing is asked for yet. */
export function whyRunning(file: string, view: DownloadView | undefined): WhyAnswer {
  if (view === undefined) {
    const reasons = [{ code: 'CHECKING', text: 'what is here already is looked at' }];
    return { file, state: 'waiting', bytes: 0, sizeBytes: 0, reasons };
  }
  const { bytes, sizeBytes, rate } = view;
  return { file, state: rate > 0 ? 'running' : 'waiting', bytes, sizeBytes, reasons: reasonsOf(view) };
}

/** Of one that does not; `last` is how it stood at its end. */
export function whyNot(file: string, last: TransferState | undefined, error: ParleyError | undefined): WhyAnswer {
  if (last === undefined) {
    const text = 'no download of this name has run since the agent started';
    return { file, state: 'none', bytes: 0, sizeBytes: 0, reasons: [{ code: 'NOT_RUNNING', text }] };
  }
  const { bytes, sizeBytes } = last;
  if (last.state !== 'failed') {
    return { file, state: 'done', bytes, sizeBytes, reasons: [{ code: 'DONE', text: 'it ended well' }] };
  }
  const code = last.code ?? 'INTERNAL';
  return { file, state: 'failed', bytes, sizeBytes, reasons: [{ code, text: error?.message ?? 'it failed' }] };
}
