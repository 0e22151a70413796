/** One definition per command: everything that needs to know a command reads it from here. */
import type { z } from 'zod';
import type { ErrorCode } from './errors.js';

/**
 * Where a command is answered: `server` by the server for a client; `client` by a client for the server; `peer` by the other end
 * of a direct link; `agent` by the user's own agent for a shell or a one-shot command; `admin` by the server for its operator, over a
 * socket in its data directory.
 */
export type Place = 'server' | 'client' | 'peer' | 'agent' | 'admin';

/** How one word or more of a command line becomes one parameter. */
export interface CliArgument {
  /** The parameter it fills. */
  readonly param: string;
  /** The name in the usage line, when it is not the parameter's. */
  readonly label?: string;
  /**
   * `word` as it is; `integer` a whole number; `integers` all remaining words as whole numbers; `text` all remaining words joined
   * (in the shell: the rest of the line as typed); `path` made absolute from where it was typed.
   */
  readonly kind: 'word' | 'integer' | 'integers' | 'text' | 'path';
  readonly optional?: boolean;
  /** What Tab offers for it. */
  readonly completes?: 'user' | 'group' | 'file' | 'path' | 'chunk';
}

export interface CliOption {
  /** As commander writes it: `-o, --output <path>`; without `<…>` it is true when given. */
  readonly flags: string;
  readonly param: string;
  readonly kind: 'flag' | 'word' | 'integer' | 'path' | 'names' | 'rate';
  readonly says: string;
  readonly completes?: CliArgument['completes'];
}

export interface Cli {
  readonly aliases?: readonly string[];
  readonly arguments: readonly CliArgument[];
  readonly options?: readonly CliOption[];
  /** Turns another spelling of the words into the ordinary one, before they are parsed. */
  readonly rewrite?: (words: readonly string[]) => readonly string[];
  readonly examples: readonly { readonly line: string; readonly says: string }[];
}

export interface CommandSpec<
  Name extends string = string,
  Params extends z.ZodType = z.ZodType,
  Result extends z.ZodType = z.ZodType,
> {
  readonly name: Name;
  readonly place: Place;
  /** One sentence for help and the reference. */
  readonly says: string;
  readonly params: Params;
  readonly result: Result;
  /** Codes that this command itself refuses with; those of the connection may come with any. */
  readonly errors: readonly ErrorCode[];
  /** Events that may come before the reply. */
  readonly events?: z.ZodType;
  /** A byte stream that follows the call, ended by an empty data frame. */
  readonly body?: string;
  /** A byte stream that comes before the reply. */
  readonly bytes?: string;
  /** Bytes of that stream that may travel before more credit is granted; STREAM_WINDOW_BYTES when absent. */
  readonly windowBytes?: number;
  /** Fields of the result that are lists and, when the reply would be too large, come in pages before it. */
  readonly pages?: readonly string[];
  /** May be called before login. */
  readonly beforeLogin?: true;
  /** Does not count as the user's activity. */
  readonly passive?: true;
  /** May also be told with id 0: then nobody answers, whatever becomes of it. */
  readonly tellable?: true;
  /** May take as long as it takes: no deadline unless the caller sets one. */
  readonly unbounded?: true;
  /** Present when a person can type it. */
  readonly cli?: Cli;
}

export type ParamsOf<S> = S extends CommandSpec<string, infer P> ? z.output<P> : never;
export type ParamsIn<S> = S extends CommandSpec<string, infer P> ? z.input<P> : never;
export type ResultOf<S> = S extends CommandSpec<string, z.ZodType, infer R> ? z.output<R> : never;
export type ResultIn<S> = S extends CommandSpec<string, z.ZodType, infer R> ? z.input<R> : never;

/** What a handler can do with its call besides answering it. */
export interface IncomingCall {
  /** Aborts when the caller cancels or the connection closes. */
  readonly signal: AbortSignal;
  /** The byte stream after the call; empty unless the spec has a `body`. */
  readonly body: AsyncIterable<Buffer>;
  /** Sends an event of this call, once the connection takes more. */
  emit(event: object): Promise<void>;
  /** Sends bytes of this call's stream, once credit and connection allow. */
  write(bytes: Buffer): Promise<void>;
  /**
   * The same without a copy: `framed` begins with HEADER_BYTES that are overwritten, its payload of at most a block follows.
   * The buffer may be used again when the promise resolves.
   */
  writeInPlace(framed: Buffer): Promise<void>;
  /**
   * The last bytes of the stream and an empty reply in one write, without a copy: the payload of at most a block stands in `room`
   * behind HEADER_BYTES, and EMPTY_REPLY_BYTES are free behind it. What the handler returns afterwards is not sent.
   * `room` may be used again when the promise resolves.
   */
  answerInPlace(room: Buffer, payloadBytes: number): Promise<void>;
}

/** A handler for every command of a list; the compiler says which is missing. */
export type Handlers<Specs, Context> = {
  readonly [N in keyof Specs]: (
    params: ParamsOf<Specs[N]>,
    context: Context,
    call: IncomingCall,
  ) => Promise<ResultIn<Specs[N]>> | ResultIn<Specs[N]>;
};

/** Checks a definition's types and hands it back. */
export function defineCommand<const Name extends string, Params extends z.ZodType, Result extends z.ZodType>(
  spec: CommandSpec<Name, Params, Result>,
): CommandSpec<Name, Params, Result> {
  return spec;
}
