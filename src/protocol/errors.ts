/** The one table of error codes: what is said, whether trying again may help, and the exit code of a command that ends so. */

/** Exit codes of both executables (CONTRACT section 3). */
export const EXIT = { done: 0, refused: 1, usage: 2, unreachable: 3, identity: 4, bytes: 5, interrupted: 130 } as const;

interface ErrorRow {
  /** One sentence: what was wrong and the next step. `{name}` is replaced by that detail. */
  readonly message: string;
  readonly retryable: boolean;
  readonly exit: number;
}

const refused = (message: string): ErrorRow => ({ message, retryable: false, exit: EXIT.refused });
const tryAgain = (message: string): ErrorRow => ({ message, retryable: true, exit: EXIT.refused });
const unreachable = (message: string): ErrorRow => ({ message, retryable: true, exit: EXIT.unreachable });
const identity = (message: string, retryable = false): ErrorRow => ({ message, retryable, exit: EXIT.identity });
const bytes = (message: string, retryable: boolean): ErrorRow => ({ message, retryable, exit: EXIT.bytes });

export const ERRORS = {
  // What was typed or sent.
  USAGE: { message: '{reason}', retryable: false, exit: EXIT.usage },
  BAD_REQUEST: refused('the request for {command} is not of its form: {reason}'),
  BAD_NAME: refused("the name '{name}' cannot be used: {reason}"),
  UNKNOWN_COMMAND: refused('{command} is not a command here; see docs/PROTOCOL.md'),
  PROTOCOL_ERROR: refused('the other end does not keep to the protocol ({reason}); the connection is closed'),
  VERSION_MISMATCH: refused('no common protocol version: ours is {ours}, theirs is {theirs}; update the older one'),
  SERVER_BUSY: tryAgain('the server has too much to do just now; try again in a few seconds'),
  INTERNAL: refused('something failed that should not have ({reason}); nothing that was acknowledged is lost'),
  STATE_DAMAGED: refused('{path} cannot be used ({reason}); {next}'),
  CANCELLED: { message: 'interrupted before it was done', retryable: true, exit: EXIT.interrupted },

  // Out of reach.
  SERVER_UNREACHABLE: unreachable(
    'the server at {server} cannot be reached ({reason}); check its address and try again',
  ),
  PEER_UNREACHABLE: unreachable('no direct link to {user} could be made or kept ({reason}); try again'),
  NO_HOLDER: unreachable('nobody who can be reached holds {what}; try again when a holder is back'),
  TIMEOUT: unreachable('no answer within {seconds} s; try again'),
  AGENT_GONE: tryAgain('the agent went away ({reason}); run the command again, it starts a new one'),

  // Who is who.
  LOGIN_REQUIRED: identity(
    'not logged in; give a user and password (client login NAME, or PARLEY_USER and PARLEY_PASSWORD)',
  ),
  BAD_CREDENTIALS: identity('user name or password is wrong; check both and try again'),
  LOCKED_OUT: identity('too many failed logins; try again in {retryAfterSeconds} s', true),
  ALREADY_LOGGED_IN: identity('{user} is logged in already ({where}); log out there first'),
  AGENT_RUNNING: refused(
    'an agent is running already for {home}; end it with client logout, or give this one a folder of its own with --home',
  ),
  KEY_CHANGED: identity(
    'the key of {who} is not the one seen before, so someone may be in between; when you know why it changed: {next}',
  ),

  // Messages.
  UNKNOWN_USER: refused('no user is named {user}; check the spelling'),
  USER_OFFLINE: refused('{user} is not online; send a message, it is kept for them'),
  SELF: refused('that is you; name someone else'),
  BLOCKED: refused('{user} does not take this from you, or you block {user}'),
  ALREADY_BLOCKED: refused('{user} is blocked already'),
  NOT_BLOCKED: refused('{user} is not blocked'),
  EMPTY_MESSAGE: refused('the message has no text; add some'),
  MESSAGE_TOO_LONG: refused(
    'the message has {bytes} bytes, at most {limit} are taken; shorten it or share it as a file',
  ),
  INBOX_FULL: tryAgain('the inbox of {user} is full; try again when they have read it'),

  // Groups.
  GROUP_EXISTS: refused('a group {group} exists already; join it or take another name'),
  NO_SUCH_GROUP: refused('there is no group {group}; list_groups shows those there are'),
  ALREADY_IN_GROUP: refused('you are in group {group} already'),
  NOT_IN_GROUP: refused('you are not in {which}; join_group enters one'),
  IN_FOCUS_GROUP: refused('you are in group {group}, which keeps the outside out; leave_group first'),

  TOO_MANY_GROUPS: refused('you have made {limit} groups already; use those there are'),
  OUT_OF_ORDER: tryAgain('this device sends number {expected} next; the agent counts anew and sends again'),

  // Private links.
  PRIVATE_EXISTS: refused('a private chat with {user} stands already; just use private {user} TEXT'),
  NO_PRIVATE_LINK: refused('no private chat with {user}; begin one with startprivate {user}'),
  KEY_REQUIRED: refused(
    'this session showed no key, so it can have no direct links; connect with a client certificate',
  ),
  BAD_INTRODUCTION: refused('this link was not introduced, or too late, or for something else'),

  // Files.
  FILE_ALREADY_REGISTERED: refused(
    'a file named {file} is registered already; rename yours, seed it if it is the same, or unregister your old one',
  ),
  FILE_NOT_REGISTERED: refused('no file named {file} is registered; files lists those there are'),
  FILE_MISSING: refused('{path} cannot be read as a file ({reason}); check the path'),
  BAD_FOLDER_INDEX: refused(
    'the index of the folder {file} cannot be used: {reason}; its owner has to register it again',
  ),
  BAD_CHUNK_COUNT: refused('a file of {sizeBytes} bytes can have 1 to {limit} chunks, not {chunks}'),
  NOT_OWNER: refused('{file} belongs to {owner}; only its owner can unregister it'),
  BYTES_DIFFER: refused('the bytes of {path} are not those registered as {file}'),
  CHUNK_NOT_FOUND: refused('{file} has chunks 0 to {last}, not {index}'),
  TARGET_EXISTS: refused('{path} exists and holds other bytes; choose another with -o, or add --overwrite'),
  TARGET_BUSY: tryAgain(
    '{path} is being written already, by process {pid}; wait for it, or choose another target with -o',
  ),
  TOO_MANY_FILES: refused('{limit} {what} are registered by you already; unregister some first'),
  CHUNK_GONE: bytes('chunk {chunk} cannot be had from this holder any more; try again, another may have it', true),
  HASH_MISMATCH: bytes(
    'the bytes that came for {file} are not the registered ones; try again, another holder may have them',
    true,
  ),
  DATA_IN_USE: refused(
    'another server is running on the data directory {path}; stop it, or give this one its own with --data',
  ),
  DISK_FULL: bytes('{path} cannot be written ({reason}); mend that and run the same command again, it resumes', true),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** What an error says besides its code; only plain JSON values, and never secrets or message texts. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly (string | number)[]>>;

/** The one error that crosses module borders and wires; `cause` stays in this process. */
export class ParleyError extends Error {
  override readonly name = 'ParleyError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(describe(code, details), options);
    this.code = code;
    this.details = details;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  get exitCode(): number {
    return ERRORS[this.code].exit;
  }
}

/** A detail, and what it counts. */
const DETAIL = /\{(\w+)\}( (?:byte|chunk)s)?/g;

/** The sentence for a code, with its details filled in. */
export function describe(code: ErrorCode, details: ErrorDetails = {}): string {
  return ERRORS[code].message.replace(DETAIL, (_, name: string, counted: string = '') => {
    const value = details[name];
    if (value === undefined) return `${name === 'reason' ? 'no reason given' : `that ${name}`}${counted}`;
    if (value === 1) return `1${counted.replace(/s$/, '')}`;
    return `${Array.isArray(value) ? value.join(', ') : String(value)}${counted}`;
  });
}

/** An error as scripts read it: `{"error":{"code","message","retryable"}}`, and its details beside them. */
export function errorJson({ code, message, retryable, details }: ParleyError): object {
  const said = { code, message, retryable };
  return { error: { ...said, ...details, ...said } };
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** Whatever was thrown, as a ParleyError; an unforeseen one becomes INTERNAL with its cause kept, an abort CANCELLED. */
export function toParleyError(thrown: unknown): ParleyError {
  if (thrown instanceof ParleyError) return thrown;
  if (thrown instanceof Error && thrown.name === 'AbortError')
    return new ParleyError('CANCELLED', {}, { cause: thrown });
  const reason = thrown instanceof Error ? thrown.message : 'a value was thrown';
  return new ParleyError('INTERNAL', { reason }, { cause: thrown });
}
