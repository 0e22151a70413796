/** Sends this user's messages in their order, each once: kept here until the server has answered, whoever crashes meanwhile (R27). */
import { setMaxListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../protocol/clock.js';
import type { CommandSpec } from '../../protocol/command.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { ErrorCode } from '../../protocol/errors.js';
import type { Log } from './log.js';
import { TAKE_UP_MS } from './outboxentries.js';
import type { Entry, Outcome, OutboxEntries, SendCommand } from './outboxentries.js';
import { RETRY_PAUSES_MS, TRY_DEADLINE_MS, isUnanswered } from './retry.js';
import type { Session } from './session.js';

/** Messages on their way at once: a fast link is kept busy, and what has to be sent again stays little. */
const WINDOW = 64;
/** How long it waits between rounds when everybody who asked has given up; coming back online cuts it short. */
const LONG_PAUSE_MS = 30_000;

export interface OutboxOptions {
  readonly entries: OutboxEntries;
  readonly session: () => Pick<Session, 'call' | 'hurry' | 'state' | 'untilOnline'>;
  readonly clock: Clock;
  readonly log: Log;
  /** A message was refused when nobody asked any more: whoever sent it was told that it goes out later. */
  readonly onRefused: (entry: Entry, error: ParleyError) => void;
}

/** Refusals that pass by themselves: a message that nobody waits for any more is sent again. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['SERVER_BUSY', 'DISK_FULL']);

/** What became of a round of sending. */
type Round = { readonly kind: 'sent' | 'unanswered'; readonly error?: ParleyError };

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #stopped = new AbortController();
  #account: string | undefined;
  #nextNumber = 1;
  #isCounted = false;
  #running: Promise<void> | undefined;
  #failedRounds = 0;
  #wakePause: () => void = () => undefined;
  #wakeRound: () => void = () => undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
    // One for each message on its way.
    setMaxListeners(2 * WINDOW, this.#stopped.signal);
  }

  /** A session began: what waits for this account is sent. */
  begin(account: string, { nextNumber }: SessionStart): void {
    this.#account = account;
    this.#isCounted = nextNumber !== undefined;
    this.#countFrom(nextNumber ?? 1);
    this.#forgetOld();
    this.#kick();
  }

  /**
   * Sends a message, or goes on with the same one when nobody was told that it was sent. Resolves to what the server answered.
   * @throws ParleyError what the server refuses with; SERVER_UNREACHABLE or TIMEOUT when it did not answer for a while: the message stays
   * and goes out later; CANCELLED; DISK_FULL
   */
  async send(command: SendCommand, params: object, signal: AbortSignal): Promise<{ entry: Entry; result: object }> {
    const { entries, clock } = this.#options;
    const account = this.#account;
    if (account === undefined) throw new ParleyError('LOGIN_REQUIRED');
    signal.throwIfAborted();
    const entry =
      this.#takeUp(account, command, params) ??
      (await entries.add(account, this.#nextNumber++, command, params, clock.epochMs()));
    entry.tries = 0;
    // Its answer ended with the process that heard it: asking once more gets the same one.
    if (entry.sent && entry.outcome === undefined) {
      entry.sent = false;
      entries.count(entry, this.#nextNumber++);
    }
    const outcome = entry.outcome ?? (await this.#answerOf(entry, signal));
    if ('result' in outcome) return { entry, result: outcome.result };
    // Who is refused, or gives up for now, has been told.
    if (entry.sent) entries.done(entry);
    throw outcome.error;
  }

  /** Whoever sent it knows now that it was sent. */
  told(entry: Entry): void {
    this.#options.entries.done(entry);
  }

  /** Sends no more; what waits stays for the next login. Idempotent. */
  async close(): Promise<void> {
    this.#stopped.abort();
    this.#wakePause();
    this.#wakeRound();
    await this.#running;
    await this.#options.entries.close();
  }

  #takeUp(account: string, command: SendCommand, params: object): Entry | undefined {
    const { entries, clock } = this.#options;
    const since = clock.epochMs() - TAKE_UP_MS;
    return entries
      .of(account)
      .find(
        (entry) =>
          entry.asking.size === 0 &&
          entry.at >= since &&
          entry.command === command &&
          isDeepStrictEqual(entry.params, { ...params }),
      );
  }

  #answerOf(entry: Entry, signal: AbortSignal): Promise<Outcome> {
    return new Promise<Outcome>((resolve) => {
      const onAbort = (): void => {
        // Interrupted before anybody could have got it: not to be sent behind the user's back.
        if (!entry.wasTransmitted && entry.asking.size === 1) this.#options.entries.done(entry);
        settle({ error: new ParleyError('CANCELLED') });
      };
      const settle = (outcome: Outcome): void => {
        entry.asking.delete(settle);
        signal.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      entry.asking.add(settle);
      this.#failedRounds = 0;
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      else this.#kick();
    });
  }

  #waiting(): Entry[] {
    return this.#account === undefined ? [] : this.#options.entries.of(this.#account).filter(({ sent }) => !sent);
  }

  /** Numbers what waits anew: what the server knows already keeps its id, by which it is known. */
  #countFrom(expected: number): void {
    this.#nextNumber = expected;
    for (const entry of this.#waiting()) this.#options.entries.count(entry, this.#nextNumber++);
  }

  #forgetOld(): void {
    const { entries, clock } = this.#options;
    const since = clock.epochMs() - TAKE_UP_MS;
    for (const entry of this.#account === undefined ? [] : entries.of(this.#account)) {
      if (entry.sent && entry.asking.size === 0 && entry.at < since) entries.done(entry);
    }
  }

  #kick(): void {
    this.#wakePause();
    this.#wakeRound();
    if (this.#running === undefined && this.#hasSome()) this.#running = this.#run();
  }

  /** Something waits that may be sent; what is still being written down says so when it is. */
  #hasSome(): boolean {
    return !this.#stopped.signal.aborted && this.#waiting()[0]?.kept === true;
  }

  async #run(): Promise<void> {
    try {
      while (this.#hasSome()) {
        const { kind, error } = await this.#round();
        if (kind === 'sent') this.#failedRounds = 0;
        else {
          this.#countTries(error);
          await this.#pause(RETRY_PAUSES_MS[this.#failedRounds++] ?? LONG_PAUSE_MS);
        }
      }
    } finally {
      // In the turn in which it was found that there is no more, so that no kick is lost.
      this.#running = undefined;
    }
  }

  /** Sends what waits, in order, until it is all answered or something stands in the way. */
  async #round(): Promise<Round> {
    const session = this.#options.session();
    let trouble: ParleyError | undefined;
    let expected: number | undefined;
    const flying = new Set<Promise<void>>();
    // One that is still being written down holds up those behind it: whoever waits for it wakes this.
    const next = (): Entry | undefined => {
      const entry = this.#waiting().find(({ inFlight }) => !inFlight);
      return entry?.kept === true ? entry : undefined;
    };
    const isStopped = (): boolean =>
      trouble !== undefined ||
      expected !== undefined ||
      this.#stopped.signal.aborted ||
      session.state.kind !== 'online';
    await session.hurry();
    if (session.state.kind !== 'online') return { kind: 'unanswered', error: awayFrom(session.state) };
    for (;;) {
      for (let entry = next(); entry !== undefined && flying.size < WINDOW && !isStopped(); entry = next()) {
        const flight = this.#transmit(entry).then((refusal) => {
          flying.delete(flight);
          if (refusal === undefined) return;
          if (refusal.code === 'OUT_OF_ORDER') {
            expected = Math.max(expected ?? 1, Number(refusal.details['expected']));
          } else trouble = refusal;
        });
        flying.add(flight);
      }
      if (flying.size === 0) break;
      // Also when more is to be sent.
      const more = new Promise<void>((resolve) => (this.#wakeRound = resolve));
      await Promise.race([...flying, ...(isStopped() ? [] : [more])]);
    }
    if (expected !== undefined) this.#countFrom(expected);
    return trouble === undefined ? { kind: 'sent' } : { kind: 'unanswered', error: trouble };
  }

  /** Resolves to why it has to be sent again; undefined when it was answered. */
  async #transmit(entry: Entry): Promise<ParleyError | undefined> {
    const { log } = this.#options;
    const session = this.#options.session();
    const { command, id, number } = entry;
    const spec: CommandSpec = serverCommands[command];
    entry.inFlight = true;
    entry.wasTransmitted = true;
    const params = { ...entry.params, id, ...(this.#isCounted ? { number } : {}) };
    try {
      const result = (await session.call(spec, params, {
        deadlineMs: TRY_DEADLINE_MS,
        signal: this.#stopped.signal,
      })) as object;
      this.#settle(entry, { result });
    } catch (thrown) {
      const error = toParleyError(thrown);
      if (isUnanswered(error) || error.code === 'OUT_OF_ORDER' || error.code === 'CANCELLED') return error;
      if (entry.asking.size === 0 && PASSING.has(error.code)) return error;
      // Its number may not have been used up: then the next one is told so.
      log.debug({ code: error.code }, 'a message was refused');
      this.#settle(entry, { error });
    } finally {
      entry.inFlight = false;
    }
    return undefined;
  }

  #settle(entry: Entry, outcome: Outcome): void {
    this.#options.entries.setSent(entry, outcome);
    if (entry.asking.size === 0 && 'error' in outcome) this.#options.onRefused(entry, outcome.error);
    for (const settle of [...entry.asking]) settle(outcome);
  }

  /** One more round without an answer; who has waited long enough is told so, and the message stays. */
  #countTries(reason: ParleyError | undefined): void {
    for (const entry of this.#waiting()) {
      if (++entry.tries <= RETRY_PAUSES_MS.length) continue;
      const error = stays(reason);
      for (const settle of [...entry.asking]) settle({ error });
    }
  }

  /** Until then, or until the server is back, or somebody asks. */
  async #pause(ms: number): Promise<void> {
    const { clock } = this.#options;
    const session = this.#options.session();
    const wasOnline = session.state.kind === 'online';
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, () => done());
      const back = new AbortController();
      const done = (): void => {
        cancel();
        back.abort();
        resolve();
      };
      this.#wakePause = (): void => {
        if (this.#stopped.signal.aborted || ms === LONG_PAUSE_MS) done();
      };
      if (!wasOnline) session.untilOnline(back.signal).then(done, () => undefined);
    });
    this.#wakePause = () => undefined;
  }
}

function awayFrom(state: Session['state']): ParleyError {
  const server = state.kind === 'away' ? `${state.address.host}:${state.address.port}` : 'the server';
  return new ParleyError('SERVER_UNREACHABLE', { server, reason: 'the connection was lost, the agent keeps trying' });
}

/** The same, saying what becomes of the message. */
function stays(error: ParleyError | undefined): ParleyError {
  const kept =
    'the message stays in the outbox and goes out when it is back; the same command again sends no second one';
  const { server = 'the server', reason = 'no answer' } = error?.details ?? {};
  return new ParleyError('SERVER_UNREACHABLE', { server, reason: `${String(reason)}; ${kept}` }, { cause: error });
}
