/**
 * Offers to peers and by them: runs the machine that decides about them (core/offers/offers.ts), keeps them in the database, and ties them to the network, the
 * transfers and the staging.
 */
import { CodedError, type ErrorCode, type PeerId, cutToBytes, offerPath, parsePathPart } from '@harddrive-party/protocol'
import { MAX_PATH_PART_BYTES } from '@harddrive-party/protocol'
import type { ActivityFact, ControlChange, OfferInfo, OfferRule, OffersInfo, TransferInfo } from '@harddrive-party/protocol/control'
import { randomBytes } from 'node:crypto'
import { lstat, realpath } from 'node:fs/promises'
import { basename, extname, isAbsolute, sep } from 'node:path'
import { type Driven, drive, systemClock } from '../adapters/system/drive.ts'
import { readOfferTree } from '../adapters/offers/offer-tree.ts'
import { type Staging, openStaging } from '../adapters/offers/staging.ts'
import type { Store } from '../adapters/system/store.ts'
import { LIFETIME_MS, MAX_SENT, type OfferItem, type OfferRecord, hasEnded } from '../core/offers/offer-record.ts'
import { Offers, type OfferRuleRecord, type OffersEffect, type OffersInput, transferOf } from '../core/offers/offers.ts'
import { distinctName } from '../core/share-view.ts'
import type { NetworkApi, NetworkEvent, OffersPolicy } from '../network/network-api.ts'
import { decodeOfferRecord, decodeOfferRule } from './offer-decoding.ts'
import type { Transfers } from './services.ts'

export interface OffersBook {
  info(): OffersInfo
  /** @throws CodedError `not-found`, `too-large`, `bad-request`, `busy` */
  send(wish: { peerId: PeerId; paths?: readonly string[]; stagingId?: string; note?: string }): Promise<{ offerId: string }>
  /** @throws CodedError `not-found`, `conflict` when it does not wait any more */
  answer(answer: { offerId: string; accept: boolean; folder?: string }): void
  /** @throws CodedError `not-found` */
  cancel(offerId: string): void
  clear(): void
  setRule(change: { peerId: PeerId; autoAcceptBytes?: number | null; muted?: boolean }): Promise<void>
  forgetPeer(peerId: PeerId): Promise<void>
  readonly staging: Staging
  /** For the network process. */
  policy(): OffersPolicy
  onNetworkEvent(event: NetworkEvent): void
  onNetworkDown(): void
  onTransfer(transfer: Pick<TransferInfo, 'transferId' | 'state' | 'bytes' | 'total'>): void
  onTransferRemoved(transferId: string): void
  /** Idempotent. */
  close(): Promise<void>
}

export interface OffersBookOptions {
  readonly store: Store
  readonly network: Pick<NetworkApi, 'setOffers' | 'tellOffer'>
  readonly transfers: Pick<Transfers, 'add' | 'cancel' | 'infos'>
  readonly nameOf: (peerId: PeerId) => string
  /** The helper's own data: never sent. Real. */
  readonly storage: string
  readonly stagingDirectory: string
  readonly onChange: (change: ControlChange) => void
  readonly note: (fact: ActivityFact) => void
  readonly onError: (error: unknown) => void
  readonly now?: () => number
}

/** Changes are told at most so often: progress comes in small steps. */
const CHANGE_MS = 200

