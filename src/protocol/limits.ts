/** Every limit of what travels: name, unit, default, reason. docs/PROTOCOL.md repeats this table. */

/** Bytes of a frame that carries JSON: the largest message (16 KiB, escaped) or page of a list fits, a flood does not. */
export const MAX_CONTROL_BYTES = 64 * 1024;
/** Bytes of a frame that carries data: one block. */
export const MAX_DATA_BYTES = 1024 * 1024;
/** Bytes of a frame that carries JSON before login: hello, login and resume fit; a stranger gets no more memory than this. */
export const MAX_UNAUTHENTICATED_BYTES = 4 * 1024;
/** How long a connection may stay without login: a stranger holds a socket no longer than this. */
export const LOGIN_DEADLINE_MS = 10_000;
/** Nesting of JSON: deeper than any message of ours, shallow enough for every parser. */
export const MAX_JSON_DEPTH = 16;
/** Bytes of a call's byte stream that may travel before the receiver grants more credit: one block. */
export const STREAM_WINDOW_BYTES = MAX_DATA_BYTES;
/** Bytes of output that may wait for a reader that does not read; the pushed event that passes it closes the connection. */
export const MAX_QUEUED_EVENT_BYTES = 256 * 1024;
/** Calls of one end that may be unanswered at once; the next one is refused with SERVER_BUSY. */
export const MAX_OPEN_CALLS = 256;
/** Silence after which a ping is sent, and again and again while it lasts. */
export const PING_INTERVAL_MS = 15_000;
/** Silence after which the other end is taken for dead. */
export const DEAD_AFTER_MS = 45_000;
/** How long an ordinary call waits for its answer. */
export const CALL_DEADLINE_MS = 30_000;
/** Bytes of a message's text in UTF-8. */
export const MAX_MESSAGE_BYTES = 16 * 1024;
/** Characters of a user's or group's name. */
export const MAX_NAME_LENGTH = 32;
/** Bytes of a file name in UTF-8: what common file systems take. */
export const MAX_FILE_NAME_BYTES = 255;
/** Bytes of a password in UTF-8: Argon2 takes any, a login frame has 4 KiB. */
export const MAX_PASSWORD_BYTES = 1024;
/** Chunks of a file: the bitmap of a holder is then at most 8 KiB. */
export const MAX_CHUNKS = 65_536;
/** Bytes of a block, the unit that is requested, verified and resumed. */
export const BLOCK_BYTES = MAX_DATA_BYTES;
/** Bytes of blocks in one request, and the credit of its stream: four take a tenth less CPU than one at a time, and a fast link 20 ms. */
export const MAX_REQUEST_BYTES = 4 * BLOCK_BYTES;
/** Bytes of a file: what a number counts exactly. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;
/** Files and folders in a shared folder: a folder of photographs or a source tree fits, and what a downloader keeps of it stays under 100 MB. */
export const MAX_FOLDER_ENTRIES = 100_000;
/** Bytes of the index of a shared folder: 160 for each entry of the largest. */
export const MAX_INDEX_BYTES = 16 * 1024 * 1024;
/** Bytes of a path inside a shared folder: with the folder it is downloaded into it fits what systems take. */
export const MAX_FOLDER_PATH_BYTES = 1024;
/** Names in a path inside a shared folder. */
export const MAX_FOLDER_DEPTH = 32;
/** How long an introduction may be used. */
export const INTRODUCTION_TTL_MS = 30_000;
/** Chunk numbers in one call: fits a control frame. */
export const MAX_INDICES_PER_CALL = 4_096;
/** Runs of blocks in one event of those who watch what a peer holds: fits a control frame. */
export const MAX_RUNS_PER_EVENT = 1_024;
/** Messages in one page of the inbox on the wire; the agent asks for as many pages as needed. */
export const MAX_INBOX_PAGE = 500;
