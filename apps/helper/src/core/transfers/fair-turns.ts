/**
 * Whose turn is next, among those who wait: whoever has been given least for its weight, and among equals whoever has waited longest. Keeps no clock;
 * what a turn is worth is the caller's. Being away earns nothing and costs nothing: who comes back begins where the others are.
 */
export class FairTurns {
  /** What each was given, divided by its weight, of those who wait or were given more than who was served last. The order is that of waiting. */
  readonly #given = new Map<string, number>()
  readonly #waiting = new Set<string>()
  readonly #weightOf: (key: string) => number
  /** Where whoever was served last stood before. */
  #level = 0

  /** @param weightOf above 0; asked anew at every turn */
  constructor(weightOf: (key: string) => number = () => 1) {
    this.#weightOf = weightOf
  }

  /** Gets in line; whoever is in line keeps its place. */
  wait(key: string): void {
    this.#waiting.add(key)
  }

  leave(key: string): void {
    this.#waiting.delete(key)
    this.#tidy()
  }

  /** Those in line, in the order of their turns if nothing changed. */
  inOrder(): string[] {
    // Sorting keeps the order of waiting among equals.
    return [...this.#waiting].sort((a, b) => this.#standing(a) - this.#standing(b))
  }

  /** The first in line whom `mayHave` admits. */
  next(mayHave: (key: string) => boolean = () => true): string | undefined {
    let best: string | undefined
    for (const key of this.#waiting) {
      if ((best === undefined || this.#standing(key) < this.#standing(best)) && mayHave(key)) best = key
    }
    return best
  }

  /** It had its turn. It goes to the end of the line, if it stays in line. @param cost in any unit, the same for all */
  serve(key: string, cost: number): void {
    this.#level = Math.max(this.#level, this.#standing(key))
    this.#given.set(key, this.#standing(key) + cost / this.#weightOf(key))
    if (this.#waiting.delete(key)) this.#waiting.add(key)
    this.#tidy()
  }

  #standing(key: string): number {
    return Math.max(this.#given.get(key) ?? 0, this.#level)
  }

  /** Whoever stands no higher than a newcomer would need not be remembered. */
  #tidy(): void {
    for (const [key, given] of this.#given) if (given <= this.#level && !this.#waiting.has(key)) this.#given.delete(key)
    if (this.#waiting.size > 0) return
    // Nobody waits: all are equal again.
    this.#given.clear()
    this.#level = 0
  }
}