/** @throws CodedError `disk-error` */
export async function openOffersBook(options: OffersBookOptions): Promise<OffersBook> {
  const { store, network, transfers, onError, now = Date.now } = options
  const table = store.table<OfferRecord>('offers', decodeOfferRecord)
  const ruleTable = store.table<OfferRuleRecord>('offer-rules', decodeOfferRule)
  const kept = table.entries().map(({ value }) => value)
  const staging = await openStaging({ directory: options.stagingDirectory, taken: kept.flatMap(({ stagingId, state }) => (stagingId === null || hasEnded(state) ? [] : [stagingId])), onError })
  const offers = new Offers()
  const closing = new AbortController()
  const background = new Set<Promise<unknown>>()
  let changeTimer: ReturnType<typeof setTimeout> | undefined
  const machine: Driven<OffersInput> = drive<OffersInput, OffersEffect>(offers, perform, { now, wakeAfter: systemClock.wakeAfter })

  function inBackground(work: Promise<unknown>): void {
    const settled: Promise<unknown> = work.catch(onError).finally(() => background.delete(settled))
    background.add(settled)
  }

  function perform(effect: OffersEffect): void {
    switch (effect.type) {
      case 'tell':
        return void tell(effect.record, effect.news)
      case 'save':
        return inBackground(table.put(effect.record.offerId, { ...effect.record }))
      case 'forget':
        return inBackground(table.remove(effect.record.offerId))
      case 'fetch':
        return fetch(effect.record)
      case 'cancel-transfer':
        if (transfers.infos().some(({ transferId }) => transferId === effect.transferId)) transfers.cancel(effect.transferId)
        return
      case 'publish':
        return inBackground(network.setOffers(policy()).catch((error: unknown) => {
          // It gets it with its config when it is there.
          if (!(error instanceof CodedError)) throw error
        }))
      case 'ended':
        if (effect.record.stagingId !== null) inBackground(staging.release(effect.record.stagingId))
        return
      case 'ask': {
        const { offerId, peerId, name, bytes } = effect.record
        return options.note({ type: 'offer', offerId, peerId, peerName: options.nameOf(peerId), name, bytes })
      }
      case 'changed':
        changeTimer ??= setTimeout(() => {
          changeTimer = undefined
          options.onChange({ type: 'offers', offers: info() })
        }, CHANGE_MS).unref()
    }
  }

  async function tell({ offerId, peerId, name, files, bytes, isDirectory, note }: OfferRecord, news: Extract<OffersEffect, { type: 'tell' }>['news']): Promise<void> {
    let failure: ErrorCode | null = null
    try {
      const offer = { type: 'offer', offerId, name, files, bytes, isDirectory, ...(note === null ? {} : { note }) } as const
      await network.tellOffer({ peerId, message: news === null ? offer : { type: 'offer-news', offerId, ...news } })
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      failure = error.code
    }
    if (!closing.signal.aborted) machine.input({ type: 'told', offerId, failure })
  }

  function fetch({ offerId, peerId, name, folder }: OfferRecord): void {
    const path = offerPath(offerId, name)
    try {
      if (!path.ok) throw new CodedError('bad-path', path.error.message)
      transfers.add({ peerId, path: path.value, id: transferOf(offerId), ...(folder === null ? {} : { folder }) })
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      machine.input({ type: 'not-fetched', offerId, reason: { code: error.code, message: error.message } })
    }
  }

  function policy(): OffersPolicy {
    const { muted, full } = offers.refused(now())
    return { offered: offers.offered.map(({ offerId, peerId, name, items }) => ({ offerId, peerId, name, items })), muted, full }
  }

  function info(): OffersInfo {
    const shown = offers.records.sort((a, b) => b.at - a.at || b.offerId.localeCompare(a.offerId))
    return { offers: shown.map(infoOf), rules: offers.rules satisfies readonly OfferRule[] }
  }

  function infoOf({ offerId, direction, peerId, name, files, bytes, isDirectory, note, state, received, isDelivered, reason, at, expiresAt, endedAt }: OfferRecord): OfferInfo {
    return {
      offerId, direction, peerId, peerName: options.nameOf(peerId), name, files, bytes, isDirectory, note, state, received, isDelivered, reason, at, expiresAt, endedAt,
      transferId: direction === 'in' && state !== 'waiting' && state !== 'declined' ? transferOf(offerId) : null,
    }
  }

  function recordOf(offerId: string): OfferRecord {
    const record = offers.record(offerId)
    if (record === undefined) throw new CodedError('not-found', 'there is no such offer')
    return record
  }

  async function send({ peerId, paths, stagingId, note }: Parameters<OffersBook['send']>[0]): Promise<{ offerId: string }> {
    if (offers.offered.length >= MAX_SENT) throw new CodedError('busy', `${MAX_SENT} offers wait for others, which is the most; withdraw one first`, { detail: { code: 'too-many-offers', values: { max: MAX_SENT } } })
    const items = paths === undefined ? await staging.take(stagingId ?? '') : await localItems(paths, options.storage)
    try {
      if (items.length === 0) throw new CodedError('bad-request', 'there is nothing to send', { detail: { code: 'offer-empty', values: {} } })
      const offerId = randomBytes(16).toString('hex')
      const name = nameOfAll(items)
      const { files, bytes, place } = await readOfferTree({ offerId, name, items }, { signal: closing.signal })
      const path = offerPath(offerId, name)
      const isDirectory = path.ok && place(path.value)?.entry.isDirectory === true
      const words = note?.trim()
      const at = now()
      machine.input({
        type: 'send',
        record: {
          offerId, direction: 'out', peerId, name, files, bytes, isDirectory, note: words === undefined || words === '' ? null : words, items, stagingId: stagingId ?? null, at,
          expiresAt: at + LIFETIME_MS, endedAt: null, state: 'waiting', received: 0, isDelivered: false, folder: null, reason: null, owes: true,
        },
      })
      return { offerId }
    } catch (error) {
      if (stagingId !== undefined) await staging.release(stagingId)
      throw error
    }
  }

  for (const { value } of ruleTable.entries()) machine.input({ type: 'rule', rule: value })
  for (const record of kept) machine.input({ type: 'restore', record })
  for (const transfer of transfers.infos()) onTransfer(transfer)

  function onTransfer({ transferId, state, bytes, total }: Parameters<OffersBook['onTransfer']>[0]): void {
    const ended = state === 'done' || state === 'failed' || state === 'cancelled'
    machine.input({ type: 'transfer', transferId, state: ended ? state : 'under-way', bytes, total })
  }

  return {
    info,
    send,
    answer: ({ offerId, accept, folder }) => {
      const { direction, state } = recordOf(offerId)
      if (direction !== 'in') throw new CodedError('bad-request', 'this is your own offer; others answer it')
      if (state !== 'waiting') throw state === 'withdrawn' || state === 'expired' ? new CodedError('conflict', 'it is not offered any more', { detail: { code: 'offer-over', values: {} } }) : new CodedError('conflict', 'it was answered already', { detail: { code: 'offer-answered', values: {} } })
      machine.input({ type: 'answer', offerId, accept, folder: folder ?? null })
    },
    cancel: (offerId) => machine.input({ type: 'cancel', offerId: recordOf(offerId).offerId }),
    clear: () => machine.input({ type: 'clear' }),
    setRule: async ({ peerId, ...change }) => {
      const before = offers.rules.find((rule) => rule.peerId === peerId) ?? { peerId, autoAcceptBytes: null, muted: false }
      const rule = { ...before, ...change }
      machine.input({ type: 'rule', rule })
      if (rule.muted || rule.autoAcceptBytes !== null) await ruleTable.put(peerId, rule)
      else await ruleTable.remove(peerId)
    },
    forgetPeer: async (peerId) => {
      machine.input({ type: 'forget-peer', peerId })
      await ruleTable.remove(peerId)
    },
    staging,
    policy,
    onNetworkEvent: (event) => {
      if (event.type === 'takes-offers') machine.input({ type: 'peer', peerId: event.peerId, takes: event.takes })
      // The process that talks to strangers says so; what is kept is checked again.
      else if (event.type === 'offer-heard' && decodeOfferRecord({ ...EMPTY, ...event.offer }) !== undefined) machine.input({ type: 'heard', offer: event.offer })
      else if (event.type === 'offer-news') machine.input({ ...event, type: 'heard-news' })
    },
    onNetworkDown: () => machine.input({ type: 'peers-gone' }),
    onTransfer,
    onTransferRemoved: (transferId) => machine.input({ type: 'transfer', transferId, state: 'removed', bytes: 0, total: null }),
    close: async () => {
      if (closing.signal.aborted) return
      closing.abort()
      machine.close()
      clearTimeout(changeTimer)
      await Promise.all(background)
      await staging.close()
    },
  }
}

