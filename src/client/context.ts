/** What a face's work needs to know of where it is done. */
import type { Settings } from './settings.js';

export interface FaceContext {
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** Says a sentence on stderr. */
  readonly notice: (text: string) => void;
}
