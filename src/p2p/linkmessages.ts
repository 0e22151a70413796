/** What the thread with the picker and a thread that has links say to each other. Plain data: it is copied on the way. */
import type { BlockJobResult, BlockWork } from '../chunks/blockjob.js';
import type { PackedError } from '../chunks/fserrors.js';
import type { peerCommands } from '../protocol/commands/peer.js';
import type { IntroducedDial } from './dialer.js';
import type { FetchParams } from './link.js';

/** A link has a number, and so has whatever is answered. */
export type ToLinks =
  | {
      readonly kind: 'dial';
      readonly link: number;
      readonly id: number;
      readonly options: Omit<IntroducedDial, 'prepare' | 'signal' | 'clock'>;
      /** A BigInt64Array with one number, which is kept at the bytes that the link has received. */
      readonly received: SharedArrayBuffer;
    }
  | {
      readonly kind: 'call';
      readonly link: number;
      readonly id: number;
      readonly command: keyof typeof peerCommands;
      readonly params: unknown;
      /** The default of a call when absent. */
      readonly deadlineMs?: number;
    }
  | {
      readonly kind: 'take';
      readonly link: number;
      readonly id: number;
      readonly params: FetchParams;
      readonly work: BlockWork;
    }
  | { readonly kind: 'ping'; readonly link: number; readonly id: number; readonly timeoutMs: number }
  /** What has that number is to come to an end soon; it is answered all the same. */
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'destroy'; readonly link: number };

export type FromLinks =
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  /** `error`: an error as it travels in a frame. */
  | { readonly kind: 'refusal'; readonly id: number; readonly error: object }
  | { readonly kind: 'event'; readonly id: number; readonly event: unknown }
  | { readonly kind: 'bytes'; readonly id: number; readonly bytes: Uint8Array }
  /** Once for each link that was opened. */
  | { readonly kind: 'closed'; readonly link: number; readonly error?: object | undefined };

/** What a 'take' is answered with: as `TakenIn`, with errors as they travel: between threads, and in a frame. */
export interface TakenAnswer {
  readonly result: BlockJobResult;
  readonly failure:
    | { readonly kind: 'wrong length' }
    | { readonly kind: 'refused'; readonly error: object }
    | { readonly kind: 'unwritable'; readonly error: PackedError }
    | undefined;
}
