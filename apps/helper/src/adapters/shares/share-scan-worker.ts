import { CodedError, type ErrorCode } from '@harddrive-party/protocol'
import { setPriority } from 'node:os'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { DirectoryTable } from './share-directories.ts'
import type { Generation } from './share-index-tables.ts'
import { type ShareIndexWriter, openShareIndexWriter } from './share-index-writer.ts'
import { type IndexChange, findChanges } from './share-rescan.ts'
import { type ScanCounts, scanTree } from './share-scanner.ts'

/**
 * A thread of its own for scanning: it walks directories and writes the share index, one job after the other, and decides nothing.
 * `shares.ts` starts it when there is something to scan and ends it when there is not.
 */
export interface ScanWorkerData {
  readonly indexDirectory: string
  /** Set to 1 by the owner to stop the scan that runs. */
  readonly abort: Int32Array
}

/** `whole` scans everything anew; the others as `RescanOptions.which`, and like `whole` where there is no index yet or too much has changed. */
export type ScanExtent = 'whole' | 'quick' | 'deep' | readonly string[]

export type ToScanWorker =
  | {
    readonly kind: 'scan'; readonly shareId: string; readonly directory: string; readonly excluded: readonly string[]; readonly extent: ScanExtent; readonly isPatient: boolean
    readonly shareIds: readonly string[]; readonly now: number
  }
  /** Forgets every share that is not named. */
  | { readonly kind: 'sweep'; readonly shareIds: readonly string[] }
  | { readonly kind: 'close' }

export type FromScanWorker =
  | { readonly kind: 'progress'; readonly counts: ScanCounts }
  | { readonly kind: 'scanned'; readonly outcome: ScanOutcome }
  | { readonly kind: 'swept' }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

export interface ScanOutcome {
  readonly generation: Generation
  /** Directories that came and went, as paths below the share's own; null = any may have. */
  readonly directories: { readonly added: readonly string[]; readonly removed: readonly string[] } | null
  /** How long it kept the disk busy. */
  readonly tookMs: number
}

/** More directories than this are not told one by one. */
const MAX_TOLD_DIRECTORIES = 2_000
/** Entries that no longer count make searches slower; when they are more than half of all, a whole scan gets rid of them. */
const MAX_DEAD_SHARE = 0.5
const SOME_DEAD = 65_536

function serve(port: MessagePort, { indexDirectory, abort }: ScanWorkerData): void {
  const writer = openShareIndexWriter(indexDirectory)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const post = (message: FromScanWorker) => port.postMessage(message)
  const isAborted = () => Atomics.load(abort, 0) !== 0
  const onProgress = (counts: ScanCounts) => post({ kind: 'progress', counts })
  const run = (message: ToScanWorker) => {
    if (message.kind === 'scan') {
      if (message.isPatient) yieldToOthers()
      const began = performance.now()
      const found = rescan(writer, message, { isAborted, onProgress }) ?? scanWhole(writer, message, { isAborted, onProgress })
      post({ kind: 'scanned', outcome: { ...found, tookMs: performance.now() - began } })
      writer.sweep(message.shareIds)
    } else if (message.kind === 'sweep') {
      writer.sweep(message.shareIds)
      post({ kind: 'swept' })
    } else void writer.close().then(() => port.close())
  }
  port.on('message', (message: ToScanWorker) => {
    try {
      run(message)
    } catch (error) {
      // What the file system and the database say is worth knowing here, on one's own machine.
      const code = error instanceof CodedError ? error.code : 'disk-error'
      post({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) })
    }
  })
}

/** How much less than others it gets, in the system's own measure of niceness. */
const PATIENT_PRIORITY = 10

/** For the rest of this thread's life, which is over when there is nothing more to scan. Elsewhere than on Linux it would be the whole process. */
function yieldToOthers(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, PATIENT_PRIORITY)
  } catch {
    // Somebody has put this process in its place already.
  }
}

type Scan = Extract<ToScanWorker, { kind: 'scan' }>
interface Hooks {
  readonly isAborted: () => boolean
  readonly onProgress: (counts: ScanCounts) => void
}

function scanWhole(writer: ShareIndexWriter, { shareId, directory, excluded, now }: Scan, hooks: Hooks): Omit<ScanOutcome, 'tookMs'> {
  const generation = writer.begin(shareId)
  const result = scanTree({ directory, excluded, onDirectory: (found) => generation.put(found), ...hooks })
  return { generation: generation.commit(result, now), directories: null }
}

/** @returns undefined when everything is to be scanned */
function rescan(writer: ShareIndexWriter, { shareId, directory, excluded, extent, now }: Scan, hooks: Hooks): Omit<ScanOutcome, 'tookMs'> | undefined {
  const generation = writer.current(shareId)
  if (extent === 'whole' || generation === undefined || generation.dead > SOME_DEAD + generation.files * MAX_DEAD_SHARE) return undefined
  const table = writer.directories(generation)
  const change = findChanges({ tables: writer.tables, generation, table, directory, excluded, which: extent, ...hooks })
  if (change === undefined) return undefined
  return { generation: writer.update(shareId, table, change, now), directories: told(table, change) }
}

function told(table: DirectoryTable, { added, removed }: IndexChange): ScanOutcome['directories'] {
  if (added.length + removed.length > MAX_TOLD_DIRECTORIES) return null
  const paths = new Map<number, string>()
  const pathOf = (id: number) => paths.get(id) ?? table.parts(id).join('/')
  for (const { id, parent, name } of added.toSorted((a, b) => a.id - b.id)) paths.set(id, pathOf(parent) === '' ? name : `${pathOf(parent)}/${name}`)
  return { added: [...paths.values()], removed: removed.map((id) => pathOf(id)) }
}

if (parentPort !== null) serve(parentPort, workerData as ScanWorkerData)
