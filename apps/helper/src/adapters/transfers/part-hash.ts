import { type Hash, createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { isPart } from '../system/part-memory.ts'
import type { FromHashWorker, ToHashWorker } from './hash-worker.ts'

/**
 * SHA-256 of parts of files: in a thread of its own where that saves time, so that the thread of the sockets has only the encryption to do, else here,
 * piece by piece while the bytes move. The answer is the same, and it never fails.
 */
export interface PartHash {
  /** So many bytes from the start are there, and it is time to hash them. */
  reach(count: number): void
  /** Of all of them, which are there now. */
  digest(): Promise<Uint8Array>
}

/** What is smaller is hashed sooner than another thread could be told. */
const THREAD_BYTES = 512 * 1024
/** A thread without work is ended: it costs as much memory as what it hashed. */
const IDLE_MS = 10_000

/**
 * @param bytes the whole part, to be left alone from when they are there until the digest is
 * @param areThere whether they are already: a thread may begin
 */
export function hashPart(bytes: Uint8Array, areThere: boolean, thread: HashThread = hashThread): PartHash {
  if (bytes.length < THREAD_BYTES || !isPart(bytes) || !thread.isUsable) return new OwnHash(bytes)
  const hash = new ThreadHash(bytes, thread)
  if (areThere) void hash.digest()
  return hash
}

class OwnHash implements PartHash {
  readonly #bytes: Uint8Array
  readonly #hash: Hash = createHash('sha256')
  #reached = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  reach(count: number): void {
    this.#hash.update(this.#bytes.subarray(this.#reached, count))
    this.#reached = count
  }

  async digest(): Promise<Uint8Array> {
    this.reach(this.#bytes.length)
    return this.#hash.digest()
  }
}

class ThreadHash implements PartHash {
  readonly #bytes: Uint8Array<SharedArrayBuffer>
  readonly #thread: HashThread
  #digest: Promise<Uint8Array> | undefined

  constructor(bytes: Uint8Array<SharedArrayBuffer>, thread: HashThread) {
    this.#bytes = bytes
    this.#thread = thread
  }

  reach(count: number): void {
    if (count === this.#bytes.length) void this.digest()
  }

  digest(): Promise<Uint8Array> {
    return (this.#digest ??= this.#thread.hash(this.#bytes))
  }
}

interface Waiting {
  readonly bytes: Uint8Array
  readonly resolve: (digest: Uint8Array) => void
}

/** Begins with the first part and ends when there were none for a while. Keeps no process alive. */
export class HashThread {
  readonly #entry: URL
  #worker: Worker | undefined
  /** What the thread was shown, in this order. */
  readonly #waiting: Waiting[] = []
  #idle: NodeJS.Timeout | undefined
  /** Where there is one core, or no thread could be made: everything is hashed here. */
  #isUsable: boolean

  constructor(entry: URL, cores = availableParallelism()) {
    this.#entry = entry
    this.#isUsable = cores > 1
  }

  get isUsable(): boolean {
    return this.#isUsable
  }

  /** Never rejects. */
  hash(bytes: Uint8Array<SharedArrayBuffer>): Promise<Uint8Array> {
    return new Promise((resolve) => {
      const worker = this.#isUsable ? (this.#worker ??= this.#start()) : undefined
      if (worker === undefined) return resolve(hashHere(bytes))
      clearTimeout(this.#idle)
      this.#waiting.push({ bytes, resolve })
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(bytes satisfies ToHashWorker)
    })
  }

  /** Idempotent; the next part begins a new one. */
  async close(): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#lose(worker)
    await worker?.terminate()
  }

  #start(): Worker | undefined {
    try {
      const worker = new Worker(this.#entry, { name: 'hash' })
      worker.unref()
      worker.on('message', (digest: FromHashWorker) => this.#hear(worker, digest))
      const fail = () => {
        if (this.#worker !== worker) return
        this.#isUsable = false
        this.#lose(worker)
      }
      worker.on('error', fail)
      worker.on('exit', fail)
      return worker
    } catch {
      this.#isUsable = false
      return undefined
    }
  }

  #hear(worker: Worker, digest: Uint8Array): void {
    if (this.#worker !== worker) return
    this.#waiting.shift()?.resolve(digest)
    if (this.#waiting.length === 0) this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref()
  }

  /** Whoever waits for it gets the answer from here. */
  #lose(worker: Worker | undefined): void {
    if (this.#worker === worker) this.#worker = undefined
    for (const { bytes, resolve } of this.#waiting.splice(0)) resolve(hashHere(bytes))
  }
}

function hashHere(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** Of this process. Beside the bundle; where the program runs from its sources there is none, and everything is hashed here. */
const hashThread = new HashThread(new URL('./hash-worker.js', import.meta.url))
