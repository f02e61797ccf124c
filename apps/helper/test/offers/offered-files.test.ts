import { type ListPage, type PeerId, type SharePath, offerRoot } from '@harddrive-party/protocol'
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openOfferedReader } from '../../src/adapters/offers/offered-files.ts'
import type { ShareIndexReader } from '../../src/adapters/shares/share-index.ts'
import { openStaging } from '../../src/adapters/offers/staging.ts'

const ANNA = 'aa'.repeat(32) as PeerId
const BEN = 'bb'.repeat(32) as PeerId
const ID = '5a'.repeat(16)
const path = (text: string) => text as SharePath
const nothing = { list: async (): Promise<ListPage> => ({ entries: [] }), find: () => undefined } as unknown as ShareIndexReader
let base = ''

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'hdp-offered-')))
})
afterEach(() => rm(base, { recursive: true, force: true }))

async function open() {
  await mkdir(join(base, 'Photos', 'sub'), { recursive: true })
  await writeFile(join(base, 'Photos', 'b.jpg'), 'bbb')
  await writeFile(join(base, 'Photos', 'sub', 'a.jpg'), 'a')
  await writeFile(join(base, 'secret'), 'secret')
  await symlink(join(base, 'secret'), join(base, 'Photos', 'link'))
  await writeFile(join(base, 'Photos', 'note.txt'), 'hello')
  const reader = openOfferedReader({ index: nothing })
  reader.setOffers([{ offerId: ID, peerId: ANNA, name: 'Photos', items: [{ name: 'Photos', file: join(base, 'Photos') }] }])
  const seenBy = (peerId: PeerId) => ({ visible: reader.viewOf(new Map(), peerId), signal: new AbortController().signal })
  return { reader, seenBy }
}

describe('what is offered', () => {
  test('is listed and read by its peer alone, page by page, without links', async () => {
    const { reader, seenBy } = await open()
    const request = { path: path(`${offerRoot(ID)}/Photos`), recursive: true, limit: 2 }
    const first = await reader.list(request, seenBy(ANNA))
    const rest = await reader.list({ ...request, cursor: first.cursor ?? '' }, seenBy(ANNA))
    expect([...first.entries, ...rest.entries].map((entry) => entry.path.slice(offerRoot(ID).length))).toEqual(['/Photos/b.jpg', '/Photos/note.txt', '/Photos/sub', '/Photos/sub/a.jpg'])
    expect(rest.cursor).toBeUndefined()
    const lease = await reader.readRange({ path: path(`${offerRoot(ID)}/Photos/sub/a.jpg`) }, seenBy(ANNA))
    expect(lease.bytes.toString()).toBe('a')
    lease.release()
    expect((await reader.list(request, seenBy(BEN))).entries).toEqual([])
    await expect(reader.readRange({ path: path(`${offerRoot(ID)}/Photos/b.jpg`) }, seenBy(BEN))).rejects.toMatchObject({ code: 'not-found' })
    for (const name of ['link', '../secret', 'nowhere']) {
      await expect(reader.readRange({ path: path(`${offerRoot(ID)}/Photos/${name}`) }, seenBy(ANNA))).rejects.toMatchObject({ code: 'not-found' })
    }
    // Nothing shows that it is there to who does not know.
    expect((await reader.list({ recursive: false, limit: 10 }, seenBy(ANNA))).entries).toEqual([])
    await expect(reader.list({ path: path(offerRoot(ID)), recursive: true, limit: 10 }, seenBy(ANNA))).rejects.toMatchObject({ code: 'not-found' })
    reader.close()
  })

  test('is over at once', async () => {
    const { reader, seenBy } = await open()
    expect(reader.has(ANNA, ID)).toBe(true)
    expect(reader.has(BEN, ID)).toBe(false)
    const before = seenBy(ANNA)
    reader.setOffers([])
    expect(reader.viewOf(new Map(), ANNA).size).toBe(0)
    await expect(reader.readRange({ path: path(`${offerRoot(ID)}/Photos/b.jpg`) }, before)).rejects.toMatchObject({ code: 'not-found' })
    reader.close()
  })
})

const fail = (error: unknown) => {
  throw error
}

describe('files that a browser hands over', () => {
  test('go on where they were cut off, and stay inside', async () => {
    const staging = await openStaging({ directory: join(base, 'staging'), taken: [], onError: fail })
    const id = await staging.open()
    const piece = Buffer.from('hello ')
    expect(await staging.put(id, 'a/b.txt', 0, piece)).toBe(6)
    // Sent again because the answer was lost: nothing changes, and it says where to go on.
    expect(await staging.put(id, 'a/b.txt', 0, piece)).toBe(6)
    expect(await staging.put(id, 'a/b.txt', 9, piece)).toBe(6)
    expect(await staging.put(id, 'a/b.txt', 6, Buffer.from('you'))).toBe(9)
    expect(await staging.put(id, 'empty', 0, new Uint8Array())).toBe(0)
    for (const bad of ['../out', '/etc/passwd', 'a/../../b', 'a\0b', '']) await expect(staging.put(id, bad, 0, piece)).rejects.toMatchObject({ code: 'bad-path' })
    await expect(staging.put('../../..', 'a', 0, piece)).rejects.toMatchObject({ code: 'not-found' })
    await expect(staging.put(id, 'a/b.txt/c', 0, piece)).rejects.toMatchObject({ code: 'bad-path' })
    const items = await staging.take(id)
    expect(items.map(({ name }) => name)).toEqual(['a', 'empty'])
    await expect(staging.put(id, 'late', 0, piece)).rejects.toMatchObject({ code: 'not-found' })
    await staging.close()
    // Another start keeps what an offer has, and nothing else.
    const again = await openStaging({ directory: join(base, 'staging'), taken: [id], onError: fail })
    await again.release(id)
    await again.close()
    const empty = await openStaging({ directory: join(base, 'staging'), taken: [], onError: fail })
    await expect(empty.take(id)).rejects.toMatchObject({ code: 'not-found' })
    await empty.close()
  })

  test('are bounded', async () => {
    const staging = await openStaging({ directory: join(base, 'staging'), taken: [], onError: fail, maxBytes: 10 })
    const id = await staging.open()
    expect(await staging.put(id, 'a', 0, Buffer.alloc(8))).toBe(8)
    await expect(staging.put(id, 'b', 0, Buffer.alloc(8))).rejects.toMatchObject({ code: 'too-large' })
    await staging.drop(id)
    for (let i = 0; i < 8; i++) await staging.open()
    await expect(staging.open()).rejects.toMatchObject({ code: 'busy' })
    await staging.close()
  })
})
