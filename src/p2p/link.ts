/** What both ends of a direct link share: the TLS rules, whose key the other end showed, and the link itself. */
import { constants } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import type { CommonConnectionOptions, SecureContextOptions, TLSSocket } from 'node:tls';
import type { BlockJobResult, BlockWork } from '../chunks/blockjob.js';
import { publicKeyOf } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import type { ParamsOf } from '../protocol/command.js';
import type { peerCommands } from '../protocol/commands/peer.js';
import type { Connection } from '../protocol/connection.js';
import type { Purpose } from '../protocol/commands/server/introduce.js';
import { ParleyError } from '../protocol/errors.js';
import { MAX_UNAUTHENTICATED_BYTES } from '../protocol/limits.js';
import type { FrameCaps } from '../protocol/frame.js';
import type { CameFailure } from './arrivingpieces.js';

/** A direct link whose other end has shown the introduced key, which is the pinned one, and named the introduction. */
export interface PeerLink extends DialledLink {
  /** The id of the introduction that allowed it. */
  readonly id: string;
  /** The other end's key: SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
  /** One link has one purpose: a chat never waits behind a chunk. */
  readonly purpose: Purpose;
  readonly connection: Connection;
}

/** What is needed of the connection of a link that only this end calls over: it may be in another thread. */
export type LinkConnection = Pick<Connection, 'call' | 'alive' | 'closed' | 'destroy'>;

/** What came of blocks that a link was asked to take in. */
export interface TakenIn {
  /** Of as many of the blocks as came, from the first on. */
  readonly result: BlockJobResult;
  /** Why not all that were wanted came, or were written. */
  readonly failure: TakenFailure | undefined;
}
export type TakenFailure =
  | CameFailure
  /** They came, and the file system refused them. */
  | { readonly kind: 'unwritable'; readonly error: Error };

/** What a download needs of a link; where the work is done is the link's affair. */
export interface HolderLink {
  readonly connection: LinkConnection;
  /** Bytes that came over the link so far, verified or not: shows whether it moves. */
  bytesReceived(): number;
  /**
   * Asks for blocks that stand side by side, checks them and writes those that are good, in the thread that has the link; absent when this is the
   * one. Settles only when nothing is written any more.
   * @throws ParleyError PEER_UNREACHABLE when the thread is lost
   */
  readonly takeBlocks?: (params: FetchParams, work: BlockWork, signal: AbortSignal) => Promise<TakenIn>;
}

/** A link that this end opened. */
export interface DialledLink extends HolderLink {
  /** The user at the other end. */
  readonly peer: string;
}

export type FetchParams = ParamsOf<typeof peerCommands.fetchBlock>;

/** Milliseconds for TLS and hellos together: far more than a slow network needs, far less than a person waits. */
export const LINK_DEADLINE_MS = 10_000;
/** Queued output in bytes above which a link stops reading: several blocks, since both ends may be sending them at once. */
export const LINK_PAUSE_ABOVE_BYTES = 8 * 1024 * 1024;
/** What a stranger may send before its hello was found good. */
export const CAPS_BEFORE_HELLO: FrameCaps = { controlBytes: MAX_UNAUTHENTICATED_BYTES, dataBytes: 0 };

/** TLS 1.3 only, both ends with a certificate, no tickets: a resumed session would hide the other end's certificate. */
export function linkTlsOptions(identity: Identity): LinkTlsOptions {
  return {
    key: identity.privateKeyPem,
    cert: identity.certificatePem,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // AES-128 first: a quarter less work for a block than AES-256, and nobody's way in.
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET,
    requestCert: true,
    // Certificates are self-signed: the key is judged by introduction and pin instead.
    rejectUnauthorized: false,
  };
}
type LinkTlsOptions = SecureContextOptions & Pick<CommonConnectionOptions, 'requestCert' | 'rejectUnauthorized'>;

/** The key that the other end proved to have in this handshake; undefined when it proved none, which refuses it. */
export function provenKey(socket: TLSSocket): string | undefined {
  if (socket.getProtocol() !== 'TLSv1.3' || socket.isSessionReused()) return undefined;
  // Null on a socket that is gone already, whatever the types say.
  const certificate = socket.getPeerX509Certificate() as X509Certificate | null | undefined;
  if (certificate === undefined || certificate === null) return undefined;
  try {
    return publicKeyOf(certificate.raw);
  } catch {
    return undefined;
  }
}

/** What a call over a link fails with when the link is lost. */
export function linkLost(peer: string): (reason: string) => ParleyError {
  return (reason) => new ParleyError('PEER_UNREACHABLE', { user: peer, reason });
}
