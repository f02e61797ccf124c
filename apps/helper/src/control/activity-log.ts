/** Decides which changes of the helper's state are worth telling a person later, and keeps the last of them. Stores and shows nothing. */
import { type ActivityEntry, type ActivityFact, type ControlChange, MAX_ACTIVITY, type PeerInfo, type ShareInfo, type TransferInfo } from '@harddrive-party/protocol/control'

/** Transfers and shares whose last state is remembered; beyond, the oldest is forgotten and told of once more at worst. */
const MAX_WATCHED = 20_000

export class ActivityLog {
  #entries: ActivityEntry[]
  #lastId: number
  readonly #transfers = new Map<string, TransferInfo['state']>()
  readonly #shares = new Map<string, ShareInfo['state']>()
  readonly #peers = new Map<string, { readonly state: PeerInfo['state']; readonly isMet: boolean }>()

  /** @param entries of before, in any order @param lastId of the last one that was ever noted, where that is not among them */
  constructor(entries: readonly ActivityEntry[] = [], lastId = 0) {
    this.#entries = [...entries].sort((a, b) => a.id - b.id).slice(-MAX_ACTIVITY)
    this.#lastId = Math.max(lastId, this.#entries.at(-1)?.id ?? 0)
  }

  /** What is so already when the helper starts, and has not just happened. */
  seed(state: { readonly peers: readonly PeerInfo[]; readonly transfers: readonly TransferInfo[]; readonly shares: readonly ShareInfo[] }): void {
    for (const peer of state.peers) this.#peers.set(peer.peerId, { state: peer.state, isMet: peer.lastSeenAt !== null })
    for (const { transferId, state: now } of state.transfers) this.#transfers.set(transferId, now)
    for (const { shareId, state: now } of state.shares) this.#shares.set(shareId, now)
  }

  /** @returns what is new in the log because of it */
  step(now: number, change: ControlChange): ActivityEntry[] {
    const fact = this.#factOf(change)
    return fact === undefined ? [] : [this.note(now, fact)]
  }

  note(now: number, fact: ActivityFact): ActivityEntry {
    this.#lastId += 1
    const entry: ActivityEntry = { id: this.#lastId, at: now, ...fact }
    this.#entries.push(entry)
    if (this.#entries.length > MAX_ACTIVITY) this.#entries.shift()
    return entry
  }

  /** Of what is kept. */
  get oldestId(): number {
    return this.#entries[0]?.id ?? this.#lastId + 1
  }

  /** Newest first. */
  page({ before = Number.POSITIVE_INFINITY, limit }: { readonly before?: number; readonly limit: number }): ActivityEntry[] {
    return this.#entries.filter(({ id }) => id < before).slice(-limit).toReversed()
  }

  /** Numbers go on: whoever remembers how far it has read must not miss what comes. */
  clear(): void {
    this.#entries = []
  }

  #factOf(change: ControlChange): ActivityFact | undefined {
    switch (change.type) {
      case 'transfer':
        return this.#transferFact(change.transfer)
      case 'transfer-removed':
        this.#transfers.delete(change.transferId)
        return undefined
      case 'peer':
        return this.#peerFact(change.peer)
      case 'peer-removed':
        this.#peers.delete(change.peerId)
        return undefined
      case 'share': {
        const { shareId, name, state } = change.share
        const before = this.#shares.get(shareId)
        remember(this.#shares, shareId, state)
        return state === 'missing' && before !== 'missing' ? { type: 'share-missing', shareId, name } : undefined
      }
      case 'share-removed':
        this.#shares.delete(change.shareId)
        return undefined
      default:
        return undefined
    }
  }

  #transferFact({ transferId, peerId, peerName, path, state, bytes, files, reason }: TransferInfo): ActivityFact | undefined {
    const before = this.#transfers.get(transferId)
    remember(this.#transfers, transferId, state)
    if (before === undefined || before === state) return undefined
    if (state === 'done') return { type: 'download-done', peerId, peerName, transferId, path, bytes, failed: files.failed }
    if (state === 'failed') return { type: 'download-failed', peerId, peerName, transferId, path, reason }
    return undefined
  }

  #peerFact({ peerId, name, state, lastSeenAt }: PeerInfo): ActivityFact | undefined {
    const before = this.#peers.get(peerId)
    const isMet = before?.isMet === true || state === 'connected' || (before === undefined && lastSeenAt !== null && state !== 'asks')
    remember(this.#peers, peerId, { state, isMet })
    if (state === 'asks' && before?.state !== 'asks') return { type: 'peer-asks', peerId, peerName: name }
    if (state === 'connected' && before?.isMet !== true) return { type: 'peer-new', peerId, peerName: name }
    return undefined
  }
}

/** The newest last, so that the first is what was not heard of for longest. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= MAX_WATCHED) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
