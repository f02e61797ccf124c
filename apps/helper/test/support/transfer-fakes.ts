import { CodedError, type Entry, type HashRange, type ListPage, type ListRequest, type PeerId, type SharePath, compareTreeOrder, isBelow, peerIdFromKey } from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { FileJobsOptions } from '../../src/adapters/transfers/file-jobs.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'

/** A peer in memory that answers listings and reads as the real requests do, and that can be told to misbehave. */

type Read = NonNullable<FileJobsOptions['read']>
type Bundle = NonNullable<FileJobsOptions['readBundle']>
type Hashes = NonNullable<FileJobsOptions['readHashes']>
type ReadArguments = Parameters<Read>[1]

export interface FakeFile {
  bytes: Uint8Array
  mtime: number
}

export class FakePeer {
  readonly peerId: PeerId
  readonly files = new Map<string, FakeFile>()
  readonly directories = new Set<string>()
  connected = true
  reads: ReadArguments[] = []
  /** Files in each bundle that was asked for. */
  bundles: number[] = []
  /** Neither bundles nor hashes, if false. */
  knowsBundles = true
  hashed: HashRange[] = []
  inFlight = 0
  mostInFlight = 0
  busyCalls: boolean[] = []
  /** Runs before each read is answered; may wait or throw. */
  beforeRead: (wanted: ReadArguments, signal: AbortSignal) => Promise<void> | void = () => undefined
  /** What is said before a file of a bundle comes: a place in the queue, or null for a limit. */
  placeBefore: (index: number) => number | null | undefined = () => undefined
  readonly connection: PeerConnection

  constructor(number = 1) {
    this.peerId = peerIdFromKey(new Uint8Array(32).fill(number))
    const setBusy = (busy: boolean) => this.busyCalls.push(busy)
    this.connection = { peerId: this.peerId, setBusy } as unknown as PeerConnection
  }

  /** @param content bytes, or a length of which each byte depends on the path and its position */
  put(path: string, content: Uint8Array | number, mtime = 1_700_000_000_123.5): void {
    const bytes = typeof content === 'number' ? pattern(path, content) : content
    this.files.set(path, { bytes, mtime })
    for (let end = path.lastIndexOf('/'); end !== -1; end = path.lastIndexOf('/', end - 1)) this.directories.add(path.slice(0, end))
  }

  entries(): Entry[] {
    const entries: Entry[] = []
    for (const path of this.directories) entries.push({ path: path as SharePath, size: 0, mtime: 0, isDirectory: true })
    for (const [path, { bytes, mtime }] of this.files) entries.push({ path: path as SharePath, size: bytes.length, mtime, isDirectory: false })
    return entries.sort((a, b) => compareTreeOrder(a.path, b.path))
  }

  list({ path, cursor, limit }: ListRequest): ListPage {
    if (!this.connected) throw new CodedError('offline', 'the peer is not connected')
    const all = this.entries()
    const self = all.find((entry) => entry.path === path)
    if (self === undefined) throw new CodedError('not-found', 'there is no such entry')
    const below = self.isDirectory ? all.filter((entry) => isBelow(entry.path, path)) : [self]
    const from = cursor === undefined ? 0 : Number(cursor)
    const entries = below.slice(from, from + limit)
    return from + limit < below.length ? { entries, cursor: String(from + limit) } : { entries }
  }

  readonly read: Read = async (_connection, wanted, into, { signal, onBytes }) => {
    this.reads.push(wanted)
    this.inFlight++
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    try {
      await this.beforeRead(wanted, signal)
      if (signal.aborted) throw new CodedError('aborted', 'stopped')
      if (!this.connected) throw new CodedError('connection-lost', 'the connection was lost')
      const file = this.files.get(wanted.path)
      if (file === undefined) throw new CodedError('not-found', 'there is no such file')
      const { bytes, mtime } = file
      if (wanted.expect !== undefined && (wanted.expect.size !== bytes.length || wanted.expect.mtime !== mtime)) {
        throw new CodedError('source-changed', 'the file has changed')
      }
      const part = bytes.subarray(wanted.start, Math.min(wanted.end, bytes.length))
      into.set(part)
      onBytes?.(part.length)
      return { size: bytes.length, mtime, start: wanted.start, length: part.length }
    } finally {
      this.inFlight--
    }
  }

  readonly readHashes: Hashes = async (_connection, { path, ranges, expect }) => {
    this.hashed.push(...ranges)
    if (!this.knowsBundles) throw new CodedError('unsupported', 'not known here')
    const file = this.files.get(path)
    if (file === undefined) throw new CodedError('not-found', 'there is no such file')
    if (expect?.size !== file.bytes.length || expect.mtime !== file.mtime) throw new CodedError('source-changed', 'the file has changed')
    return ranges.map(({ start, end }) => createHash('sha256').update(file.bytes.subarray(start, end)).digest())
  }

  readonly readBundle: Bundle = async (connection, files, into, onFile, options) => {
    this.bundles.push(files.length)
    if (!this.knowsBundles) throw new CodedError('unsupported', 'not known here')
    let at = 0
    for (const [index, { path, size, mtime }] of files.entries()) {
      const bytes = into.subarray(at, at + size)
      const place = this.placeBefore(index)
      if (place !== undefined) options.onPlace?.(place)
      try {
        await this.read(connection, { path, start: 0, end: size, expect: { size, mtime } }, bytes, options)
      } catch (error) {
        if (!(error instanceof CodedError) || OF_THE_LINE.has(error.code)) throw error
        onFile(index, { error })
        continue
      }
      at += size
      onFile(index, { bytes })
    }
  }
}

/** What is about the line and not about one file. */
const OF_THE_LINE = new Set(['aborted', 'connection-lost', 'stream-reset', 'timed-out', 'offline', 'busy', 'bad-answer'])

export function pattern(seed: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = 2166136261
  for (let i = 0; i < seed.length; i++) state = Math.imul(state ^ seed.charCodeAt(i), 16777619) >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Never answers; ends when it is given up. */
export function hang(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    const abort = () => reject(new CodedError('aborted', 'stopped'))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
  })
}

/** Something to wait for until it is said. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const found: { open: () => void } = { open: () => undefined }
  const opened = new Promise<void>((resolve) => {
    found.open = resolve
  })
  return { opened, open: () => found.open() }
}

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hdp-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Everything below, relative path to bytes; directories end in a slash. Unfinished files are left out. */
export async function readTree(directory: string): Promise<Map<string, Uint8Array | null>> {
  const tree = new Map<string, Uint8Array | null>()
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(directory, below), { withFileTypes: true })) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (path === '.harddrive-party') continue
      if (entry.isDirectory()) {
        tree.set(`${path}/`, null)
        await walk(path)
      } else tree.set(path, await readFile(join(directory, path)))
    }
  }
  await walk('')
  return tree
}
