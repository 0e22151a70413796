/** How every transfer stands, both ways: for `transfers`, `status` and those who listen. */
import type { Clock } from '../../protocol/clock.js';
import type { ParleyError } from '../../protocol/errors.js';
import type { TransferState } from '../../protocol/events.js';
import type { DownloadProgress } from '../../p2p/ledger.js';
import type { Provider } from '../../p2p/provider.js';
import type { FaceEvents } from './faceevents.js';

/** Ended transfers that are remembered, the newest. */
const MAX_ENDED = 100;
/** Milliseconds between events of one transfer to those who listen. */
const TELL_EVERY_MS = 1_000;

/** One download, as whoever runs it reports it. */
export interface Tracked {
  readonly state: TransferState;
  progress(progress: DownloadProgress): TransferState;
  /** `error` undefined: it is done. */
  end(error: ParleyError | undefined): TransferState;
}

export class Transfers {
  readonly #clock: Clock;
  readonly #events: FaceEvents;
  readonly #provider: Pick<Provider, 'uploads'>;
  readonly #running = new Set<Tracked>();
  readonly #ended: TransferState[] = [];

  constructor(options: { clock: Clock; events: FaceEvents; provider: Pick<Provider, 'uploads'> }) {
    this.#clock = options.clock;
    this.#events = options.events;
    this.#provider = options.provider;
  }

  /** Whether anything is moving. */
  get active(): boolean {
    return this.#running.size > 0 || this.#provider.uploads().length > 0;
  }

  list(): TransferState[] {
    const uploads = this.#provider.uploads().map(({ user, file, sizeBytes, bytes, rate }) => ({
      file,
      direction: 'upload' as const,
      state: 'running' as const,
      sizeBytes,
      bytes,
      rate,
      sources: [{ user, bytes, rate }],
    }));
    return [...this.#ended, ...[...this.#running].map(({ state }) => state), ...uploads];
  }

  /** Begins to follow a download. */
  begin(file: string, sizeBytes: number): Tracked {
    let toldMs = this.#clock.monotonicMs();
    let state: TransferState = {
      file,
      direction: 'download',
      state: 'waiting',
      sizeBytes,
      bytes: 0,
      rate: 0,
      sources: [],
    };
    const tell = (): void => {
      toldMs = this.#clock.monotonicMs();
      this.#events.publish({ type: 'transfer', at: this.#events.now(), transfer: state });
    };
    const tracked: Tracked = {
      get state() {
        return state;
      },
      progress: (progress) => {
        state = stateOf(file, progress);
        if (this.#clock.monotonicMs() - toldMs >= TELL_EVERY_MS) tell();
        return state;
      },
      end: (error) => {
        const { sizeBytes: size, bytes, sources } = state;
        const last = { file, direction: state.direction, sizeBytes: size, bytes, rate: 0, sources };
        state = error === undefined ? { ...last, state: 'done' } : { ...last, state: 'failed', code: error.code };
        this.#running.delete(tracked);
        this.#ended.push(state);
        if (this.#ended.length > MAX_ENDED) this.#ended.shift();
        tell();
        return state;
      },
    };
    this.#running.add(tracked);
    tell();
    return tracked;
  }
}

function stateOf(file: string, { sizeBytes, bytes, rate, secondsLeft, sources }: DownloadProgress): TransferState {
  return {
    file,
    direction: 'download',
    state: rate > 0 || bytes === sizeBytes ? 'running' : 'waiting',
    sizeBytes,
    bytes,
    rate,
    ...(secondsLeft === undefined ? {} : { secondsLeft }),
    sources: sources.map(({ user, bytes: sent, rate: speed }) => ({ user, bytes: sent, rate: speed })),
  };
}
