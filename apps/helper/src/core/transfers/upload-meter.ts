/** Adds up what peers have taken, per peer and path, into the list that people see. It has no clock of its own and sends nothing. */
export class UploadMeter {
  readonly #uploads = new Map<string, Upload>()

  /** A read of a file has begun (+1) or ended (-1). */
  reading(now: number, peer: string, path: string, change: 1 | -1): void {
    const upload = this.#at(now, peer, path)
    upload.reads += change
    upload.activeAt = now
  }

  /** The peer took this many bytes. */
  sent(now: number, peer: string, path: string, bytes: number): void {
    const upload = this.#at(now, peer, path)
    upload.bytes += bytes
    upload.sinceMark += bytes
    upload.activeAt = now
  }

  /** What is going on, oldest first; uploads that have rested are dropped. Call it at intervals: rates are measured from call to call. */
  list(now: number): UploadCount[] {
    const list: UploadCount[] = []
    for (const [key, upload] of this.#uploads) {
      if (upload.reads <= 0 && now - upload.activeAt >= REST_MS) {
        this.#uploads.delete(key)
        continue
      }
      const elapsed = now - upload.markAt
      if (elapsed >= MIN_INTERVAL_MS) {
        const rate = (upload.sinceMark * 1000) / elapsed
        // Half of the old rate per second fades: steady enough to read, quick enough to follow.
        const keep = upload.rate === undefined ? 0 : 0.5 ** (elapsed / 1000)
        upload.rate = (upload.rate ?? 0) * keep + rate * (1 - keep)
        upload.sinceMark = 0
        upload.markAt = now
      }
      list.push({ peer: upload.peer, path: upload.path, bytes: upload.bytes, bytesPerSecond: Math.round(upload.rate ?? 0) })
    }
    return list
  }

  #at(now: number, peer: string, path: string): Upload {
    const key = `${peer}/${path}`
    let upload = this.#uploads.get(key)
    if (upload === undefined) {
      upload = { peer, path, bytes: 0, reads: 0, rate: undefined, sinceMark: 0, markAt: now, activeAt: now }
      this.#uploads.set(key, upload)
      // A peer may fetch thousands of small files per second; only the latest are of interest to a person.
      if (this.#uploads.size > MAX_UPLOADS) this.#dropIdle()
    }
    return upload
  }

  #dropIdle(): void {
    for (const [key, upload] of this.#uploads) {
      if (upload.reads > 0) continue
      this.#uploads.delete(key)
      return
    }
  }
}

export interface UploadCount {
  readonly peer: string
  readonly path: string
  readonly bytes: number
  readonly bytesPerSecond: number
}

interface Upload {
  readonly peer: string
  readonly path: string
  bytes: number
  /** Under way now; a download is many reads, with pauses between. */
  reads: number
  rate: number | undefined
  sinceMark: number
  markAt: number
  activeAt: number
}

/** An upload without a read for this long is over. */
const REST_MS = 3_000
/** Rates over less than this jump about. */
const MIN_INTERVAL_MS = 200
/** More than slots, so that those at work always fit. */
const MAX_UPLOADS = 50
