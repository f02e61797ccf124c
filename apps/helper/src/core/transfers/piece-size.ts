/**
 * Decides how large the next piece of something that moves is to be: small where the way is slow, so that each piece is a sign of life soon, and large
 * where it is quick, because every piece has a price of its own.
 */

/** What a slow line of many parts still moves in seconds. */
export const SMALL_PIECE_BYTES = 64 * 1024
/** Hashed in a fifth of a millisecond; and a line that turns slow must not make one last until somebody gives up. */
export const LARGE_PIECE_BYTES = 256 * 1024
/** A piece that took no longer may be twice as large next time. */
const QUICK_MS = 100

export class PieceSize {
  #bytes = SMALL_PIECE_BYTES

  get bytes(): number {
    return this.#bytes
  }

  /** A whole piece of this size took so long. */
  took(ms: number): void {
    this.#bytes = ms > QUICK_MS ? SMALL_PIECE_BYTES : Math.min(2 * this.#bytes, LARGE_PIECE_BYTES)
  }
}
