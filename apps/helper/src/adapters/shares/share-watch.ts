import { type FSWatcher, watch as watchPath } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { PARTIAL_DIRECTORY } from '../transfers/download-path.ts'
import { systemCode } from '../system/disk-error.ts'

/**
 * Notices changes in a shared tree while they happen, with the platform's own watches, and says in which directories: after a short rest, and never
 * more than a bounded number by name. It reads no directory and decides nothing about rescans.
 *
 * Where one watch covers a whole tree (macOS, Windows) it is one; elsewhere every directory needs its own, and the system may not have so many.
 */
export interface ShareWatch {
  /** Directories that have come: they are watched too, and looked at once more, since something may have happened in them before. */
  add(paths: readonly string[]): void
  remove(paths: readonly string[]): void
  /** How long to wait for more before telling; scans that take long should not follow each other closely. */
  setRest(ms: number): void
  close(): void
}

export interface ShareWatchOptions {
  /** Absolute and real. */
  readonly directory: string
  /** All directories below it, and `''` for itself; read only where each needs a watch. */
  readonly directories: () => Iterable<string>
  /** Directories in which something may be different; null = too many to say. */
  readonly onChange: (paths: readonly string[] | null) => void
  /** Once: all is watched; or not all can be, and nothing is. */
  readonly onState: (state: 'on' | 'full') => void
  /** Default: `fs.watch`. */
  readonly watch?: typeof watchPath
  readonly isRecursive?: boolean
  readonly restMs?: number
}

/** Copying a file changes it many times; this long without a change, and it is probably done. */
const REST_MS = 500
/** Something that changes all the time is looked at this often nevertheless. */
const LONGEST_REST_MS = 5_000
/** More changed directories than this are not told one by one. */
const MAX_TOLD = 500
/** Each costs about a kilobyte here and as much in the system's memory. */
export const MAX_WATCHES = 100_000
/** Between two turns of the event loop. */
const WATCHES_PER_TURN = 100
/** What the system says when it has no more watches or handles. */
const FULL = new Set(['ENOSPC', 'EMFILE', 'ENFILE', 'ENOMEM'])
/** Changed by being looked at, or ours; never listed. */
const IGNORED = new Set(['.DS_Store', 'Thumbs.db', 'desktop.ini', PARTIAL_DIRECTORY])

export function openShareWatch(options: ShareWatchOptions): ShareWatch {
  return new Watch(options)
}

class Watch implements ShareWatch {
  readonly #options: ShareWatchOptions
  readonly #isRecursive: boolean
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #changed = new Set<string>()
  #isTooMany = false
  #timer: NodeJS.Timeout | undefined
  #firstChangeAt = 0
  #rest: number
  #isOver = false

  constructor(options: ShareWatchOptions) {
    this.#options = options
    this.#isRecursive = options.isRecursive ?? (process.platform === 'darwin' || process.platform === 'win32')
    this.#rest = options.restMs ?? REST_MS
    void this.#begin()
  }

  add(paths: readonly string[]): void {
    for (const path of paths) {
      if (!this.#watch(path)) return
      this.#note(path)
    }
  }

  remove(paths: readonly string[]): void {
    for (const path of paths) {
      for (const [watched, watcher] of this.#watchers) {
        if (watched !== path && !watched.startsWith(`${path}/`)) continue
        watcher.close()
        this.#watchers.delete(watched)
      }
    }
  }

  setRest(ms: number): void {
    this.#rest = Math.max(this.#options.restMs ?? REST_MS, ms)
  }

  close(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
    this.#changed.clear()
  }

  async #begin(): Promise<void> {
    let untilTurn = WATCHES_PER_TURN
    for (const path of this.#isRecursive ? [''] : this.#options.directories()) {
      if (this.#isOver || !this.#watch(path)) return
      if (--untilTurn > 0) continue
      untilTurn = WATCHES_PER_TURN
      await turn()
    }
    if (!this.#isOver) this.#options.onState('on')
  }

  /** @returns false when there is no room for it */
  #watch(path: string): boolean {
    if (this.#isOver) return false
    if (this.#watchers.has(path) || (this.#isRecursive && path !== '')) return true
    if (this.#watchers.size >= MAX_WATCHES) return this.#giveUp()
    try {
      const watcher = (this.#options.watch ?? watchPath)(join(this.#options.directory, path), { persistent: false, recursive: this.#isRecursive }, (_event, name) => this.#hear(path, name))
      this.#watchers.set(path, watcher)
      watcher.on('error', () => {
        // The directory is gone, or cannot be watched any longer: whoever looks will see.
        watcher.close()
        this.#watchers.delete(path)
        this.#note(path)
      })
      return true
    } catch (error) {
      if (FULL.has(systemCode(error) ?? '')) return this.#giveUp()
      // It went while we were getting there; its parent's watch tells.
      return true
    }
  }

  /** Half a watch is worth little, and others on this machine need watches too. */
  #giveUp(): false {
    this.close()
    this.#options.onState('full')
    return false
  }

  #hear(path: string, name: string | null): void {
    if (name === null || this.#isOver) {
      this.#note(path)
      return
    }
    const parts = name.split(/[/\\]/u)
    if (parts.some((part) => IGNORED.has(part))) return
    this.#note(this.#isRecursive && parts.length > 1 ? dirname(name).replaceAll('\\', '/') : path)
  }

  #note(path: string): void {
    if (this.#isOver) return
    if (this.#changed.size < MAX_TOLD) this.#changed.add(path)
    else this.#isTooMany ||= !this.#changed.has(path)
    const now = performance.now()
    if (this.#timer === undefined) this.#firstChangeAt = now
    clearTimeout(this.#timer)
    const latest = this.#firstChangeAt + Math.max(LONGEST_REST_MS, this.#rest)
    this.#timer = setTimeout(() => this.#tell(), Math.max(0, Math.min(this.#rest, latest - now)))
    this.#timer.unref()
  }

  #tell(): void {
    this.#timer = undefined
    const paths = this.#isTooMany ? null : [...this.#changed]
    this.#changed.clear()
    this.#isTooMany = false
    this.#options.onChange(paths)
  }
}
