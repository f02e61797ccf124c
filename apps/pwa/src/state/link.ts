import { CodedError } from '@harddrive-party/protocol'
import { CONTROL_METHODS, type ControlApi, type ControlChange, type ControlSnapshot } from '@harddrive-party/protocol/control'

/** Keeps one connection to the helper alive: opens it, opens it again after a loss, and says which it is. Knows nothing of sockets or of what the state means. */

/**
 * - `unpaired`: no helper has admitted this browser
 * - `connecting`: the first attempt is under way
 * - `open`
 * - `lost`: the helper does not answer; tried again by itself
 * - `refused`: the helper no longer admits this browser
 */
export type LinkStatus = 'unpaired' | 'connecting' | 'open' | 'lost' | 'refused'

/** An admitted connection. */
export interface ControlSession {
  readonly api: ControlApi
  /** Settles when the connection is gone, for whatever reason. */
  readonly closed: Promise<unknown>
  close(): void
}

export interface SessionListener {
  onSnapshot(snapshot: ControlSnapshot): void
  onChange(change: ControlChange): void
}

/** Opens one session and feeds its listener; rejects with a CodedError (`not-allowed` = this browser is not paired, `wrong-identity` = another helper answers). */
export type OpenSession = (listener: SessionListener, options: { signal: AbortSignal }) => Promise<ControlSession>

export interface LinkOptions {
  readonly open: OpenSession
  readonly listener: SessionListener
  onStatus(status: LinkStatus): void
  /** For tests: how long to wait, in milliseconds. */
  readonly delays?: readonly number[]
}

/** A helper restarts within a second; one that is off should not cost battery. */
export const RETRY_DELAYS_MS = [300, 700, 1500, 3000, 5000, 10_000] as const

/** An attempt that takes longer is given up: loopback and LAN answer in milliseconds. */
const ATTEMPT_TIMEOUT_MS = 10_000

export interface HelperLink {
  readonly status: LinkStatus
  /** Calls go to the helper, or reject with `closed` while there is none. */
  readonly api: ControlApi
  /** Tries now instead of after the delay; does nothing when open. */
  wake(): void
  close(): void
}

export function openLink({ open, listener, onStatus, delays = RETRY_DELAYS_MS }: LinkOptions): HelperLink {
  let status: LinkStatus = 'connecting'
  let session: ControlSession | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let attempts = 0
  let busy = false
  const ended = new AbortController()

  function become(next: LinkStatus) {
    if (status === next || ended.signal.aborted) return
    status = next
    onStatus(next)
  }

  async function attempt() {
    if (busy || session !== null || ended.signal.aborted) return
    busy = true
    clearTimeout(timer)
    try {
      const opened = await open(listener, { signal: AbortSignal.any([ended.signal, AbortSignal.timeout(ATTEMPT_TIMEOUT_MS)]) })
      if (ended.signal.aborted) return opened.close()
      session = opened
      attempts = 0
      become('open')
      const lost = () => {
        if (session === opened) session = null
        become('lost')
        later()
      }
      opened.closed.then(lost, lost)
    } catch (error) {
      if (error instanceof CodedError && (error.code === 'not-allowed' || error.code === 'wrong-identity')) become('refused')
      else {
        become('lost')
        later()
      }
    } finally {
      busy = false
    }
  }

  function later() {
    if (ended.signal.aborted) return
    clearTimeout(timer)
    timer = setTimeout(() => void attempt(), delays[Math.min(attempts, delays.length - 1)])
    attempts += 1
  }

  const api = forwardingApi(() => session?.api)
  void attempt()

  return {
    get status() {
      return status
    },
    api,
    wake() {
      if (status === 'open') return
      attempts = 0
      void attempt()
    },
    close() {
      ended.abort()
      clearTimeout(timer)
      session?.close()
      session = null
    },
  }
}

/** One lasting object whose calls reach whichever helper is there at that moment. */
export function forwardingApi(current: () => ControlApi | undefined): ControlApi {
  const api: Partial<Record<keyof ControlApi, unknown>> = {}
  for (const method of CONTROL_METHODS) {
    api[method] = (args: never) => {
      const target = current()
      if (target === undefined) return Promise.reject(new CodedError('closed', 'your helper is not running'))
      return (target[method] as (args: never) => Promise<unknown>)(args)
    }
  }
  return api as ControlApi
}