const EMPTY = {
  direction: 'in', items: [], stagingId: null, at: 0, expiresAt: 0, endedAt: null, state: 'waiting', received: 0, isDelivered: true, folder: null, reason: null, owes: false,
}

/** @returns each with a name of its own @throws CodedError `bad-request`, `not-found`, `not-allowed` */
async function localItems(paths: readonly string[], storage: string): Promise<OfferItem[]> {
  const items: OfferItem[] = []
  const taken = new Set<string>()
  for (const path of paths) {
    if (!isAbsolute(path)) throw new CodedError('bad-request', `paths: ${path} must be absolute`, { detail: { code: 'not-absolute', values: {} } })
    const file = await realpath(path).catch((cause: unknown) => {
      throw new CodedError('not-found', `${path} is not there`, { cause, detail: { code: 'not-there', values: { path } } })
    })
    const stats = await lstat(file)
    if (!stats.isFile() && !stats.isDirectory()) throw new CodedError('bad-request', `${path} is neither a file nor a folder`)
    if (isBelow(file, storage) || isBelow(storage, file)) throw new CodedError('not-allowed', `${path} holds this program's own data`, { detail: { code: 'own-data', values: { path } } })
    // What it is called here, also when it is a link.
    const own = basename(path)
    const name = distinctName(parsePathPart(own).ok ? own : 'Files', taken)
    taken.add(name.toLowerCase())
    items.push({ name, file })
  }
  return items
}

/** @returns whether one path is the other or inside it; both are absolute */
function isBelow(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep)
}

/** One thing keeps its name; several are put in a folder called after the first. */
function nameOfAll(items: readonly OfferItem[]): string {
  const [first, ...others] = items
  const name = first?.name ?? 'Files'
  if (others.length === 0) return name
  const suffix = ` + ${others.length}`
  const stem = cutToBytes(basename(name, extname(name)), MAX_PATH_PART_BYTES - suffix.length) + suffix
  return parsePathPart(stem).ok ? stem : `Files${suffix}`
}
