import { type BundleRequest, CodedError, type FileVersion, encodeAnswer } from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import type { RangeLease } from '../shares/share-reader.ts'

/** Sends many small files on one stream, in the order asked for, each whole or with the reason why not. Reads no disk itself. */

export interface BundleSenderOptions {
  /** @throws CodedError what is answered in the file's place */
  readonly read: (file: FileVersion) => Promise<RangeLease>
  /** Resolves when the bytes may change again. */
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** A file went out. */
  readonly onSent: (file: FileVersion) => void
}

/** Files being read ahead of the one that is sent: disks and their caches answer many at once. */
const READ_AHEAD = 16
/** Frames and small files are joined: each write to a stream has a price of its own. */
const OUTPUT_BYTES = 64 * 1024

type Outcome = { readonly lease: RangeLease } | { readonly error: unknown }

/** @throws what `write` throws */
export async function sendBundle({ files }: BundleRequest, options: BundleSenderOptions): Promise<void> {
  const output = new Output(options.write)
  const ahead: Promise<Outcome>[] = []
  let next = 0
  const readOn = () => {
    for (let file = files[next]; file !== undefined && ahead.length < READ_AHEAD; file = files[++next]) ahead.push(outcomeOf(options.read(file)))
  }
  try {
    for (const file of files) {
      readOn()
      const outcome = await (ahead.shift() as Promise<Outcome>)
      if ('error' in outcome) {
        await output.frame(encodeAnswer({ type: 'error', ...CodedError.toWire(outcome.error) }))
        continue
      }
      const { lease } = outcome
      try {
        await sendFile(lease, output)
      } finally {
        lease.release()
      }
      options.onSent(file)
    }
    await output.flush()
  } finally {
    for (const left of ahead) void left.then((outcome) => 'lease' in outcome && outcome.lease.release())
  }
}

async function sendFile({ size, mtime, start, bytes }: RangeLease, output: Output): Promise<void> {
  await output.frame(encodeAnswer({ type: 'data', size, mtime, start, length: bytes.length }))
  const hash = createHash('sha256')
  for (let at = 0; at < bytes.length; at += OUTPUT_BYTES) {
    const piece = bytes.subarray(at, at + OUTPUT_BYTES)
    hash.update(piece)
    await output.bytes(piece)
  }
  await output.frame(encodeAnswer({ type: 'sent', bytes: bytes.length, hash: hash.digest() }))
}

/** Never rejects, so that one that fails early is judged when its turn comes. */
function outcomeOf(reading: Promise<RangeLease>): Promise<Outcome> {
  return reading.then(
    (lease) => ({ lease }),
    (error: unknown) => ({ error }),
  )
}

class Output {
  readonly #write: (bytes: Uint8Array) => Promise<void>
  readonly #buffer = new Uint8Array(OUTPUT_BYTES)
  #filled = 0

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write
  }

  async frame(body: Uint8Array): Promise<void> {
    const prefix = new Uint8Array(4)
    new DataView(prefix.buffer).setUint32(0, body.length)
    await this.bytes(prefix)
    await this.bytes(body)
  }

  async bytes(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      const piece = bytes.subarray(taken, taken + OUTPUT_BYTES - this.#filled)
      this.#buffer.set(piece, this.#filled)
      this.#filled += piece.length
      taken += piece.length
      if (this.#filled === OUTPUT_BYTES) await this.flush()
    }
  }

  async flush(): Promise<void> {
    if (this.#filled === 0) return
    const bytes = this.#buffer.subarray(0, this.#filled)
    this.#filled = 0
    await this.#write(bytes)
  }
}
