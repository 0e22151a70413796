/** Searching the history backwards while words are typed, as bash does it on Ctrl-R. */

export class ReverseSearch {
  /** Newest first. */
  readonly #history: readonly string[];
  #query = '';
  /** The entry that is shown; -1 before any was found. */
  #at = -1;
  #failed = false;

  constructor(history: readonly string[]) {
    this.#history = history;
  }

  get query(): string {
    return this.#query;
  }

  /** Stands where the prompt would. */
  get label(): string {
    return `(${this.#failed ? 'failed ' : ''}reverse-i-search)'${this.#query}': `;
  }

  /** The entry found last; undefined before any was. */
  get match(): string | undefined {
    return this.#history[this.#at];
  }

  /** Where in the match the query stands. */
  get cursor(): number {
    return Math.max(0, this.match?.indexOf(this.#query) ?? 0);
  }

  type(text: string): void {
    this.#query += text;
    this.#find(Math.max(0, this.#at), 1);
  }

  /** Takes the last character away and searches anew. */
  erase(): void {
    this.#query = Array.from(this.#query).slice(0, -1).join('');
    this.#at = -1;
    this.#failed = false;
    if (this.#query !== '') this.#find(0, 1);
  }

  older(): void {
    this.#find(this.#at + 1, 1);
  }

  newer(): void {
    this.#find(this.#at - 1, -1);
  }

  #find(from: number, step: 1 | -1): void {
    this.#failed = false;
    if (this.#query === '') return;
    for (let i = from; i >= 0 && i < this.#history.length; i += step) {
      if (this.#history[i]?.includes(this.#query) !== true || (i !== this.#at && this.#history[i] === this.match))
        continue;
      this.#at = i;
      return;
    }
    this.#failed = true;
  }
}
