import { CodedError, type Entry, type PeerId, type SharePath } from '@harddrive-party/protocol'
import {
  type ControlChange, type HubRow, type PeerInfo, type WishMatch, type WishStatus, type WishValues, type WishesApi, type WishesInfo, WishClock, WishHub, editWish, newSyncedWish,
  valuesOf,
} from '@harddrive-party/protocol/control'

/** Pretended wishes: merged as a helper merges them, looked for once when they are added or changed. */
export interface MockWishes {
  readonly api: WishesApi
  info(): WishesInfo
  /** Hears what transfers do: a download is a wish until it is done. */
  onChange(change: ControlChange): void
}

interface Surroundings {
  emit(change: ControlChange): void
  peers(): readonly PeerInfo[]
  search(peerId: PeerId, text: string): readonly Entry[]
  download(peerId: PeerId, path: SharePath, id: string | undefined, folder: SharePath | null): void
  cancel(transferId: string): void
  isRunning(transferId: string): boolean
}

const IDLE: WishStatus = { state: 'waiting', reason: null, matches: 0, taken: 0 }

export function openMockWishes({ emit, peers, search, download, cancel, isRunning }: Surroundings): MockWishes {
  const clock = new WishClock('5a'.repeat(8))
  const hub = new WishHub('mock', clock, { rows: [], forgotten: 0 })
  const found = new Map<string, Map<string, WishMatch & { answer: 'none' | 'taken' | 'dropped' }>>()

  const info = (): WishesInfo => ({ revision: hub.revision, matches: hub.rows().reduce((sum, { status, removedAt }) => sum + (removedAt === null ? status.matches : 0), 0) })
  const tell = () => emit({ type: 'wishes', wishes: info() })
  const setStatus = (id: string, status: Partial<WishStatus>) => {
    if (hub.setStatus(id, { ...IDLE, ...status }) !== undefined) tell()
  }
  const rowOf = (id: string): HubRow => {
    const row = hub.row(id)
    if (row === undefined || row.removedAt !== null) throw new CodedError('not-found', 'there is no such wish')
    return row
  }

  function take(wish: HubRow['wish']): 'too-late' | 'too-many' | undefined {
    const taken = hub.take(wish, Date.now())
    if (typeof taken === 'string') return taken
    if (taken.row === taken.before) return undefined
    tell()
    if (taken.row.wish.fields.what.at !== taken.before?.wish.fields.what.at) found.delete(wish.id)
    act(taken.row)
    return undefined
  }

  function act({ wish, removedAt }: HubRow): void {
    const { what, paused, folder } = valuesOf(wish)
    const { id } = wish
    if (removedAt !== null) {
      if (isRunning(id)) cancel(id)
    } else if (what.kind === 'search') {
      if (!paused) lookFor(id)
      count(id)
    } else if (!peers().some(({ peerId }) => peerId === what.peerId)) setStatus(id, { state: 'refused', reason: { code: 'not-found', message: 'there is no such peer' } })
    else if (!paused) {
      download(what.peerId, what.path, id, folder)
      setStatus(id, { state: 'transfer' })
    }
  }

  function lookFor(id: string): void {
    const { what, automatic, folder } = valuesOf(rowOf(id).wish)
    if (what.kind !== 'search') return
    const matches = found.get(id) ?? new Map<string, WishMatch & { answer: 'none' | 'taken' | 'dropped' }>()
    found.set(id, matches)
    for (const { peerId, name, state } of peers()) {
      if (state !== 'connected' || (what.peerId !== null && what.peerId !== peerId)) continue
      for (const { path, size, isDirectory } of search(peerId, what.text)) {
        const matchId = `${path.slice(path.lastIndexOf('/') + 1)} ${size}`
        if (matches.has(matchId)) continue
        if (automatic) download(peerId, path, undefined, folder)
        matches.set(matchId, { matchId, peerId, peerName: name, path, size, isDirectory, foundAt: Date.now(), answer: automatic ? 'taken' : 'none' })
      }
    }
  }

  function count(id: string): void {
    const all = [...(found.get(id)?.values() ?? [])]
    const counted = (answer: string) => all.filter((match) => match.answer === answer).length
    setStatus(id, { state: all.length > 0 && !valuesOf(rowOf(id).wish).repeat ? 'found' : 'watching', matches: counted('none'), taken: counted('taken') })
  }

  function add(id: string, values: Pick<WishValues, 'what'> & Partial<WishValues>): void {
    if (hub.row(id)?.removedAt === null) return
    const before = hub.row(id)
    take(before === undefined ? newSyncedWish(id, Date.now(), values, clock.tick(Date.now())) : editWish(before.wish, { ...values, removed: false }, clock, Date.now()))
  }

  const api: WishesApi = {
    async syncWishes(request) {
      const refused = hub.admits(request) ? (request.changes ?? []).flatMap((wish) => {
        const why = take(wish)
        return why === undefined ? [] : [{ wishId: wish.id, why }]
      }) : []
      return { ...hub.page(request, Date.now()), refused }
    },
    async wishes({ cursor, limit }) {
      const all = hub.rows().filter(({ removedAt }) => removedAt === null).map(infoOf)
      const { items, ...more } = page(all, cursor, limit, ({ wishId }) => wishId)
      return { wishes: items, ...more }
    },
    async addWish({ id = crypto.randomUUID(), ...values }) {
      add(id, values)
      return { wishId: id }
    },
    async editWish({ wishId, ...values }) {
      take(editWish(rowOf(wishId).wish, values, clock, Date.now()))
      return infoOf(rowOf(wishId))
    },
    async removeWish({ wishId }) {
      take(editWish(rowOf(wishId).wish, { removed: true }, clock, Date.now()))
    },
    async wishMatches({ wishId, cursor, limit }) {
      rowOf(wishId)
      const open = [...(found.get(wishId)?.values() ?? [])].filter(({ answer }) => answer === 'none').map(({ answer: _answer, ...match }) => match)
      const { items, ...more } = page(open, cursor, limit, ({ matchId }) => matchId)
      return { matches: items, ...more }
    },
    async answerMatches({ wishId, accept, matchIds }) {
      rowOf(wishId)
      let answered = 0
      for (const match of found.get(wishId)?.values() ?? []) {
        if (match.answer !== 'none' || (matchIds !== undefined && !matchIds.includes(match.matchId))) continue
        match.answer = accept ? 'taken' : 'dropped'
        if (accept) download(match.peerId, match.path, undefined, valuesOf(rowOf(wishId).wish).folder)
        answered += 1
      }
      count(wishId)
      return { answered }
    },
  }

  function onChange(change: ControlChange): void {
    if (change.type === 'transfer-removed' || (change.type === 'transfer' && (change.transfer.state === 'done' || change.transfer.state === 'cancelled'))) {
      const id = change.type === 'transfer' ? change.transfer.transferId : change.transferId
      const row = hub.row(id)
      if (row?.removedAt === null) take(editWish(row.wish, { removed: true }, clock, Date.now()))
    } else if (change.type === 'transfer' && change.transfer.state !== 'failed' && hub.row(change.transfer.transferId)?.removedAt !== null) {
      const { transferId, peerId, peerName, path, isDirectory, total } = change.transfer
      add(transferId, { what: { kind: 'path', peerId, peerName, path, isDirectory, size: total } })
    }
  }

  return { api, info, onChange }
}

function page<T>(all: readonly T[], cursor: string | undefined, limit: number, idOf: (item: T) => string): { items: readonly T[]; cursor?: string } {
  const start = cursor === undefined ? 0 : all.findIndex((item) => idOf(item) === cursor) + 1
  if (cursor !== undefined && start === 0) throw new CodedError('bad-request', 'the list has changed')
  const items = all.slice(start, start + limit)
  const last = items.at(-1)
  return start + limit < all.length && last !== undefined ? { items, cursor: idOf(last) } : { items }
}

function infoOf({ wish, status }: HubRow) {
  const { removed: _removed, ...values } = valuesOf(wish)
  return { wishId: wish.id, addedAt: wish.addedAt, ...values, status }
}
