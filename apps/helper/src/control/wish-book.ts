/**
 * The helper's copy of the person's wishes, and what it makes of them: a wish for a path becomes a transfer with the same id, a wish for a search is looked
 * for among what connected peers share. What the person wants is in the wish and syncs with every browser; how far it has come is the transfer's business.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { CodedError, type Entry, type PeerId } from '@harddrive-party/protocol'
import {
  type ActivityFact, type ControlChange, type HubRow, type SearchTarget, type SyncedWish, type TransferInfo, type WishPriority, type WishStatus, type WishValues, type WishesInfo, WishClock, WishHub, editWish,
  newSyncedWish, valuesOf,
} from '@harddrive-party/protocol/control'
import { drive } from '../adapters/system/drive.ts'
import type { FoundMatch, WishListStore } from '../adapters/wishes/wish-list-store.ts'
import { searchForWish } from '../adapters/wishes/wish-search.ts'
import { matchKeyOf } from '../core/wishes/wish-match.ts'
import { type WatchEffect, type WatchInput, WishWatch } from '../core/wishes/wish-watch.ts'
import type { NetworkApi, NetworkEvent } from '../network/network-api.ts'
import type { PeerBook, Transfers } from './services.ts'

export interface WishBook {
  readonly hub: WishHub
  info(): WishesInfo
  /** Takes a change from a browser. Resolves when kept. */
  take(wish: SyncedWish): Promise<'taken' | 'too-late' | 'too-many'>
  /** The same id twice is one wish. @throws CodedError `too-large` */
  add(id: string | undefined, values: Pick<WishValues, 'what'> & Partial<WishValues>): Promise<HubRow>
  /** @throws CodedError `not-found` */
  edit(id: string, values: Partial<WishValues>): Promise<HubRow>
  /** What a search has found and nobody has answered. */
  matches(wishId: string): FoundMatch[]
  /** Without `keys` all. @returns how many */
  answer(wishId: string, accept: boolean, keys: ReadonlySet<string> | undefined): Promise<number>
  /** Resolves when everything taken so far survives a power cut. */
  flushed(): Promise<void>
  onTransfer(transfer: TransferInfo): void
  onTransferRemoved(transferId: string): void
  onNetworkEvent(event: NetworkEvent): void
  close(): Promise<void>
}

export interface WishBookOptions {
  readonly kept: WishListStore
  readonly network: Pick<NetworkApi, 'list'>
  readonly transfers: Pick<Transfers, 'add' | 'cancel' | 'change' | 'move' | 'infos'>
  readonly peers: Pick<PeerBook, 'info' | 'nameOf'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly onChange: (change: Extract<ControlChange, { type: 'wishes' }>) => void
  /** For the log of what has happened. */
  readonly note: (fact: ActivityFact) => void
  readonly onError: (error: unknown) => void
}

/** Of one search, answered or not. Beyond it the search says too little to go on. */
const MAX_MATCHES = 5_000
/** Searches that are looked for at once. */
const MAX_WATCHED = 500
const FORGET_INTERVAL_MS = 3_600_000

export function createWishBook(options: WishBookOptions): WishBook {
  return new OpenWishBook(options)
}

class OpenWishBook implements WishBook {
  readonly hub: WishHub
  readonly #options: WishBookOptions
  readonly #clock = new WishClock(randomBytes(8).toString('hex'))
  readonly #transfers = new Map<string, TransferInfo>()
  readonly #ended = new AbortController()
  readonly #background = new Set<Promise<void>>()
  readonly #watching
  readonly #forgetting: NodeJS.Timeout

