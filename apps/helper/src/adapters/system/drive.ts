import type { Machine } from '../../core/machine.ts'

/** The one loop that runs a pure machine against a clock: feeds it inputs, performs its effects, wakes it at its deadline. Decides nothing. */

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number
  /** @returns what cancels the wake-up; harmless after it has happened */
  wakeAfter(delayMs: number, wake: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wakeAfter(delayMs, wake) {
    const timer = setTimeout(wake, delayMs)
    return () => clearTimeout(timer)
  },
}

export interface Driven<Input> {
  /** Takes one input now, or, when called while effects are being performed, right after them. Ignored after `close`. */
  input(input: Input): void
  /** No effect is performed from here on, not even those already decided. Idempotent. */
  close(): void
}

/** setTimeout fires at once for more than this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * @param perform carries out one effect; it may call `input`. What it throws is a bug and is not caught.
 */
export function drive<Input, Effect>(
  machine: Machine<Input | { readonly type: 'tick' }, Effect>, perform: (effect: Effect) => void, clock: Clock = systemClock,
): Driven<Input> {
  const inputs: (Input | { readonly type: 'tick' })[] = []
  let running = false
  let closed = false
  let cancelWake: (() => void) | undefined
  let wakesAt: number | undefined

  function run(input: Input | { readonly type: 'tick' }): void {
    if (closed) return
    inputs.push(input)
    if (running) return
    running = true
    try {
      for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
        for (const effect of machine.step(clock.now(), next)) {
          if (closed) return
          perform(effect)
        }
      }
    } finally {
      running = false
      if (!closed) arm()
    }
  }

  function arm(): void {
    const { deadline } = machine
    if (deadline === wakesAt) return
    disarm()
    if (deadline === undefined) return
    wakesAt = deadline
    // Rounded up: a timer that fires a fraction early would only be armed again.
    const delayMs = Math.min(LONGEST_TIMER_MS, Math.max(0, Math.ceil(deadline - clock.now())))
    cancelWake = clock.wakeAfter(delayMs, () => {
      wakesAt = undefined
      cancelWake = undefined
      run({ type: 'tick' })
    })
  }

  function disarm(): void {
    cancelWake?.()
    cancelWake = undefined
    wakesAt = undefined
  }

  arm()
  return {
    input: run,
    close() {
      closed = true
      inputs.length = 0
      disarm()
    },
  }
}
