/**
 * Decides who may have another of a fixed number of buffers: while few are taken anybody, then each owner as many as it fills in a moment, so that some
 * who are slow never hold all of them. It keeps no buffers and nobody waiting.
 */

/** Free for all until so many are taken: a single fast owner is not held back while it is new. */
const LOOSE = 8
/** The last ones are for owners that have none. */
const RESERVE = 4
/** Also a slow owner fills one while the next is asked for. */
const LEAST = 2
/** More than one owner can use. */
const MOST = 8
/** One that takes longer to fill is of an owner that has too many at once. */
const MOMENT_MS = 2_000

interface Share {
  held: number
  /** How many it may hold when they are scarce. */
  most: number
}

export class BufferShares {
  readonly #count: number
  readonly #shares = new Map<string, Share>()
  #taken = 0

  /** @param count at least 12 */
  constructor(count: number) {
    this.#count = count
  }

  held(owner: string): number {
    return this.#shares.get(owner)?.held ?? 0
  }

  mayTake(owner: string): boolean {
    const { held, most } = this.#shares.get(owner) ?? { held: 0, most: LEAST }
    if (held === 0) return this.#taken < this.#count
    return this.#taken < LOOSE || (held < most && this.#taken < this.#count - RESERVE)
  }

  take(owner: string): void {
    const share = this.#shares.get(owner) ?? { held: 0, most: LEAST }
    share.held++
    this.#taken++
    this.#shares.set(owner, share)
  }

  /** @param heldMs how long it was taken */
  release(owner: string, heldMs: number): void {
    const share = this.#shares.get(owner)
    if (share === undefined || share.held === 0) return
    share.held--
    this.#taken--
    if (heldMs > MOMENT_MS) share.most = Math.max(LEAST, Math.floor(share.most / 2))
    else share.most = Math.min(MOST, share.most + 1)
    if (share.held === 0 && share.most === LEAST) this.#shares.delete(owner)
  }

  /** Forgets how fast those were who hold nothing now. */
  forgetIdle(): void {
    for (const [owner, { held }] of this.#shares) if (held === 0) this.#shares.delete(owner)
  }
}
