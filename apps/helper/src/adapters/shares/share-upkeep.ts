import type { ShareInfo } from '@harddrive-party/protocol/control'
import type { ScanExtent, ScanOutcome } from './share-scan-worker.ts'
import { type ShareWatch, type ShareWatchOptions, openShareWatch } from './share-watch.ts'

/**
 * Keeps one share's index fresh: asks for rescans of what its watch noticed, or by the clock where there cannot be a watch, and notices when a
 * folder that was missing is back. It scans nothing itself.
 */
export interface ShareUpkeep {
  readonly watching: NonNullable<ShareInfo['watching']>
  /** A scan has ended. */
  scanned(outcome: ScanOutcome, extent: ScanExtent): void
  /** The folder is not there. */
  missing(): void
  close(): void
}

export interface ShareUpkeepOptions {
  readonly directory: string
  readonly directories: () => Iterable<string>
  readonly rescan: (extent: ScanExtent) => void
  readonly onChange: () => void
  readonly times?: UpkeepTimes
  readonly watch?: Pick<ShareWatchOptions, 'watch' | 'restMs' | 'isRecursive'>
}

export interface UpkeepTimes {
  /** Without a watch: between looks at the times of directories. */
  readonly quickMs: number
  /** Without a watch: between looks at every file, which alone show one that was written to in place. */
  readonly deepMs: number
  /** With a watch, which may miss things (a network drive that others write to). */
  readonly deepWatchedMs: number
  /** Between looks for a folder that is missing. */
  readonly missingMs: number
}

const MINUTE_MS = 60_000
export const UPKEEP_TIMES: UpkeepTimes = { quickMs: 5 * MINUTE_MS, deepMs: 60 * MINUTE_MS, deepWatchedMs: 24 * 60 * MINUTE_MS, missingMs: 15_000 }
/** Looking for changes takes at most this part of the time: a disk that is slow is looked at more rarely. */
const MOST_OF_THE_TIME = 1 / 20
/** A single scan after a change may be this much of it, up to a minute between two. */
const REST_PER_SCAN = 10
const LONGEST_REST_MS = 60_000

export function openShareUpkeep(options: ShareUpkeepOptions): ShareUpkeep {
  return new Upkeep(options)
}

class Upkeep implements ShareUpkeep {
  readonly #options: ShareUpkeepOptions
  readonly #times: UpkeepTimes
  #watch: ShareWatch | undefined
  #timer: NodeJS.Timeout | undefined
  #deepAt = 0
  #isMissing = false
  #isOver = false
  watching: ShareUpkeep['watching'] = 'preparing'

  constructor(options: ShareUpkeepOptions) {
    this.#options = options
    this.#times = options.times ?? UPKEEP_TIMES
  }

  scanned({ directories, tookMs }: ScanOutcome, extent: ScanExtent): void {
    if (this.#isOver) return
    const now = performance.now()
    if (extent === 'whole' || extent === 'deep' || directories === null) this.#deepAt = now
    const isBack = this.#isMissing
    this.#isMissing = false
    if (isBack || (directories === null && this.#watch !== undefined)) this.#closeWatch()
    if (this.watching !== 'rescans') {
      if (this.#watch === undefined) this.#openWatch()
      else if (directories !== null) {
        this.#watch.remove(directories.removed)
        this.#watch.add(directories.added)
      }
      this.#watch?.setRest(Math.min(LONGEST_REST_MS, tookMs * REST_PER_SCAN))
    }
    this.#schedule(tookMs)
  }

  missing(): void {
    if (this.#isOver) return
    this.#isMissing = true
    this.#closeWatch()
    this.watching = 'preparing'
    this.#wakeAfter(this.#times.missingMs, 'quick')
  }

  close(): void {
    this.#isOver = true
    this.#closeWatch()
    clearTimeout(this.#timer)
  }

  #openWatch(): void {
    const { directory, directories, rescan, onChange } = this.#options
    this.watching = 'preparing'
    const watch = openShareWatch({
      ...this.#options.watch,
      directory,
      directories,
      onChange: (paths) => rescan(paths ?? 'deep'),
      onState: (state) => {
        this.watching = state === 'on' ? 'on' : 'rescans'
        if (state === 'full') this.#watch = undefined
        onChange()
        // What happened between the scan and the watch.
        if (state === 'on') rescan('quick')
        else this.#schedule(0)
      },
    })
    // It may have found no room at once.
    if (this.#isWatched()) this.#watch = watch
  }

  #isWatched(): boolean {
    return this.watching !== 'rescans'
  }

  #closeWatch(): void {
    this.#watch?.close()
    this.#watch = undefined
  }

  #schedule(tookMs: number): void {
    const { quickMs, deepMs, deepWatchedMs } = this.#times
    const atLeast = tookMs / MOST_OF_THE_TIME
    const untilDeep = this.#deepAt + Math.max(atLeast, this.watching === 'rescans' ? deepMs : deepWatchedMs) - performance.now()
    const untilQuick = this.watching === 'rescans' ? Math.max(atLeast, quickMs) : Infinity
    if (untilDeep <= untilQuick) this.#wakeAfter(Math.max(0, untilDeep), 'deep')
    else this.#wakeAfter(untilQuick, 'quick')
  }

  #wakeAfter(ms: number, extent: ScanExtent): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#options.rescan(extent), ms)
    this.#timer.unref()
  }
}
