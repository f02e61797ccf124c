/** The best of the values seen within a span of time that moves along: the highest rate, the shortest time. Keeps only those that may still become it. */
export class SlidingBest {
  readonly #isBetter: (a: number, b: number) => boolean
  /** Each worse and newer than the one before. */
  #kept: { readonly value: number; readonly at: number }[] = []

  constructor(isBetter: (a: number, b: number) => boolean) {
    this.#isBetter = isBetter
  }

  /** Undefined before the first value. */
  get best(): number | undefined {
    return this.#kept[0]?.value
  }

  /** @param span values older than this do not count any more */
  add(now: number, value: number, span: number): void {
    while (this.#kept.length > 0 && !this.#isBetter(this.#kept.at(-1)!.value, value)) this.#kept.pop()
    this.#kept.push({ value, at: now })
    while (this.#kept.length > 1 && this.#kept[0]!.at < now - span) this.#kept.shift()
  }

  /** As if no time had passed since `since`. */
  stretch(ms: number): void {
    this.#kept = this.#kept.map(({ value, at }) => ({ value, at: at + ms }))
  }
}
