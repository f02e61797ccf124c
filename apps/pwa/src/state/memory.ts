import type { Entry } from '@harddrive-party/protocol'
import { type CopyPlace, type CopyRow, type PeerInfo, NEW_PLACE } from '@harddrive-party/protocol/control'
import { type AppDb, type KnownHelper, type SeenListing, type OldWish, type StoredPairing, MAX_SEEN_ENTRIES, MAX_SEEN_LISTINGS, listingKey, openAppDb } from './app-db.ts'

/**
 * What the app remembers in this browser, behind one seam: IndexedDB where there is one, plain memory where there is none (private windows
 * of some browsers, tests, the mock). Losing it costs the person the offline view and nothing else.
 */
export interface Memory {
  /** Other pages of this browser see the same. */
  readonly isShared: boolean
  wishCopy(): Promise<{ rows: CopyRow[]; place: CopyPlace }>
  /** All of it or nothing. */
  putWishes(rows: readonly CopyRow[], removed: readonly string[], place: CopyPlace): Promise<void>
  oldWishes(): Promise<OldWish[]>
  removeOldWish(id: string): Promise<void>
  peers(): Promise<PeerInfo[]>
  putPeers(peers: readonly PeerInfo[]): Promise<void>
  listing(peerId: string, path: string): Promise<SeenListing | undefined>
  putListing(peerId: string, path: string, entries: readonly Entry[], complete: boolean, now: number): Promise<void>
  pairing(): Promise<StoredPairing | undefined>
  putPairing(pairing: StoredPairing | null): Promise<void>
  helpers(): Promise<KnownHelper[]>
  putHelper(helper: KnownHelper): Promise<void>
  removeHelper(origin: string): Promise<void>
}

export function cutListing(peerId: string, path: string, entries: readonly Entry[], complete: boolean, now: number): SeenListing {
  return {
    key: listingKey(peerId, path), peerId, path, seenAt: now,
    entries: entries.slice(0, MAX_SEEN_ENTRIES).map(plainEntry),
    cut: !complete || entries.length > MAX_SEEN_ENTRIES,
  }
}

/** Only the fields we know, as plain data: what is stored must be cloneable. */
function plainEntry({ path, size, mtime, isDirectory }: Entry): Entry {
  return { path, size, mtime, isDirectory }
}

export function memoryInDb(db: AppDb): Memory {
  return {
    isShared: true,
    async wishCopy() {
      const read = db.transaction(['wishRows', 'wishPlace'])
      const [rows, place] = await Promise.all([read.objectStore('wishRows').getAll(), read.objectStore('wishPlace').get('place')])
      return { rows, place: place ?? NEW_PLACE }
    },
    async putWishes(rows, removed, place) {
      const write = db.transaction(['wishRows', 'wishPlace'], 'readwrite')
      // Plain data: what a page has made reactive cannot be stored.
      for (const row of rows) void write.objectStore('wishRows').put(JSON.parse(JSON.stringify(row)) as CopyRow, row.wish.id)
      for (const id of removed) void write.objectStore('wishRows').delete(id)
      void write.objectStore('wishPlace').put({ ...place }, 'place')
      await write.done
    },
    oldWishes: () => db.getAll('wishes'),
    removeOldWish: (id) => db.delete('wishes', id),
    peers: () => db.getAll('peers'),
    async putPeers(peers) {
      const write = db.transaction('peers', 'readwrite')
      await write.store.clear()
      for (const peer of peers) await write.store.put(JSON.parse(JSON.stringify(peer)) as PeerInfo)
      await write.done
    },
    listing: (peerId, path) => db.get('listings', listingKey(peerId, path)),
    async putListing(peerId, path, entries, complete, now) {
      const write = db.transaction('listings', 'readwrite')
      await write.store.put(cutListing(peerId, path, entries, complete, now))
      let tooMany = (await write.store.count()) - MAX_SEEN_LISTINGS
      for (let oldest = await write.store.index('seenAt').openCursor(); tooMany > 0 && oldest !== null; tooMany--) {
        await oldest.delete()
        oldest = await oldest.continue()
      }
      await write.done
    },
    pairing: () => db.get('pairing', 'helper'),
    async putPairing(pairing) {
      if (pairing === null) await db.delete('pairing', 'helper')
      else await db.put('pairing', pairing, 'helper')
    },
    helpers: () => db.getAll('helpers'),
    async putHelper(helper) {
      await db.put('helpers', { ...helper })
    },
    removeHelper: (origin) => db.delete('helpers', origin),
  }
}

export function memoryInRam(): Memory {
  const wishes = new Map<string, CopyRow>()
  let wishPlace = NEW_PLACE
  const listings = new Map<string, SeenListing>()
  let peers: readonly PeerInfo[] = []
  let paired: StoredPairing | undefined
  const helpers = new Map<string, KnownHelper>()
  return {
    isShared: false,
    wishCopy: async () => ({ rows: [...wishes.values()], place: wishPlace }),
    async putWishes(rows, removed, place) {
      for (const row of rows) wishes.set(row.wish.id, row)
      for (const id of removed) wishes.delete(id)
      wishPlace = place
    },
    oldWishes: async () => [],
    removeOldWish: async () => undefined,
    peers: async () => [...peers],
    async putPeers(next) {
      peers = [...next]
    },
    listing: async (peerId, path) => listings.get(listingKey(peerId, path)),
    async putListing(peerId, path, entries, complete, now) {
      const listing = cutListing(peerId, path, entries, complete, now)
      listings.delete(listing.key)
      listings.set(listing.key, listing)
      for (const key of listings.keys()) {
        if (listings.size <= MAX_SEEN_LISTINGS) break
        listings.delete(key)
      }
    },
    pairing: async () => paired,
    async putPairing(pairing) {
      paired = pairing ?? undefined
    },
    helpers: async () => [...helpers.values()],
    async putHelper(helper) {
      helpers.set(helper.origin, helper)
    },
    async removeHelper(origin) {
      helpers.delete(origin)
    },
  }
}

/** The browser's own database, or memory for this tab only where the browser refuses one. */
export async function openMemory(): Promise<{ readonly memory: Memory; readonly db: AppDb | null }> {
  try {
    const db = await openAppDb()
    return { memory: memoryInDb(db), db }
  } catch {
    return { memory: memoryInRam(), db: null }
  }
}
