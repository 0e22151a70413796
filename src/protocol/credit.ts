/** Credit of one byte stream: how many bytes may still be sent before the receiver grants more. */
import { ParleyError } from './errors.js';

export class CreditGate {
  #available: number;
  #waiting: { bytes: number; resolve: () => void; reject: (error: ParleyError) => void }[] = [];
  #closed = false;

  constructor(windowBytes: number) {
    this.#available = windowBytes;
  }

  /** Resolves in order, once so many bytes may be sent. @throws ParleyError CANCELLED when the stream ends before */
  async take(bytes: number): Promise<void> {
    if (this.#closed) throw new ParleyError('CANCELLED');
    if (this.#waiting.length === 0 && bytes <= this.#available) {
      this.#available -= bytes;
      return;
    }
    await new Promise<void>((resolve, reject) => this.#waiting.push({ bytes, resolve, reject }));
  }

  grant(bytes: number): void {
    this.#available += bytes;
    let first = this.#waiting[0];
    while (first !== undefined && first.bytes <= this.#available) {
      this.#available -= first.bytes;
      this.#waiting.shift();
      first.resolve();
      first = this.#waiting[0];
    }
  }

  close(): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new ParleyError('CANCELLED'));
  }
}
