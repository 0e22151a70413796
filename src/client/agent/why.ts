/** What `why` says of a download: what it waits for, or how it ended. */
import type { ResultIn } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { ParleyError } from '../../protocol/errors.js';
import type { TransferState } from '../../protocol/events.js';
import { nameKey } from '../../protocol/values.js';
import { reasonsOf, reasonsOfEnd } from '../../p2p/diagnosis.js';
import type { DownloadView, Reason } from '../../p2p/diagnosis.js';
import type { Account } from './account.js';
import type { Peers } from './peers.js';
import type { Session } from './session.js';

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

export interface WhyParts {
  readonly session: Pick<Session, 'call'>;
  readonly peers: Pick<Peers, 'isBlocked'>;
  readonly downloads: { why(file: string): Promise<WhyAnswer> };
  /** @throws ParleyError LOGIN_REQUIRED */
  readonly account: () => Account;
}

/** What a download waits for, or how the last one ended; where nobody is left to ask, also who only a block keeps away. */
export async function why(file: string, parts: WhyParts): Promise<WhyAnswer> {
  const answer = await parts.downloads.why(file);
  if (!answer.reasons.some(({ code }) => code === 'NO_HOLDER')) return answer;
  // The server may be away by now: then nothing more is known.
  const blocked = await blockedHolders(answer.file, parts).catch(() => []);
  return { ...answer, reasons: [...blocked, ...answer.reasons] };
}

/** Those who are online and hold it, and are not told to who fetches since one of the two blocks the other. */
async function blockedHolders(file: string, { session, peers, account }: WhyParts): Promise<Reason[]> {
  const { holders } = await session.call(serverCommands.searchFile, { file });
  // Asked second, so that who has just come is not taken for one who is hidden.
  const located = await session.call(serverCommands.locate, { file });
  const seen = new Set([account().user, ...located.holders.map(({ user }) => user)].map(nameKey));
  return holders
    .filter((user) => !seen.has(nameKey(user)))
    .map((user) => {
      const text = peers.isBlocked(user)
        ? `${user} holds it, and you block ${user}`
        : `${user} holds it, and takes nothing from you`;
      return { code: 'BLOCKED', user, text };
    });
}

/** Of one that runs; `view` is undefined while nothing is asked for yet. */
export function whyRunning(file: string, view: DownloadView | undefined): WhyAnswer {
  if (view === undefined) {
    const reasons = [{ code: 'CHECKING', text: 'what is here already is looked at' }];
    return { file, state: 'waiting', bytes: 0, sizeBytes: 0, reasons };
  }
  const { bytes, sizeBytes, rate, holders } = view;
  // For some seconds the rate still counts what came over links that are gone.
  const isMoving = rate > 0 && holders.some(({ state }) => state === 'linked');
  return { file, state: isMoving ? 'running' : 'waiting', bytes, sizeBytes, reasons: reasonsOf(view) };
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
  const reasons = error === undefined ? [{ code, text: 'it failed' }] : reasonsOfEnd(error);
  return { file, state: 'failed', bytes, sizeBytes, reasons };
}
