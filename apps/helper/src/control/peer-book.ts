/**
 * Remembers peers and combines what was decided about each (known, wanted, blocked) with what the network says of it now. Stores addresses and
 * knock secrets for dialling again; dials nobody.
 */
import { type PeerId, fingerprint, parsePeerId } from '@harddrive-party/protocol'
import type { ControlChange, PeerInfo } from '@harddrive-party/protocol/control'
import { peerName } from '@harddrive-party/protocol/peer-name'
import * as v from 'valibot'
import type { Store } from '../adapters/system/store.ts'
import type { KnownPeer, PeerStatus } from '../network/network-api.ts'
import { MAX_KNOWN_ADDRESSES, type WorkedAddress, dialOrder, rememberWorked } from './known-addresses.ts'
import type { PeerBook } from './services.ts'

export interface PeerBookOptions {
  readonly store: Store
  readonly now: () => number
  readonly onChange: (change: ControlChange) => void
  /** A record could not be written. */
  readonly onError: (error: unknown) => void
}

/** More friends than anyone has; whoever was not seen for longest makes room. */
const MAX_PEERS = 5_000
/** `[ipv6]:port` has at most 47 characters. */
const MAX_ADDRESS_CHARACTERS = 64

/** A signed record has at most 1,024 bytes. */
const MAX_RECORD_DIGITS = 2_048

const ADDRESS = v.pipe(v.string(), v.maxLength(MAX_ADDRESS_CHARACTERS))

const RECORD = v.strictObject({
  peerId: v.pipe(v.string(), v.check((text) => parsePeerId(text).ok)),
  blocked: v.boolean(),
  wanted: v.boolean(),
  /** False for somebody who was blocked before ever being let in. */
  met: v.boolean(),
  /** What it said in its last hello, after where it was seen. */
  addresses: v.pipe(v.array(ADDRESS), v.maxLength(MAX_KNOWN_ADDRESSES)),
  worked: v.optional(v.pipe(v.array(v.strictTuple([ADDRESS, v.number()])), v.maxLength(MAX_KNOWN_ADDRESSES)), []),
  record: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(MAX_RECORD_DIGITS), v.regex(/^(?:[0-9a-f]{2})+$/))), null),
  knockSecret: v.nullable(v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/))),
  lastSeenAt: v.nullable(v.number()),
  sharedBytes: v.nullable(v.number()),
})

interface PeerRecord extends KnownPeer {
  readonly worked: readonly WorkedAddress[]
  readonly record: string | null
  readonly met: boolean
  readonly lastSeenAt: number | null
  readonly sharedBytes: number | null
}

