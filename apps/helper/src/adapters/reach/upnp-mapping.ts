/** Runs one UPnP lease: searches, calls, and reports what stands. What is asked when is decided in core. */
import type { Endpoint } from '@harddrive-party/protocol'
import { UpnpLease, type UpnpLeaseInput, type UpnpLeaseOptions } from '../../core/reach/upnp-lease.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'
import { type UpnpRouter, type UpnpSearch, callUpnp, findUpnpRouter } from './upnp-client.ts'

export interface UpnpMapping {
  readonly held: { readonly outside: Endpoint | null; readonly pinholes: readonly Endpoint[] }
  renew(): void
  /** Takes everything back, two seconds at most. Idempotent. */
  close(): Promise<void>
  abandon(): void
}

export interface UpnpMappingOptions extends UpnpLeaseOptions {
  readonly search: UpnpSearch
  /** At the end of the first attempt, and whenever something has changed. */
  readonly onChange: () => void
  readonly clock?: Clock
}

/** A person waits for the helper to end. */
const CLOSE_MS = 2_000

export function openUpnpMapping({ search, onChange, clock = systemClock, ...options }: UpnpMappingOptions): UpnpMapping {
  const ended = new AbortController()
  const { signal } = ended
  let held: UpnpMapping['held'] = { outside: null, pinholes: [] }
  let router: UpnpRouter | null = null
  let closing: Promise<void> | undefined
  let onClosed: (() => void) | undefined
  const driven: Driven<UpnpLeaseInput> = drive(new UpnpLease(clock.now(), options), (effect) => {
    switch (effect.type) {
      case 'find':
        void findUpnpRouter(search, { signal }).then((found) => {
          router = found
          driven.input({ type: 'found', services: found?.services ?? null })
        })
        break
      case 'call':
        if (router === null) throw new Error('a call without a router')
        void callUpnp(router, effect, { signal }).then((answer) => driven.input({ type: 'answer', answer }))
        break
      case 'held':
        held = { outside: effect.outside, pinholes: effect.pinholes }
        if (closing === undefined) onChange()
        break
      case 'closed':
        abandon()
        break
    }
  }, clock)

  function abandon(): void {
    driven.close()
    ended.abort()
    onClosed?.()
  }

  return {
    get held() {
      return held
    },
    renew: () => driven.input({ type: 'renew' }),
    close: () => (closing ??= new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const timer = setTimeout(abandon, CLOSE_MS)
      onClosed = () => {
        clearTimeout(timer)
        resolve()
      }
      driven.input({ type: 'close' })
    })),
    abandon,
  }
}
