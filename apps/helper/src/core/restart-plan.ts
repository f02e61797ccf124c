/**
 * Decides when the network process is killed and when it is started again. Knows nothing of processes: it hears of them and says what to do.
 */
import type { Machine } from './machine.ts'

export type RestartInput =
  /** The process was started. */
  | { readonly type: 'started' }
  /** It gave a sign of life. */
  | { readonly type: 'heard'; readonly rssBytes: number }
  /** It is gone, for whatever reason. */
  | { readonly type: 'exited' }
  | { readonly type: 'tick' }

export type RestartEffect =
  | { readonly type: 'kill'; readonly reason: 'silent' | 'too-large' }
  | { readonly type: 'start' }

export interface RestartLimits {
  readonly heartbeatMs: number
  /** Silence after which a process that was heard before counts as hung. */
  readonly silenceMs: number
  /** Silence allowed before the first sign of life: loading a program from a cold disk takes longer than a heartbeat. */
  readonly firstSilenceMs: number
  /** Resident memory above which it is started anew. */
  readonly maxRssBytes: number
}

/** Waits before a restart, by how often in a row it died young. The first is immediate: a single crash should cost a transfer nothing. */
const BACKOFF_MS = [0, 250, 1_000, 4_000, 15_000, 30_000] as const

/** Having lived this long, a death is news and not a repetition. */
const SETTLED_MS = 60_000

/**
 * Silence is counted only over time in which this machine had time for us: a tick of our own that comes late counts for as much less as it is late. So a
 * suspended laptop or a debugger kills nothing on waking up, and a machine that is too busy to run us is not taken for a process that hangs.
 */
export class RestartPlan implements Machine<RestartInput, RestartEffect> {
  readonly #limits: RestartLimits
  #state: 'running' | 'dying' | 'gone' = 'gone'
  #startedAt = 0
  #lastTick = 0
  #silence = 0
  #heard = false
  #youngDeaths = 0
  #startAt: number | undefined

  constructor(limits: RestartLimits) {
    this.#limits = limits
  }

  get deadline(): number | undefined {
    if (this.#state === 'running') return this.#lastTick + this.#limits.heartbeatMs
    return this.#startAt
  }

  step(now: number, input: RestartInput): RestartEffect[] {
    switch (input.type) {
      case 'started':
        this.#state = 'running'
        this.#startedAt = now
        this.#lastTick = now
        this.#silence = 0
        this.#heard = false
        this.#startAt = undefined
        return []
      case 'heard':
        if (this.#state !== 'running') return []
        this.#heard = true
        this.#silence = 0
        return input.rssBytes > this.#limits.maxRssBytes ? this.#kill('too-large') : []
      case 'exited': {
        if (this.#state === 'gone') return []
        this.#state = 'gone'
        this.#youngDeaths = now - this.#startedAt >= SETTLED_MS ? 0 : this.#youngDeaths
        this.#startAt = now + (BACKOFF_MS[Math.min(this.#youngDeaths, BACKOFF_MS.length - 1)] ?? 0)
        this.#youngDeaths++
        return []
      }
      case 'tick':
        return this.#tick(now)
    }
  }

  #tick(now: number): RestartEffect[] {
    if (this.#state === 'gone') {
      if (this.#startAt === undefined || now < this.#startAt) return []
      this.#startAt = undefined
      return [{ type: 'start' }]
    }
    if (this.#state === 'dying') return []
    const { heartbeatMs } = this.#limits
    const elapsed = now - this.#lastTick
    this.#silence += elapsed <= heartbeatMs ? elapsed : heartbeatMs ** 2 / elapsed
    this.#lastTick = now
    const allowed = this.#heard ? this.#limits.silenceMs : this.#limits.firstSilenceMs
    return this.#silence >= allowed ? this.#kill('silent') : []
  }

  #kill(reason: 'silent' | 'too-large'): RestartEffect[] {
    this.#state = 'dying'
    return [{ type: 'kill', reason }]
  }
}
