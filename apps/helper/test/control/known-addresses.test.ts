import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStore } from '../../src/adapters/system/store.ts'
import type { Store } from '../../src/adapters/system/store.ts'
import { RememberedRecords } from '../../src/adapters/peers/remembered-records.ts'
import { MAX_KNOWN_ADDRESSES, dialOrder, rememberWorked } from '../../src/control/known-addresses.ts'
import type { WorkedAddress } from '../../src/control/known-addresses.ts'
import { createPeerBook } from '../../src/control/peer-book.ts'
import { UNIX, person, recordOf } from '../support/peer-records.ts'

const DAY = 24 * 60 * 60_000
const address = (number: number): string => `192.0.2.${number}:4433`
const claims = (count: number): string[] => Array.from({ length: count }, (_, i) => `198.51.100.${i + 1}:1`)

describe('where a peer was reached', () => {
  it('is remembered with the latest first, each once, so many, and for so long', () => {
    let worked: WorkedAddress[] = []
    for (let i = 1; i <= 30; i++) worked = rememberWorked(worked, [address(i)], i)
    worked = rememberWorked(worked, [address(20), address(20)], 50)
    expect(worked).toHaveLength(MAX_KNOWN_ADDRESSES)
    expect(worked.slice(0, 3)).toEqual([[address(20), 50], [address(30), 30], [address(29), 29]])
    expect(new Set(worked.map(([text]) => text)).size).toBe(MAX_KNOWN_ADDRESSES)
    expect(rememberWorked(worked, [address(99)], 45 + 90 * DAY)).toEqual([[address(99), 45 + 90 * DAY], [address(20), 50]])
    expect(dialOrder(worked, [], 51 + 90 * DAY)).toEqual([])
  })

  it('stands around what the peer claims, so that no claim crowds it out', () => {
    const worked: WorkedAddress[] = [[address(1), 3], [address(2), 2], [address(3), 1]]
    expect(dialOrder(worked, [address(1), ...claims(2)], 4)).toEqual([address(1), ...claims(2), address(2), address(3)])
    const ordered = dialOrder(worked, claims(16), 4)
    expect(ordered).toHaveLength(MAX_KNOWN_ADDRESSES)
    expect(ordered[0]).toBe(address(1))
    for (const [text] of worked) expect(ordered).toContain(text)
    expect(dialOrder([], claims(16), 4)).toEqual(claims(16))
  })
})

describe('the peer book', () => {
  let directory: string
  let store: Store
  let now: number
  const ann = person(1)
  const secret = '0a'.repeat(16)
  const open = () => createPeerBook({ store, now: () => now, onChange: () => {}, onError: (error) => { throw error } })
  const reached = (at: string) => ({ type: 'peer-known', peerId: ann.peerId, knockSecret: secret, addresses: [at, ...claims(3)], worked: [at] }) as const

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'book-'))
    store = openStore(join(directory, 'db'))
    now = UNIX
  })
  afterEach(async () => {
    await store.close()
    await rm(directory, { recursive: true, force: true })
  })

  it('keeps every address that worked, and the newest record with its secret, over a restart', async () => {
    const book = open()
    book.onNetworkEvent(reached(address(1)))
    now += 1
    book.onNetworkEvent(reached(address(2)))
    const record = Buffer.from(recordOf(ann).bytes).toString('hex')
    book.onNetworkEvent({ type: 'peer-record', peerId: ann.peerId, record, knockSecret: '0b'.repeat(16) })
    await store.flushed()
    await store.close()
    store = openStore(join(directory, 'db'))
    expect(open().known()).toEqual([{
      peerId: ann.peerId, blocked: false, wanted: true, addresses: [address(2), ...claims(3), address(1)], knockSecret: '0b'.repeat(16), record,
    }])
  })

  it('keeps no record of whom it does not know or blocks, and none that is none', () => {
    const book = open()
    const record = Buffer.from(recordOf(ann).bytes).toString('hex')
    book.onNetworkEvent({ type: 'peer-record', peerId: ann.peerId, record, knockSecret: secret })
    expect(book.known()).toEqual([])
    book.onNetworkEvent(reached(address(1)))
    book.onNetworkEvent({ type: 'peer-record', peerId: ann.peerId, record: 'ab'.repeat(1_025), knockSecret: secret })
    expect(book.known()[0]?.record).toBeUndefined()
    book.onNetworkEvent({ type: 'peer-record', peerId: ann.peerId, record, knockSecret: secret })
    expect(book.known()[0]?.record).toBe(record)
    book.setBlocked(ann.peerId, true)
    expect(book.known()[0]).toMatchObject({ blocked: true })
    expect(book.known()[0]?.record).toBeUndefined()
  })
})

describe('a remembered record', () => {
  const ann = person(1)
  const signed = recordOf(ann)
  const text = Buffer.from(signed.bytes).toString('hex')

  it('is read while it is good, and only as whose it is', () => {
    const records = new RememberedRecords()
    const { peerId } = ann
    expect(records.read({ peerId, record: text }, UNIX)).toEqual(signed.record)
    expect(records.read({ peerId, record: text }, UNIX)).toBe(records.read({ peerId, record: text }, UNIX + 1))
    expect(records.read({ peerId, record: text }, signed.record.expiresAt)).toBeNull()
    expect(records.read({ peerId: person(2).peerId, record: text }, UNIX)).toBeNull()
    for (const bad of [undefined, null, '', 'zz', text.slice(2), `${text.slice(0, -2)}ff`]) {
      expect(records.read({ peerId, ...(bad === undefined ? {} : { record: bad }) }, UNIX)).toBeNull()
    }
    expect(records.read({ peerId, record: text }, UNIX)).toEqual(signed.record)
  })
})
