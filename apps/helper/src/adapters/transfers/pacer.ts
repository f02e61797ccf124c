import { CodedError } from '@harddrive-party/protocol'
import { Bandwidth, type BandwidthInput, type BandwidthLimits, NO_LIMITS } from '../../core/transfers/bandwidth.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'

/** Makes bytes of one direction wait until `core/transfers/bandwidth.ts` lets them pass. */
export interface Pacer {
  /** Resolves when they may pass, at once where nothing limits them. @throws CodedError `aborted` */
  pass(peer: string, bytes: number, isLocal: boolean, options: { readonly signal: AbortSignal }): Promise<void>
  /** How many bytes are to be asked for at a time; undefined = as many as one likes. */
  pieceBytes(peer: string, isLocal: boolean): number | undefined
  /** The tightest limit that holds for a peer now, bytes per second. */
  limitOf(peer: string, isLocal: boolean): number | null
  /** Whether bytes of a peer wait just now. */
  isHeldUp(peer: string): boolean
  /** Holds for what waits already, too. */
  setLimits(limits: BandwidthLimits): void
  /** Whoever waits is stopped. Idempotent. */
  close(): void
}

interface Waiting {
  readonly peer: string
  readonly resolve: () => void
  readonly stop: () => void
}

export function openPacer(clock: Clock = systemClock): Pacer {
  const machine = new Bandwidth(NO_LIMITS, clock.now())
  const waiting = new Map<number, Waiting>()
  let nextId = 1
  let closed = false
  const driven: Driven<Exclude<BandwidthInput, { type: 'tick' }>> = drive<Exclude<BandwidthInput, { type: 'tick' }>, { type: 'grant'; id: number }>(machine, ({ id }) => waiting.get(id)?.resolve(), clock)

  return {
    pass: async (peer, bytes, isLocal, { signal }) => {
      if (machine.limitOf(peer, isLocal) === null) return
      if (signal.aborted || closed) throw stopped()
      const id = nextId++
      await new Promise<void>((resolve, reject) => {
        const settle = (how: () => void) => () => {
          signal.removeEventListener('abort', stop)
          waiting.delete(id)
          how()
        }
        const stop = settle(() => {
          driven.input({ type: 'end', id })
          reject(stopped())
        })
        signal.addEventListener('abort', stop, { once: true })
        waiting.set(id, { peer, resolve: settle(resolve), stop })
        driven.input({ type: 'ask', id, peer, bytes, isLocal })
      })
    },
    pieceBytes: (peer, isLocal) => machine.pieceBytes(peer, isLocal),
    limitOf: (peer, isLocal) => machine.limitOf(peer, isLocal),
    isHeldUp: (peer) => {
      for (const one of waiting.values()) if (one.peer === peer) return true
      return false
    },
    setLimits: (limits) => driven.input({ type: 'limits', limits }),
    close: () => {
      closed = true
      driven.close()
      for (const { stop } of waiting.values()) stop()
    },
  }
}

function stopped(): CodedError {
  return new CodedError('aborted', 'stopped')
}
