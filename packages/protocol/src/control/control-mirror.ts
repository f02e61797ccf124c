import type { ControlChange, ControlEvent, ControlSnapshot } from './api.ts'
import type { ControlClient } from './client-endpoint.ts'

/**
 * A UI's copy of the helper's state: a snapshot, kept current by numbered events, asked for anew when a number is missing.
 * Decides nothing about display, and does not reconnect: after the connection ended it keeps the last state.
 */
export interface ControlMirror {
  /** Never changed in place; null until the first snapshot came. */
  readonly state: ControlSnapshot | null
  /** Resolves with the first state; rejects as the call that asked for it. */
  readonly ready: Promise<ControlSnapshot>
  /** `changes` is what led from the state before to this one, or null when it is a new snapshot. @returns unsubscribe */
  subscribe(listener: (state: ControlSnapshot, changes: readonly ControlChange[] | null) => void): () => void
  /** Stops following. Idempotent. */
  close(): void
}

/** Events kept while a snapshot is on its way: more than that, and another snapshot is cheaper. */
const MAX_EARLY_EVENTS = 1_000

export function openControlMirror(client: Pick<ControlClient, 'api' | 'onEvent'>): ControlMirror {
  const listeners = new Set<(state: ControlSnapshot, changes: readonly ControlChange[] | null) => void>()
  let state: ControlSnapshot | null = null
  let early: ControlEvent[] | null = null
  let closed = false

  const apply = (events: readonly ControlEvent[]): boolean => {
    if (state === null) return false
    let next: ControlSnapshot = state
    const fresh = events.filter((event) => event.seq > next.seq)
    for (const event of fresh) {
      if (event.seq !== next.seq + 1) return false
      next = applyChange({ ...next, seq: event.seq }, event)
    }
    if (fresh.length > 0) publish(next, fresh)
    return true
  }
  const publish = (next: ControlSnapshot, changes: readonly ControlChange[] | null) => {
    state = next
    for (const listener of listeners) listener(next, changes)
  }
  const takeSnapshot = async (): Promise<ControlSnapshot> => {
    for (;;) {
      early = []
      const snapshot = await client.api.snapshot()
      const meanwhile = early
      early = null
      if (closed) return snapshot
      publish(snapshot, null)
      if (apply(meanwhile)) return state ?? snapshot
    }
  }
  const unsubscribe = client.onEvent((event) => {
    if (closed) return
    if (early !== null) {
      // Dropping the oldest leaves a gap, which asks for another snapshot.
      early.push(event)
      if (early.length > MAX_EARLY_EVENTS) early.shift()
    } else if (!apply([event])) {
      takeSnapshot().catch(() => {
        early = null // the connection ended; the last state stays
      })
    }
  })
  const ready = takeSnapshot()
  ready.catch(() => {
    early = null
  })

  return {
    get state() {
      return state
    },
    ready,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: () => {
      closed = true
      listeners.clear()
      unsubscribe()
    },
  }
}

/** The state after one change; the old one stays as it was. */
export function applyChange(state: ControlSnapshot, change: ControlChange): ControlSnapshot {
  switch (change.type) {
    case 'status':
      return { ...state, status: change.status }
    case 'settings':
      return { ...state, settings: change.settings }
    case 'topics':
      return { ...state, topics: change.topics }
    case 'wishes':
      return { ...state, wishes: change.wishes }
    case 'queue':
      return { ...state, queue: change.queue }
    case 'offers':
      return { ...state, offers: change.offers }
    case 'uploads':
      return { ...state, uploads: change.uploads }
    case 'upload-peers':
      return { ...state, uploadPeers: change.uploadPeers }
    case 'limits':
      return { ...state, limits: change.limits }
    case 'access':
      return { ...state, access: change.access }
    case 'peer':
      return { ...state, peers: put(state.peers, change.peer, (peer) => peer.peerId) }
    case 'peer-removed':
      return { ...state, peers: state.peers.filter((peer) => peer.peerId !== change.peerId) }
    case 'transfer':
      return { ...state, transfers: put(state.transfers, change.transfer, (transfer) => transfer.transferId) }
    case 'transfer-removed':
      return { ...state, transfers: state.transfers.filter((transfer) => transfer.transferId !== change.transferId) }
    case 'share':
      return { ...state, shares: put(state.shares, change.share, (share) => share.shareId) }
    case 'share-removed':
      return { ...state, shares: state.shares.filter((share) => share.shareId !== change.shareId) }
    default:
      return state // of a newer helper
  }
}

function put<T>(list: readonly T[], item: T, keyOf: (item: T) => string): readonly T[] {
  const index = list.findIndex((other) => keyOf(other) === keyOf(item))
  return index === -1 ? [...list, item] : list.with(index, item)
}
