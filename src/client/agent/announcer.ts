/** Keeps the server told which chunks of which file are held here: one statement a file at a time, the newest truth. */
import { pause } from '../../protocol/clock.js';
import type { Clock } from '../../protocol/clock.js';
import type { ParamsIn } from '../../protocol/command.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { ParleyError } from '../../protocol/errors.js';
import { toParleyError } from '../../protocol/errors.js';
import { MAX_INDICES_PER_CALL } from '../../protocol/limits.js';
import type { Digest } from '../../protocol/values.js';
import { countBits } from './bitmaps.js';
import type { Session } from './session.js';

/** What is held of a file; `chunks` undefined when nothing is, and nothing is being fetched. */
export interface Statement {
  readonly root: Digest;
  readonly chunks: ParamsIn<typeof serverCommands.hold>['chunks'] | undefined;
  /** Blocks of other chunks are here as well, or come. */
  readonly partial?: true;
}

/** What to say of a file of so many chunks of which these are held whole. */
export function statementOf(root: Digest, chunks: number, bitmap: Buffer, isPartial: boolean): Statement {
  const held = countBits(bitmap);
  if (held === chunks) return { root, chunks: 'all' };
  const some = { root, chunks: { bitmap: bitmap.toString('base64') } };
  if (isPartial) return { ...some, partial: true };
  return held === 0 ? { root, chunks: undefined } : some;
}

/** Milliseconds between announcements of more chunks of a file: those who fetch it are told sooner, over their links. */
const CHUNKS_PAUSE_MS = 250;

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly session: Pick<Session, 'call'>;
  /** What is held now; undefined when nothing of the file is known here. */
  readonly statement: (file: string) => Statement | undefined;
  /** The same without its chunks, which takes a while with many of them. */
  readonly about: (file: string) => Omit<Statement, 'chunks'> | undefined;
  /** The server does not take it: the file is registered no more, or as other bytes. */
  readonly onRefused: (file: string, error: ParleyError) => void;
}

interface Pending {
  /** Chunks to be added to what the server knows, or all that is held. */
  news: number[] | 'all of it' | undefined;
  telling: Promise<void> | undefined;
  /** Somebody waits: no pause between two announcements. */
  isUrgent: boolean;
  /** Ends the pause. */
  hurry: () => void;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #files = new Map<string, Pending>();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Tells all that is held of a file. Resolves when the server knows, or is not there to be told: coming back tells everything. */
  tell(file: string): Promise<void> {
    const pending = this.#pending(file);
    pending.news = 'all of it';
    urge(pending);
    return this.#run(file, pending);
  }

  /** Tells of more chunks; those that come while the last ones are told go out together: all that is held, when they are too many for one call. */
  add(file: string, chunks: readonly number[]): void {
    const pending = this.#pending(file);
    const news = pending.news ?? [];
    if (news === 'all of it' || news.length + chunks.length > MAX_INDICES_PER_CALL) pending.news = 'all of it';
    else pending.news = [...news, ...chunks];
    void this.#run(file, pending);
  }

  /** Resolves when nothing about the file is left to be told. */
  async settled(file: string): Promise<void> {
    const pending = this.#files.get(file);
    if (pending === undefined) return;
    urge(pending);
    await pending.telling;
  }

  #pending(file: string): Pending {
    const pending = this.#files.get(file) ?? { news: undefined, telling: undefined, isUrgent: false, hurry: ignore };
    this.#files.set(file, pending);
    return pending;
  }

  #run(file: string, pending: Pending): Promise<void> {
    pending.telling ??= this.#tellAll(file, pending).finally(() => {
      pending.telling = undefined;
      if (pending.news === undefined) this.#files.delete(file);
    });
    return pending.telling;
  }

  async #tellAll(file: string, pending: Pending): Promise<void> {
    while (pending.news !== undefined) {
      const { news } = pending;
      pending.news = undefined;
      try {
        await (news === 'all of it' ? this.#tellStatement(file) : this.#tellMore(file, news));
        await this.#rest(pending);
      } catch (thrown) {
        const error = toParleyError(thrown);
        if (error.code === 'FILE_NOT_REGISTERED' || error.code === 'BYTES_DIFFER' || error.code === 'CHUNK_NOT_FOUND') {
          this.#options.onRefused(file, error);
        }
        // Else the server is away: it is told everything when it is back.
      }
    }
  }

  async #tellStatement(file: string): Promise<void> {
    const { session, statement } = this.#options;
    const held = statement(file);
    if (held?.chunks === undefined) await session.call(serverCommands.release, { file });
    else await session.call(serverCommands.hold, { ...held, file, chunks: held.chunks });
  }

  async #tellMore(file: string, add: number[]): Promise<void> {
    const { session, about } = this.#options;
    const held = about(file);
    if (held !== undefined) await session.call(serverCommands.hold, { ...held, file, chunks: { add } });
  }

  /** Chunks that become whole meanwhile are told together. */
  async #rest(pending: Pending): Promise<void> {
    if (pending.isUrgent) return;
    const hurry = new AbortController();
    pending.hurry = () => hurry.abort();
    await pause(this.#options.clock, CHUNKS_PAUSE_MS, hurry.signal);
    pending.hurry = ignore;
  }
}

function urge(pending: Pending): void {
  pending.isUrgent = true;
  pending.hurry();
}

const ignore = (): void => undefined;