export function createPeerBook(options: PeerBookOptions): PeerBook {
  const { store, now, onChange, onError } = options
  const table = store.table<PeerRecord>('peers', (raw) => {
    const result = v.safeParse(RECORD, raw)
    return result.success ? (result.output as unknown as PeerRecord) : undefined
  })
  const records = new Map<PeerId, PeerRecord>()
  for (const { value } of table.entries()) records.set(value.peerId, value)
  const statuses = new Map<PeerId, PeerStatus>()

  const info = (peerId: PeerId): PeerInfo | undefined => {
    const record = records.get(peerId)
    const status = statuses.get(peerId)
    if (record === undefined && status === undefined) return undefined
    return {
      peerId,
      name: peerName(peerId),
      fingerprint: fingerprint(peerId),
      state: combine(record, status),
      path: status?.path ?? null,
      lastError: status?.lastError ?? null,
      lastSeenAt: record?.lastSeenAt ?? null,
      sharedBytes: record?.sharedBytes ?? null,
    }
  }
  const tell = (peerId: PeerId) => {
    const peer = info(peerId)
    onChange(peer === undefined ? { type: 'peer-removed', peerId } : { type: 'peer', peer })
  }
  const save = (record: PeerRecord) => {
    records.set(record.peerId, record)
    table.put(record.peerId, record).catch(onError)
  }
  const drop = (peerId: PeerId) => {
    records.delete(peerId)
    table.remove(peerId).catch(onError)
  }
  const change = (peerId: PeerId, fields: Partial<PeerRecord>) => {
    const record = records.get(peerId)
    if (record !== undefined) save({ ...record, ...fields })
  }
  const makeRoom = () => {
    if (records.size < MAX_PEERS) return
    let oldest: PeerRecord | undefined
    for (const record of records.values()) {
      if (record.blocked || statuses.has(record.peerId)) continue
      if (oldest === undefined || (record.lastSeenAt ?? 0) < (oldest.lastSeenAt ?? 0)) oldest = record
    }
    if (oldest === undefined) return
    drop(oldest.peerId)
    tell(oldest.peerId)
  }
  const remember = (peerId: PeerId, fields: Partial<PeerRecord>) => {
    if (!records.has(peerId)) makeRoom()
    const fresh = { peerId, blocked: false, wanted: true, met: false, addresses: [], worked: [], record: null, knockSecret: null, lastSeenAt: null, sharedBytes: null }
    save({ ...(records.get(peerId) ?? fresh), ...fields })
  }
  const takeStatus = (status: PeerStatus) => {
    const { peerId } = status
    const before = statuses.get(peerId)?.state
    // Of a peer we know, the reason of the last failure is worth keeping; of a stranger who left, nothing is.
    if (status.state === 'offline' && !records.has(peerId)) statuses.delete(peerId)
    else statuses.set(peerId, status)
    if (status.state === 'connected' || before === 'connected') change(peerId, { lastSeenAt: now() })
    tell(peerId)
  }

  return {
    infos: () => [...new Set([...records.keys(), ...statuses.keys()])].flatMap((peerId) => info(peerId) ?? []),
    info,
    nameOf: (peerId) => peerName(peerId),
    known: () => [...records.values()].map(({ peerId, blocked, wanted, met, addresses, worked, record, knockSecret }) => ({
      peerId, blocked, wanted: wanted && met, addresses: dialOrder(worked, addresses, now()), knockSecret, ...(record === null ? {} : { record }),
    })),
    setWanted: (peerId, wanted) => {
      change(peerId, { wanted })
      tell(peerId)
    },
    setBlocked: (peerId, blocked) => {
      if (blocked) remember(peerId, { blocked, record: null })
      else if (records.get(peerId)?.met === false) drop(peerId)
      else change(peerId, { blocked })
      tell(peerId)
    },
    forget: (peerId) => {
      drop(peerId)
      statuses.delete(peerId)
      tell(peerId)
    },
    heardSharedBytes: (peerId, sharedBytes) => {
      if (records.get(peerId)?.sharedBytes === sharedBytes) return
      change(peerId, { sharedBytes })
      tell(peerId)
    },
    onNetworkEvent: (event) => {
      if (event.type === 'peer') takeStatus(event.peer)
      if (event.type === 'peer-record' && event.record.length <= MAX_RECORD_DIGITS) change(event.peerId, { record: event.record, knockSecret: event.knockSecret })
      if (event.type !== 'peer-known') return
      const { peerId, knockSecret } = event
      const before = records.get(peerId)
      const addresses = event.addresses.filter(isShort).slice(0, MAX_KNOWN_ADDRESSES)
      remember(peerId, {
        met: true, wanted: true, knockSecret, addresses: addresses.length > 0 ? addresses : (before?.addresses ?? []), lastSeenAt: now(),
        worked: rememberWorked(before?.worked ?? [], (event.worked ?? []).filter(isShort), now()),
      })
      tell(peerId)
    },
  }
}

function isShort(address: string): boolean {
  return address.length <= MAX_ADDRESS_CHARACTERS
}

function combine(record: PeerRecord | undefined, status: PeerStatus | undefined): PeerInfo['state'] {
  if (record?.blocked === true) return 'blocked'
  if (status !== undefined && status.state !== 'offline' && status.state !== 'blocked') return status.state
  return record?.wanted === false ? 'away' : 'offline'
}
