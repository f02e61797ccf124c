import type { PartialFile } from './partial-file.ts'

/** A range record on disk at least this often while data comes in: what a crash may cost. */
const RECORD_BYTES = 64 * 1024 * 1024
const RECORD_MS = 2_000

/** Records what is on the disk every so often, never twice at once, without holding up the writes that follow. */
export class PartialRecorder {
  readonly #partial: PartialFile
  readonly #onError: (error: unknown) => void
  #unrecorded = 0
  #recordedAt = performance.now()
  #running: Promise<void> | undefined

  constructor(partial: PartialFile, onError: (error: unknown) => void) {
    this.#partial = partial
    this.#onError = onError
  }

  wrote(bytes: number): void {
    this.#unrecorded += bytes
    const due = this.#unrecorded >= RECORD_BYTES || performance.now() - this.#recordedAt >= RECORD_MS
    if (due && this.#running === undefined && !this.#partial.fetch.complete) this.#running = this.#record()
  }

  /** Waits for a recording under way. */
  async settled(): Promise<void> {
    await this.#running
  }

  /** The last record before the job ends unfinished. */
  async finish(): Promise<void> {
    await this.#running
    if (this.#unrecorded > 0) await this.#record()
  }

  /** Never rejects. */
  async #record(): Promise<void> {
    this.#unrecorded = 0
    try {
      await this.#partial.record()
    } catch (error) {
      this.#onError(error)
    }
    this.#recordedAt = performance.now()
    this.#running = undefined
  }
}
