import { type DBSchema, type IDBPDatabase, openDB } from 'idb'
import type { Entry, PeerId } from '@harddrive-party/protocol'
import type { CopyPlace, CopyRow, PeerInfo } from '@harddrive-party/protocol/control'

/** The app's own database in this browser: keys, wishes, and what was seen lately. Holds nothing that the helper cannot give again, wishes excepted. */

/** As version 1 of this database kept them. */
export interface OldWish {
  readonly id: string
  readonly peerId: PeerId
  readonly peerName: string
  readonly path: string
  readonly isDirectory: boolean
  readonly size?: number
  readonly addedAt: number
  /** Why the helper would not take it. */
  readonly error?: string
}

/** A folder as last seen, so that it can be looked at again with the helper down. */
export interface SeenListing {
  /** `peerId` and path; see `listingKey`. */
  readonly key: string
  readonly peerId: string
  readonly path: string
  readonly entries: readonly Entry[]
  /** There was more than is kept here. */
  readonly cut: boolean
  readonly seenAt: number
}

export type StoredDeviceKey =
  | { readonly kind: 'webcrypto'; readonly pair: CryptoKeyPair }
  | { readonly kind: 'seed'; readonly seed: Uint8Array }

export interface StoredPairing {
  /** The helper's public key, 64 hex digits. */
  readonly helperId: PeerId
  readonly pairedAt: number
}

/** One of the person's helpers, each with an app and a pairing of its own at its own origin. */
export interface KnownHelper {
  readonly origin: string
  /** What it calls itself, or its address until it was heard of. */
  readonly name: string
  /** What the person calls it here. */
  readonly givenName: string | null
  /** The beginning of its public key in hex digits, or all of it, as far as it is known. */
  readonly fingerprint: string | null
  readonly openedAt: number | null
}

interface Schema extends DBSchema {
  keys: { key: 'device'; value: StoredDeviceKey }
  pairing: { key: 'helper'; value: StoredPairing }
  wishes: { key: string; value: OldWish }
  /** By the id of the wish. */
  wishRows: { key: string; value: CopyRow }
  wishPlace: { key: 'place'; value: CopyPlace }
  listings: { key: string; value: SeenListing; indexes: { seenAt: number } }
  peers: { key: string; value: PeerInfo }
  /** By origin. */
  helpers: { key: string; value: KnownHelper }
}

export type AppDb = IDBPDatabase<Schema>

const VERSION = 3

/** Folders kept for looking at offline: some tens of megabytes at the very most. */
export const MAX_SEEN_LISTINGS = 300

/** Entries kept of one folder. */
export const MAX_SEEN_ENTRIES = 2000

export function listingKey(peerId: string, path: string): string {
  return `${peerId}\n${path}`
}

/** @param before the version that this browser has, 0 for none */
export function upgradeAppDb(db: Pick<AppDb, 'createObjectStore'>, before: number): void {
  if (before < 3) db.createObjectStore('helpers', { keyPath: 'origin' })
  if (before < 2) {
    db.createObjectStore('wishRows')
    db.createObjectStore('wishPlace')
  }
  if (before >= 1) return
  db.createObjectStore('keys')
  db.createObjectStore('pairing')
  db.createObjectStore('wishes', { keyPath: 'id' })
  db.createObjectStore('listings', { keyPath: 'key' }).createIndex('seenAt', 'seenAt')
  db.createObjectStore('peers', { keyPath: 'peerId' })
}

/** @param name tests open databases of their own. */
export function openAppDb(name = 'harddrive-party'): Promise<AppDb> {
  return openDB<Schema>(name, VERSION, { upgrade: (db, before) => upgradeAppDb(db, before) })
}
