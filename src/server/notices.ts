/** What the server itself says to a client. */
import { encodeEvent } from '../protocol/connection.js';
import { NOTICE_CODES } from '../protocol/events.js';
import type { NoticeCode } from '../protocol/events.js';

/** A notice as an event frame, for any number of connections. */
export function encodeNotice(code: NoticeCode, epochMs: number, about: NoticeSubject = {}): Buffer {
  const { text = NOTICE_CODES[code], ...rest } = about;
  return encodeEvent({ type: 'notice', code, from: 'server', text, at: new Date(epochMs).toISOString(), ...rest });
}

export interface NoticeSubject {
  /** When the code's own sentence does not say enough. */
  readonly text?: string;
  readonly group?: string;
  readonly user?: string;
}