  constructor(options: WishBookOptions) {
    this.#options = options
    this.hub = new WishHub(options.kept.name, this.#clock, options.kept)
    this.#watching = drive<Exclude<WatchInput, { type: 'tick' }>, WatchEffect>(new WishWatch(), (effect) => this.#inBackground(this.#search(effect)))
    this.#forget()
    this.#forgetting = setInterval(() => this.#forget(), FORGET_INTERVAL_MS).unref()
    // A turn later, when all parts know each other.
    this.#inBackground(Promise.resolve().then(() => this.#begin()))
  }

  info(): WishesInfo {
    let matches = 0
    for (const { status, removedAt } of this.hub.rows()) if (removedAt === null) matches += status.matches
    return { revision: this.hub.revision, matches }
  }

  async take(wish: SyncedWish): Promise<'taken' | 'too-late' | 'too-many'> {
    const taken = this.hub.take(wish, this.#options.now())
    if (typeof taken === 'string') return taken
    if (taken.row !== taken.before) {
      await this.#changed(taken.row, taken.before)
    }
    return 'taken'
  }

  async add(id: string | undefined, values: Pick<WishValues, 'what'> & Partial<WishValues>): Promise<HubRow> {
    const now = this.#options.now()
    const before = id === undefined ? undefined : this.hub.row(id)
    if (before !== undefined && before.removedAt === null) return before
    const wish = before === undefined ? newSyncedWish(id ?? randomUUID(), now, values, this.#clock.tick(now)) : editWish(before.wish, { ...values, removed: false }, this.#clock, now)
    if ((await this.take(wish)) !== 'taken') throw new CodedError('too-large', 'there are too many wishes; remove some first', { detail: { code: 'too-many-wishes', values: {} } })
    return this.#row(wish.id)
  }

  async edit(id: string, values: Partial<WishValues>): Promise<HubRow> {
    const { wish } = this.#row(id)
    await this.take(editWish(wish, values, this.#clock, this.#options.now()))
    return this.hub.row(id) as HubRow
  }

  matches(wishId: string): FoundMatch[] {
    this.#row(wishId)
    return [...this.#options.kept.found(wishId).values()].filter(({ answer }) => answer === 'none')
  }

  async answer(wishId: string, accept: boolean, keys: ReadonlySet<string> | undefined): Promise<number> {
    const row = this.#row(wishId)
    const chosen = this.matches(wishId).filter(({ key }) => keys === undefined || keys.has(key))
    const puts = chosen.map((match) => {
      if (accept) this.#download(row, match)
      return this.#options.kept.putFound(wishId, { ...match, answer: accept ? 'taken' : 'dropped' })
    })
    await Promise.all(puts)
    await this.#count(wishId)
    return chosen.length
  }

  onTransfer(transfer: TransferInfo): void {
    const { transferId, state, held } = transfer
    const before = this.#transfers.get(transferId)
    this.#transfers.set(transferId, transfer)
    if (before?.state === state && before.held === held) return
    const row = this.hub.row(transferId)
    // Paused among the transfers is paused everywhere.
    if (before !== undefined && before.held !== held && row?.removedAt === null) this.#inBackground(this.edit(transferId, { paused: held }).then(() => undefined))
    if (state === 'done' || state === 'cancelled') {
      // Fulfilled, or not wanted any more: every browser hears of it.
      if (row !== undefined && row.removedAt === null) this.#inBackground(this.edit(transferId, { removed: true }).then(() => undefined))
    } else if (row === undefined || row.removedAt !== null) {
      if (state !== 'failed') this.#inBackground(this.#adopt(transfer))
    } else this.#inBackground(this.#setStatus(transferId, { state: 'transfer', reason: null, matches: 0, taken: 0 }))
  }

  onTransferRemoved(transferId: string): void {
    this.#transfers.delete(transferId)
    const row = this.hub.row(transferId)
    if (row !== undefined && row.removedAt === null) this.#inBackground(this.edit(transferId, { removed: true }).then(() => undefined))
  }

  onNetworkEvent(event: NetworkEvent): void {
    if (event.type === 'peer') this.#watching.input({ type: 'peer', peerId: event.peer.peerId, connected: event.peer.state === 'connected' })
    else if (event.type === 'peer-changed') this.#watching.input({ type: 'changed', peerId: event.peerId, revision: event.revision })
    else if (event.type === 'peer-known') this.#retryRefused(event.peerId)
  }

  flushed(): Promise<void> {
    return this.#options.kept.flushed()
  }

  async close(): Promise<void> {
    this.#ended.abort()
    clearInterval(this.#forgetting)
    this.#watching.close()
    await Promise.all(this.#background)
  }

  async #begin(): Promise<void> {
    for (const transfer of this.#options.transfers.infos()) this.onTransfer(transfer)
    for (const row of this.hub.rows()) if (row.removedAt === null && row.wish.fields.what.value.kind === 'path') await this.#carryOut(row)
    this.#watch()
  }

  /** A transfer that was begun without a wish is one all the same: it can be paused and removed from a browser that is offline. */
  async #adopt({ transferId, peerId, peerName, path, isDirectory, total }: TransferInfo): Promise<void> {
    try {
      await this.add(transferId, { what: { kind: 'path', peerId, peerName, path, isDirectory, size: isDirectory === true ? null : total } })
    } catch (error) {
      // More transfers than wishes are kept of: this one goes on without.
      if (!(error instanceof CodedError) || error.code !== 'too-large') throw error
    }
  }

  async #changed(row: HubRow, before: HubRow | undefined): Promise<void> {
    const kept = this.#options.kept.put(row)
    this.#tell()
    const { what } = valuesOf(row.wish)
    if (what.kind === 'search') {
      const isAnother = before !== undefined && versionOf(before.wish) !== versionOf(row.wish)
      if (isAnother) await this.#options.kept.removeFound(row.wish.id)
      if (row.removedAt !== null) await this.#options.kept.removeFound(row.wish.id)
      else await this.#count(row.wish.id)
      this.#watch()
    } else await this.#carryOut(row, before)
    await kept
  }

  /** A wish for a path, and the transfer that it is carried out by. */
  async #carryOut({ wish: { id }, removedAt, wish }: HubRow, before?: HubRow): Promise<void> {
    const { what, paused, priority, folder } = valuesOf(wish)
    if (what.kind !== 'path') return
    const transfer = this.#transfers.get(id)
    const hasEnded = transfer === undefined || ['done', 'failed', 'cancelled'].includes(transfer.state)
    if (removedAt !== null) {
      if (!hasEnded) this.#options.transfers.cancel(id)
      return
    }
    if (transfer !== undefined) {
      if (!hasEnded && transfer.held !== paused) this.#options.transfers.change(paused ? 'pause' : 'resume', { transferId: id })
      if (!hasEnded && priority !== (before?.wish.fields.priority.value ?? priority)) this.#place(id, priority)
      return this.#setStatus(id, { state: 'transfer', reason: null, matches: 0, taken: 0 })
    }
    if (paused) return this.#setStatus(id, { state: 'waiting', reason: null, matches: 0, taken: 0 })
    if (this.#options.peers.info(what.peerId) === undefined) {
      return this.#setStatus(id, { state: 'refused', reason: { code: 'not-found', message: 'there is no such peer' }, matches: 0, taken: 0 })
    }
    let added
    try {
      added = this.#options.transfers.add({ peerId: what.peerId, path: what.path, id, ...(folder === null ? {} : { folder }) })
    } catch (error) {
      // Nothing can be put into that folder.
      if (!(error instanceof CodedError)) throw error
      return this.#setStatus(id, { state: 'refused', reason: CodedError.toReason(error), matches: 0, taken: 0 })
    }
    // Somebody else wished for the same: one of the two is enough.
    if (added.transferId === id) {
      this.#place(id, priority)
      await this.#setStatus(id, { state: 'transfer', reason: null, matches: 0, taken: 0 })
    } else await this.edit(id, { removed: true })
  }

  /** Before all others or after them; what is ordinary stays where it is. */
  #place(transferId: string, priority: WishPriority): void {
    if (priority !== 'normal') this.#options.transfers.move(transferId, priority === 'high' ? 'top' : 'bottom')
  }

  #retryRefused(peerId: PeerId): void {
    for (const row of this.hub.rows()) {
      const { what } = valuesOf(row.wish)
      if (row.status.state === 'refused' && row.removedAt === null && what.kind === 'path' && what.peerId === peerId) this.#inBackground(this.#carryOut(row))
    }
  }

  #watch(): void {
    const wishes = []
    for (const { wish, status, removedAt } of this.hub.rows()) {
      const { what, paused } = valuesOf(wish)
      if (removedAt !== null || paused || what.kind !== 'search' || status.state === 'found' || status.state === 'full') continue
      wishes.push({ id: wish.id, version: versionOf(wish), peerId: what.peerId })
      if (wishes.length >= MAX_WATCHED) break
    }
    this.#watching.input({ type: 'wishes', wishes })
  }

  async #search({ id, peerId }: WatchEffect): Promise<void> {
    const row = this.hub.row(id)
    const target = row?.wish.fields.what.value
    let outcome: 'done' | 'more' | 'failed' = 'failed'
    try {
      if (row !== undefined && target?.kind === 'search') {
        const known = this.#options.kept.found(id)
        const { entries, more } = await searchForWish(this.#options.network, { peerId, text: target.text, isKnown: (key) => known.has(key) }, { signal: this.#ended.signal })
        await this.#foundSome(id, target, peerId, entries)
        outcome = more ? 'more' : 'done'
      }
    } catch (error) {
      // The peer is gone or does not answer: it is asked again later.
      if (!(error instanceof CodedError)) throw error
    } finally {
      if (!this.#ended.signal.aborted) this.#watching.input({ type: 'searched', id, peerId, outcome })
    }
  }

  async #foundSome(id: string, target: SearchTarget, peerId: PeerId, entries: readonly Entry[]): Promise<void> {
    const row = this.hub.row(id)
    // Meanwhile it was removed, paused or is for something else.
    if (row === undefined || row.removedAt !== null || row.wish.fields.paused.value || row.wish.fields.what.value !== target) return
    const { kept, now } = this.#options
    const known = kept.found(id)
    const had = new Set([...this.#transfers.values()].map((transfer) => `${transfer.peerId}/${transfer.path}`))
    const isAutomatic = row.wish.fields.automatic.value
    const fresh = entries.filter((entry) => !had.has(`${peerId}/${entry.path}`))
    const puts: Promise<void>[] = []
    for (const entry of fresh.slice(0, Math.max(0, MAX_MATCHES - known.size))) {
      const { path, isDirectory, size } = entry
      const match: FoundMatch = { key: matchKeyOf(entry), answer: 'none', match: { peerId, path, isDirectory, size, foundAt: now() } }
      const isTaken = isAutomatic && this.#tryToDownload(row, match)
      puts.push(kept.putFound(id, isTaken ? { ...match, answer: 'taken' } : match))
    }
    await Promise.all(puts)
    await this.#count(id)
    if (puts.length > 0) this.#options.note({ type: 'wish-fired', wishId: id, peerId, peerName: this.#options.peers.nameOf(peerId), words: target.text, count: puts.length })
  }

  #download({ wish }: HubRow, { match: { peerId, path } }: FoundMatch): void {
    const { priority, folder } = valuesOf(wish)
    this.#place(this.#options.transfers.add({ peerId, path, ...(folder === null ? {} : { folder }) }).transferId, priority)
  }

  /** @returns false where nothing can be put into the wish's folder: then the person has to look at it */
  #tryToDownload(row: HubRow, match: FoundMatch): boolean {
    try {
      this.#download(row, match)
      return true
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      return false
    }
  }

  /** Says how a search stands. */
  async #count(id: string): Promise<void> {
    const row = this.hub.row(id)
    if (row === undefined || row.removedAt !== null) return
    let matches = 0
    let taken = 0
    const found = this.#options.kept.found(id)
    for (const { answer } of found.values()) {
      if (answer === 'none') matches++
      else if (answer === 'taken') taken++
    }
    const { repeat } = valuesOf(row.wish)
    const state = found.size >= MAX_MATCHES ? 'full' : !repeat && found.size > 0 ? 'found' : 'watching'
    await this.#setStatus(id, { state, reason: null, matches, taken })
    if (state !== row.status.state) this.#watch()
  }

  async #setStatus(id: string, status: WishStatus): Promise<void> {
    const row = this.hub.setStatus(id, status)
    if (row === undefined) return
    this.#tell()
    await this.#options.kept.put(row)
  }

  #forget(): void {
    const ids = this.hub.forget(this.#options.now())
    if (ids.length > 0) this.#inBackground(this.#options.kept.forget(ids, this.hub.forgotten))
  }

  #row(id: string): HubRow {
    const row = this.hub.row(id)
    if (row === undefined || row.removedAt !== null) throw new CodedError('not-found', 'there is no such wish')
    return row
  }

  #tell(): void {
    this.#options.onChange({ type: 'wishes', wishes: this.info() })
  }

  #inBackground(work: Promise<void>): void {
    const settled: Promise<void> = work.catch(this.#options.onError).finally(() => this.#background.delete(settled))
    this.#background.add(settled)
  }
}

/** Another one when something else is looked for, or when the person wants it looked for again. */
function versionOf({ fields: { what } }: SyncedWish): string {
  return what.at
}
