/** What this user holds and offers: known again after a restart, announced while online, withdrawn as soon as it changed. */
import { eachOf } from '../../chunks/each.js';
import type { FolderLayout } from '../../chunks/folderlayout.js';
import type { FinishedFile, Part } from '../../chunks/part.js';
import type { Clock } from '../../protocol/clock.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { Digest } from '../../protocol/values.js';
import { partShare } from '../../p2p/share.js';
import type { Share, Shares } from '../../p2p/share.js';
import { Announcer } from './announcer.js';
import type { FaceEvents } from './faceevents.js';
import { closeHolding } from './holding.js';
import type { WholeFile, Holding, PartHolding, WholeHolding } from './holding.js';
import { Holdings } from './holdings.js';
import type { HeldCount } from './holdings.js';
import type { Log } from './log.js';
import { fetchManifest } from './manifests.js';
import type { Session } from './session.js';
import { looksTheSame, reopenPart, stillThere, wholeShare } from './sharecheck.js';
import type { ShareIndex, ShareRecord, WholeRecord } from './shareindex.js';
import { ShareStores } from './sharestores.js';
import type { WholeShare } from './wholeshare.js';

/** How often shared files are looked at that nobody asked for. */
const SWEEP_MS = 30_000;
/** Files announced at once. */
const ANNOUNCED_AT_ONCE = 16;

export interface LibraryOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly session: Pick<Session, 'call'>;
  readonly events: FaceEvents;
  readonly index: ShareIndex;
}

export class Library implements Shares {
  readonly #options: LibraryOptions;
  readonly #stores: ShareStores;
  readonly #announcer: Announcer;
  readonly #holdings = new Holdings();
  readonly #stopped = new AbortController();
  /** Whose library it is; undefined before `start`. */
  #account: string | undefined;
  #cancelSweep: () => void = () => undefined;
  #started: Promise<void> = Promise.resolve();

