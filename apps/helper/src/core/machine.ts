/**
 * The one shape of everything in core: a pure machine. It never reads a clock, never waits, never throws on what a peer sent.
 * `adapters/system/drive.ts` is the only place that runs one against real time.
 */
export interface Machine<Input, Effect> {
  /** @param now milliseconds of a monotonic clock @returns everything to be done, in order */
  step(now: number, input: Input): Effect[]
  /** When it wants `{ type: 'tick' }`, in the clock of `now`; undefined = not until something else happens. */
  readonly deadline: number | undefined
}
