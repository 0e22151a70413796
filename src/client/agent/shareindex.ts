/** `shares.json`: what this user offers, so that a restart knows it without reading a byte of it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf } from '../../chunks/fserrors.js';
import { ParleyError } from '../../protocol/errors.js';
import { chunkCount, digest, indexBytes, sizeBytes } from '../../protocol/values.js';
import { replaceFile } from './durablefile.js';

export const SHARES_FILE = 'shares.json';

const record = z.object({
  /** Whose it is: one home may serve several accounts, one after another. */
  account: z.string(),
  /** The name it is registered under. */
  file: z.string(),
  root: digest,
  sizeBytes,
  chunks: chunkCount,
  /** Of a folder only. */
  indexBytes,
  /** Where it is; of a file that is being fetched: where it will be. */
  path: z.string(),
  state: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('whole'),
      /** By what the file or folder is recognised without reading it. */
      identity: z.object({ sizeBytes, mtimeNs: z.string(), ino: z.string() }),
    }),
    z.object({ kind: z.literal('part') }),
  ]),
});
const indexFile = z.object({ version: z.literal(1), shares: z.array(record) });

export type ShareRecord = Readonly<z.output<typeof record>>;
export type WholeRecord = ShareRecord & { readonly state: { readonly kind: 'whole' } };

/** One process owns it: the agent. A change is on disk when its promise is fulfilled. */
export class ShareIndex {
  readonly #path: string;
  /** By path. */
  readonly #records: Map<string, ShareRecord>;
  #saved: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  private constructor(path: string, records: readonly ShareRecord[]) {
    this.#path = path;
    this.#records = new Map(records.map((each) => [each.path, each]));
  }

  /** @throws ParleyError STATE_DAMAGED when the file is there but cannot be used */
  static async open(home: string): Promise<ShareIndex> {
    const path = join(home, SHARES_FILE);
    try {
      return new ShareIndex(path, indexFile.parse(JSON.parse(await readFile(path, 'utf8'))).shares);
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return new ShareIndex(path, []);
      const reason = errnoOf(cause) ?? 'it is no list of shares';
      const next = 'restore it from a backup; or move it away, and offer your files again with client seed';
      throw new ParleyError('STATE_DAMAGED', { path, reason, next }, { cause });
    }
  }

  all(account: string): ShareRecord[] {
    return [...this.#records.values()].filter((each) => each.account === account);
  }

  get(path: string): ShareRecord | undefined {
    return this.#records.get(path);
  }

  /** @throws ParleyError DISK_FULL */
  put(added: ShareRecord): Promise<void> {
    this.#records.set(added.path, added);
    return this.#save();
  }

  /** Removes a record, unless another has taken its place. @throws ParleyError DISK_FULL */
  async remove(removed: ShareRecord): Promise<void> {
    if (this.#records.get(removed.path) !== removed) return;
    this.#records.delete(removed.path);
    await this.#save();
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#saved.catch(() => undefined);
  }

  /** Changes during a write go out together in the next one. */
  #save(): Promise<void> {
    if (this.#next === undefined) {
      this.#next = this.#saved
        .catch(() => undefined)
        .then(() => {
          this.#next = undefined;
          return replaceFile(this.#path, this.#encode());
        });
      this.#saved = this.#next;
    }
    return this.#next;
  }

  #encode(): string {
    return `${JSON.stringify({ version: 1, shares: [...this.#records.values()] }, undefined, 1)}\n`;
  }
}