  constructor(options: LibraryOptions) {
    this.#options = options;
    this.#stores = new ShareStores(options.home);
    this.#announcer = new Announcer({
      clock: options.clock,
      session: options.session,
      statement: (file) => this.#holdings.statement(file),
      about: (file) => this.#holdings.about(file),
      onRefused: (file, error) => void this.#onRefused(file, error),
    });
  }

  /** Whether anything is offered. */
  get offers(): boolean {
    return this.#holdings.size > 0;
  }

  find(root: Digest): Share | undefined {
    return this.#holdings.find(root);
  }

  /** What is held of each file. */
  held(): HeldCount[] {
    return this.#holdings.counts();
  }

  /** At each beginning of a session: finds again what is not known yet, and announces everything. Never rejects. */
  start(account: string): Promise<void> {
    const first = this.#account === undefined;
    this.#account = account;
    this.#started = this.#started
      .then(() => this.#begin(account, first))
      .catch((thrown: unknown) => this.#complain(thrown));
    return this.#started;
  }

  /** Resolves when what was held before is known again, so that a `.part` is not opened twice. */
  get started(): Promise<void> {
    return this.#started;
  }

  /** The holding at a path. */
  at(path: string): Holding | undefined {
    return this.#holdings.get(path);
  }

  /** Takes a whole file in, durably; not announced yet. @throws ParleyError DISK_FULL */
  async addWhole(whole: WholeFile): Promise<void> {
    const { file, root, chunks, path, identity, blockDigests, layout } = whole;
    await this.#stores.put(root, blockDigests, layout);
    const record: WholeRecord = {
      ...this.#describe(file, root, identity.sizeBytes, chunks, path, layout),
      state: { kind: 'whole', identity },
    };
    await this.#options.index.put(record);
    const before = this.#holdings.get(path);
    this.#holdWhole(record);
    if (before !== undefined) await closeHolding(before);
  }

  /** What is in a folder that is held here, in whole or in part. */
  layoutOf(root: Digest): Promise<FolderLayout | undefined> {
    return this.#stores.indexes.read(root);
  }

  /** Takes in a file that is being fetched; it is offered as far as it is there. @throws ParleyError DISK_FULL */
  async addPart(file: string, root: Digest, path: string, part: Part, layout?: FolderLayout): Promise<PartHolding> {
    if (layout) await this.#stores.indexes.put(root, layout);
    const { sizeBytes, chunks } = part.plan;
    const record: ShareRecord = {
      ...this.#describe(file, root, sizeBytes, chunks, path, layout),
      state: { kind: 'part' },
    };
    await this.#options.index.put(record);
    return this.#holdPart(record, part);
  }

  /** A part was finished: from now on it is a whole file. @throws ParleyError DISK_FULL */
  async finishPart(holding: PartHolding, { path, identity, blockDigests }: FinishedFile): Promise<void> {
    const { file, root, chunks } = holding.record;
    const layout = holding.record.indexBytes === undefined ? undefined : await this.#stores.indexes.read(root);
    await this.addWhole({ file, root, chunks, path, identity, blockDigests, layout });
  }

  /** Lets go of a part of which nothing is offered; its files stay for the next download. */
  async dropPart(holding: PartHolding): Promise<void> {
    this.#holdings.remove(holding);
    await this.#options.index.remove(holding.record);
    await this.#forgetDigests(holding.record.root);
    await holding.part.close();
  }

  /** Announces all that is held of a file. Never rejects. */
  announce(file: string): Promise<void> {
    return this.#announcer.tell(file);
  }

  /** Announces more chunks. */
  announceChunks(file: string, chunks: readonly number[]): void {
    this.#announcer.add(file, chunks);
  }

  /** Resolves when the server knows what is held of a file, as far as it can be told. */
  announced(file: string): Promise<void> {
    return this.#announcer.settled(file);
  }

  /** Offers a file no more; what is on disk stays. */
  async removeFile(file: string): Promise<void> {
    for (const holding of this.#holdings.all) {
      if (holding.record.file === file && !(holding.kind === 'part' && holding.busy)) await this.#forget(holding);
    }
  }

  /** Offers what is at a path no more. */
  async removeAt(path: string): Promise<void> {
    const holding = this.#holdings.get(path);
    if (holding !== undefined) await this.#forget(holding);
  }

  /** Looks at every shared file once. */
  async sweep(): Promise<void> {
    for (const holding of this.#holdings.all) {
      if (holding.kind !== 'whole' || !holding.share.usable) continue;
      if (!(await looksTheSame(holding.record))) await this.#recheck(holding);
    }
  }

  /** Closes every file; parts keep what was verified. Idempotent. */
  async close(): Promise<void> {
    this.#cancelSweep();
    this.#stopped.abort();
    await this.#started;
    await this.#holdings.close();
    await this.#options.index.close();
  }

  async #begin(account: string, first: boolean): Promise<void> {
    for (const record of this.#options.index.all(account)) {
      if (this.#stopped.signal.aborted) return;
      if (this.#holdings.get(record.path) !== undefined) continue;
      try {
        if (record.state.kind === 'part') await this.#refindPart(record);
        else if (first) await this.#refindWhole(record as WholeRecord);
      } catch (thrown) {
        this.#complain(thrown);
      }
    }
    if (first) this.#sweepLater();
    await this.#announceAll();
  }

  async #announceAll(): Promise<void> {
    const files = new Set(this.#holdings.all.map(({ record }) => record.file));
    await eachOf(files, ANNOUNCED_AT_ONCE, (file) => this.#announcer.tell(file));
  }

  async #refindWhole(record: WholeRecord): Promise<void> {
    const found = await stillThere(record, this.#stores, this.#stopped.signal);
    // Changed by a command meanwhile: that is newer.
    if (this.#options.index.get(record.path) !== record) return;
    if (found === undefined) {
      await this.#withdraw(record);
      return;
    }
    if (found !== record) await this.#options.index.put(found);
    this.#holdWhole(found);
  }

  async #refindPart(record: ShareRecord): Promise<void> {
    const { index, session } = this.#options;
    const part = await reopenPart(record, session, this.#stores.indexes, this.#stopped.signal);
    if (part === undefined) await index.remove(record);
    else this.#holdPart(record, part);
  }

  #holdWhole(record: WholeRecord): void {
    const share: WholeShare = wholeShare(record, this.#stores, this.#options.clock, () => this.#recheck(holding));
    const holding: WholeHolding = { kind: 'whole', record, share };
    this.#holdings.put(holding);
  }

  #holdPart(record: ShareRecord, part: Part): PartHolding {
    const share = partShare(record.file, part, () => holding.coming());
    const holding: PartHolding = { kind: 'part', record, part, share, busy: false, coming: () => [] };
    this.#holdings.put(holding);
    return holding;
  }

  /** The file looks changed: it is withdrawn unless it turns out to be the same bytes. Never rejects. */
  async #recheck(holding: WholeHolding): Promise<void> {
    const { record, share } = holding;
    try {
      const found = await stillThere(record, this.#stores, this.#stopped.signal);
      if (this.#holdings.get(record.path) !== holding) return;
      if (found === undefined) {
        this.#holdings.remove(holding);
        await this.#withdraw(record);
      } else {
        await this.#options.index.put(found);
        this.#holdWhole(found);
      }
    } catch (thrown) {
      this.#complain(thrown);
    } finally {
      await share.close();
    }
  }

  async #withdraw(record: WholeRecord): Promise<void> {
    const { events, index, log } = this.#options;
    const { file, path } = record;
    log.info({ file, path }, 'withdrawn: it changed or went away');
    await index.remove(record);
    await this.#forgetDigests(record.root);
    const text = `${file} (${path}) changed or went away and is offered no more; seed it when it is as it was, else unregister it and register it anew`;
    events.notice('FILE_WITHDRAWN', { text });
    void this.#announcer.tell(file);
  }

  async #forget(holding: Holding): Promise<void> {
    this.#holdings.remove(holding);
    await closeHolding(holding);
    await this.#options.index.remove(holding.record);
    await this.#forgetDigests(holding.record.root);
  }

  async #forgetDigests(root: Digest): Promise<void> {
    const needed = this.#options.index.all(this.#account ?? '').some((each) => each.root === root);
    if (!needed) await this.#stores.remove(root);
  }

  /** The server refused what is held here: when it is registered no more, or as other bytes, it is not ours to offer. */
  async #onRefused(file: string, error: ParleyError): Promise<void> {
    const { session, log } = this.#options;
    try {
      const { manifest } = await fetchManifest(session, file, this.#stopped.signal);
      const others = this.#holdings.usable((record) => record.file === file && record.root !== manifest.root);
      for (const holding of others) await this.#forget(holding);
    } catch (thrown) {
      if (toParleyError(thrown).code === 'FILE_NOT_REGISTERED') await this.removeFile(file).catch(() => undefined);
    }
    log.info({ file, code: error.code }, 'the server does not take what is held of a file');
  }

  #describe(
    file: string,
    root: Digest,
    sizeBytes: number,
    chunks: number,
    path: string,
    layout?: FolderLayout,
  ): Omit<ShareRecord, 'state'> {
    if (this.#account === undefined) throw new ParleyError('LOGIN_REQUIRED');
    return { account: this.#account, file, root, sizeBytes, chunks, path, indexBytes: layout?.index.length };
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#options.clock.after(SWEEP_MS, () => {
      this.sweep()
        .catch((thrown: unknown) => this.#complain(thrown))
        .finally(() => {
          if (!this.#stopped.signal.aborted) this.#sweepLater();
        });
    });
  }

  #complain(thrown: unknown): void {
    if (this.#stopped.signal.aborted) return;
    const { code, message } = toParleyError(thrown);
    this.#options.log.warn({ code, reason: message }, 'a shared file could not be looked after');
  }
}
