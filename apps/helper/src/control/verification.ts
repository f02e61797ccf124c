/** Compares one local file or folder with its source, entry by entry, and keeps count. Reads names and sizes; contents are compared by the network process. */
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError, type Entry, MAX_PAGE_ENTRIES, type PeerId, type SharePath } from '@harddrive-party/protocol'
import type { VerifyDetail, VerifyFinding, VerifyKind, VerifyReport, VerifyState } from '@harddrive-party/protocol/control'
import type { NetworkApi } from '../network/network-api.ts'

export interface VerificationPlan {
  readonly verifyId: string
  readonly peerId: PeerId
  readonly path: SharePath
  /** Absolute. */
  readonly local: string
  /** Sizes and times only. */
  readonly quick: boolean
  /** Local names of what is called otherwise at the source, both below what is compared. */
  readonly renamed: ReadonlyMap<string, string>
}

export interface Verification {
  /** @param cursor as of an earlier report */
  report(cursor: number): VerifyReport
  cancel(): void
  /** Resolves at the end, whatever it is. */
  readonly ended: Promise<void>
}

/** Files compared at once: a round trip must not count for each small one. */
const FILES_AT_ONCE = 8
/** Compared by one call: what one request holds. */
const STEP_BYTES = 16 * 1024 * 1024
/** Findings kept; more are only counted. */
const MAX_FINDINGS = 10_000
/** In one report. */
const REPORTED_FINDINGS = 1_000
/** File systems keep times in steps of up to two seconds (FAT). */
const TIME_STEP_MS = 2_000
/** Where our own unfinished files are. */
const OWN_FOLDER = '.harddrive-party'

export function startVerification(plan: VerificationPlan, network: Pick<NetworkApi, 'list' | 'compareFile'>): Verification {
  const { verifyId, peerId, path, local, quick, renamed } = plan
  const counts: Record<VerifyKind, number> = { same: 0, different: 0, missing: 0, extra: 0, unreadable: 0 }
  const findings: VerifyFinding[] = []
  const files = { done: 0, total: 0 }
  const bytes = { done: 0, total: 0 }
  const abort = new AbortController()
  let state: VerifyState = 'listing'
  let reason: VerifyReport['reason'] = null

  function found(kind: VerifyFinding['kind'], below: string, detail: VerifyDetail): void {
    counts[kind]++
    if (findings.length < MAX_FINDINGS) findings.push({ kind, path: below, detail })
  }

  async function run(): Promise<void> {
    try {
      const known = new Set<string>()
      const queue = new Work(FILES_AT_ONCE)
      let isFile = false
      for await (const entry of entries()) {
        if (entry.path === path) isFile = !entry.isDirectory
        const below = entry.path === path ? '' : entry.path.slice(path.length + 1)
        const name = renamed.get(below) ?? below
        known.add(name)
        if (entry.isDirectory) continue
        files.total++
        bytes.total += entry.size
        await queue.add(() => compare(entry, name))
      }
      state = 'comparing'
      await queue.done()
      if (!isFile) await lookForExtras(known)
      abort.signal.throwIfAborted()
      state = 'done'
    } catch (error) {
      state = abort.signal.aborted ? 'cancelled' : 'failed'
      if (state === 'failed') reason = CodedError.toReason(error)
    }
  }

  async function* entries(): AsyncGenerator<Entry> {
    let cursor: string | undefined
    do {
      const page = await network.list({ peerId, request: { path, recursive: true, limit: MAX_PAGE_ENTRIES, ...(cursor === undefined ? {} : { cursor }) } })
      abort.signal.throwIfAborted()
      yield* page.entries
      cursor = page.cursor
    } while (cursor !== undefined)
  }

  async function compare(entry: Entry, name: string): Promise<void> {
    abort.signal.throwIfAborted()
    try {
      await compareFile(entry, name)
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      // The line is down, or we are: that is not about this file.
      if (['offline', 'connection-lost', 'closed', 'unsupported', 'aborted'].includes(error.code)) throw error
      if (error.code === 'source-changed') found('different', name, said('changed-now'))
      else found('unreadable', name, { code: 'unreadable', values: { message: error.message } })
      bytes.done += entry.size
    }
    files.done++
  }

  async function compareFile(entry: Entry, name: string): Promise<void> {
    const file = name === '' ? local : join(local, name)
    const here = await lstat(file).catch(() => undefined)
    if (here === undefined) return skip(entry, 'missing', name, said('only-there'))
    if (!here.isFile()) return skip(entry, 'different', name, said('not-a-file'))
    if (here.size !== entry.size) return skip(entry, 'different', name, { code: 'size', values: { here: here.size, there: entry.size } })
    if (quick) {
      bytes.done += entry.size
      if (Math.abs(here.mtimeMs - entry.mtime) < TIME_STEP_MS) counts.same++
      else found('different', name, said('time'))
      return
    }
    const { path: source, size, mtime } = entry
    for (let start = 0; start < size; start += STEP_BYTES) {
      abort.signal.throwIfAborted()
      const end = Math.min(size, start + STEP_BYTES)
      const { differsAt } = await network.compareFile({ peerId, path: source, size, mtime, file, start, end })
      if (differsAt !== null) return skip({ size: size - start }, 'different', name, { code: 'content', values: { from: differsAt } })
      bytes.done += end - start
    }
    counts.same++
  }

  function skip({ size }: Pick<Entry, 'size'>, kind: VerifyFinding['kind'], name: string, detail: VerifyDetail): void {
    bytes.done += size
    found(kind, name, detail)
  }

  async function lookForExtras(known: ReadonlySet<string>): Promise<void> {
    const folders = ['']
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      abort.signal.throwIfAborted()
      const directory = await opendir(join(local, folder)).catch(() => undefined)
      if (directory === undefined) continue
      for await (const entry of directory) {
        const name = folder === '' ? entry.name : `${folder}/${entry.name}`
        if (name === OWN_FOLDER) continue
        if (!known.has(name)) found('extra', name, said(entry.isDirectory() ? 'folder-only-here' : 'only-here'))
        else if (entry.isDirectory()) folders.push(name)
      }
    }
  }

  return {
    report: (cursor) => {
      const page = findings.slice(cursor, cursor + REPORTED_FINDINGS)
      const next = cursor + page.length
      return {
        verifyId, state, reason, peerId, path, local, files: { ...files }, bytes: { ...bytes }, counts: { ...counts }, findings: page,
        cursor: page.length > 0 && next < findings.length ? next : null,
      }
    },
    cancel: () => abort.abort(),
    ended: run(),
  }
}

/** Runs so many at once; the first failure ends all. */
class Work {
  readonly #atOnce: number
  readonly #running = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  /** Resolves when there is room for the next. @throws what an earlier one threw */
  async add(work: () => Promise<void>): Promise<void> {
    const running: Promise<void> = work().then(
      () => {
        this.#running.delete(running)
      },
      (error: unknown) => {
        this.#running.delete(running)
        this.#failure ??= { error }
      },
    )
    this.#running.add(running)
    while (this.#running.size >= this.#atOnce) await Promise.race(this.#running)
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** @throws what one of them threw */
  async done(): Promise<void> {
    await Promise.all(this.#running)
    if (this.#failure !== undefined) throw this.#failure.error
  }
}

function said<C extends 'changed-now' | 'only-there' | 'only-here' | 'folder-only-here' | 'not-a-file' | 'time'>(code: C): { readonly code: C; readonly values: Readonly<Record<never, never>> } {
  return { code, values: {} }
}
