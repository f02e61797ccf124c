import { type SharePath, peerIdFromKey } from '@harddrive-party/protocol'
import { encode as encodeCbor } from 'cbor-x'
import * as fc from 'fast-check'
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { link, readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Disk, systemDisk } from '../../src/adapters/system/disk.ts'
import { type PartialFile, type PartialOwner, decodeRecord, openPartial } from '../../src/adapters/transfers/partial-file.ts'
import { MAX_READ_BYTES } from '@harddrive-party/protocol'
import { temporaryDirectory } from '../support/transfer-fakes.ts'

const VERSION = { size: 2 * MAX_READ_BYTES + 10, mtime: 1234.5 }

async function owner(): Promise<PartialOwner> {
  return { downloadDirectory: await temporaryDirectory(), peerId: peerIdFromKey(new Uint8Array(32).fill(7)), path: 'A/b' as SharePath }
}

async function writeRange(partial: PartialFile): Promise<void> {
  const range = partial.fetch.next()!
  await partial.write(new Uint8Array(range.end - range.start).fill(range.index + 1), range.start)
  partial.fetch.written(range.index)
}

async function filesOf({ downloadDirectory, peerId }: PartialOwner): Promise<{ data: string; record: string }> {
  const folder = join(downloadDirectory, '.harddrive-party', peerId.slice(0, 16))
  const names = await readdir(folder)
  const find = (end: string) => join(folder, names.find((name) => name.endsWith(end)) ?? `none${end}`)
  return { data: find('.part'), record: find('.done') }
}

/** One range recorded. */
async function begun(): Promise<PartialOwner> {
  const mine = await owner()
  const partial = await openPartial(mine, VERSION)
  await writeRange(partial)
  await partial.record()
  await partial.close()
  return mine
}

async function resumedBytes(mine: PartialOwner, version = VERSION): Promise<{ bytes: number; startedAgain: boolean }> {
  const partial = await openPartial(mine, version)
  await partial.close()
  return { bytes: partial.fetch.bytes, startedAgain: partial.startedAgain }
}

test('what was recorded is resumed, what was not is not', async () => {
  const mine = await begun()
  const partial = await openPartial(mine, VERSION)
  expect(partial.fetch.bytes).toBe(MAX_READ_BYTES)
  await writeRange(partial)
  await partial.close()
  expect(await resumedBytes(mine)).toEqual({ bytes: MAX_READ_BYTES, startedAgain: false })
})

test('another size or time, another peer or path: nothing is resumed', async () => {
  for (const version of [{ ...VERSION, mtime: 1234 }, { ...VERSION, size: VERSION.size + 1 }]) {
    expect(await resumedBytes(await begun(), version)).toEqual({ bytes: 0, startedAgain: true })
  }
  const mine = await begun()
  expect(await resumedBytes({ ...mine, path: 'A/c' as SharePath })).toEqual({ bytes: 0, startedAgain: false })
  expect(await resumedBytes({ ...mine, peerId: peerIdFromKey(new Uint8Array(32).fill(8)) })).toEqual({ bytes: 0, startedAgain: false })
  expect(await resumedBytes(mine)).toEqual({ bytes: MAX_READ_BYTES, startedAgain: false })
})

test('a torn record, cut data or a second link of the data mean a new start', async () => {
  const torn = await begun()
  const { record } = await filesOf(torn)
  await truncate(record, (await stat(record)).size - 1)
  expect(await resumedBytes(torn)).toEqual({ bytes: 0, startedAgain: false })
  const cut = await begun()
  await truncate((await filesOf(cut)).data, MAX_READ_BYTES - 1)
  expect((await resumedBytes(cut)).bytes).toBe(0)
  const linked = await begun()
  const elsewhere = join(linked.downloadDirectory, 'elsewhere')
  await link((await filesOf(linked)).data, elsewhere)
  const before = await readFile(elsewhere)
  const partial = await openPartial(linked, VERSION)
  await writeRange(partial)
  await partial.write(new Uint8Array(100).fill(9), 0)
  await partial.close()
  expect(Buffer.compare(await readFile(elsewhere), before)).toBe(0)
})

test('a new record that was being written at a crash is in nobody’s way', async () => {
  const mine = await begun()
  const { record } = await filesOf(mine)
  await writeFile(`${record}.new`, 'half')
  const partial = await openPartial(mine, VERSION)
  await writeRange(partial)
  await partial.record()
  await partial.close()
  expect((await resumedBytes(mine)).bytes).toBe(2 * MAX_READ_BYTES)
})

test('a record is whole or nothing', () => {
  const body = encodeCbor({ ...VERSION, peer: 'p', path: 'A/b', written: new Uint8Array([5]) })
  const whole = new Uint8Array([...createHash('sha256').update(body).digest(), ...body])
  expect(decodeRecord(whole)).toMatchObject({ ...VERSION, path: 'A/b' })
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = whole.slice()
      changed[at] = changed[at]! ^ flip
      expect(decodeRecord(changed)).toBeUndefined()
      expect(decodeRecord(whole.subarray(0, at))).toBeUndefined()
    }),
  )
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.anything().map((value) => new Uint8Array(encodeCbor(value)))), (bytes) => {
      const sealed = new Uint8Array([...createHash('sha256').update(bytes).digest(), ...bytes])
      expect(decodeRecord(sealed)).toBeUndefined()
    }),
  )
})

/** The disk with a way past its memory that takes even numbers of bytes. */
function directDisk(outcome: 'whole' | 'short' | NodeJS.ErrnoException): { disk: Disk; written: { offset: number; length: number; position: number }[]; closed: () => number } {
  const written: { offset: number; length: number; position: number }[] = []
  let closed = 0
  const openDirect: Disk['openDirect'] = async (path) => {
    const file = await systemDisk.open(path, constants.O_WRONLY)
    return {
      takes: (bytes) => bytes.length - (bytes.length % 2),
      write: async (bytes, offset, length, position) => {
        written.push({ offset, length, position })
        if (outcome instanceof Error) throw outcome
        return file.write(bytes, offset, outcome === 'short' ? Math.min(length, 1000) : length, position)
      },
      close: async () => {
        closed++
        await file.close()
      },
    }
  }
  return { disk: { ...systemDisk, openDirect }, written, closed: () => closed }
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code })
}

async function placeTwoRanges(disk: Disk): Promise<Buffer> {
  const mine = await owner()
  const partial = await openPartial(mine, { ...VERSION, size: MAX_READ_BYTES + 7 }, disk)
  await writeRange(partial)
  await partial.record()
  await writeRange(partial)
  return readFile(await partial.place(join(mine.downloadDirectory, 'b')))
}

const TWO_RANGES = Buffer.concat([Buffer.alloc(MAX_READ_BYTES, 1), Buffer.alloc(7, 2)])

test('what may go past the memory of the system does, and the rest of it follows', async () => {
  for (const outcome of ['whole', 'short'] as const) {
    const { disk, written, closed } = directDisk(outcome)
    expect((await placeTwoRanges(disk)).equals(TWO_RANGES)).toBe(true)
    expect(written).toEqual([{ offset: 0, length: MAX_READ_BYTES, position: 0 }, { offset: 0, length: 6, position: MAX_READ_BYTES }])
    expect(closed()).toBe(1)
  }
})

test('a disk that refuses that way once is written to as usual from then on', async () => {
  const { disk, written, closed } = directDisk(failure('EINVAL'))
  expect((await placeTwoRanges(disk)).equals(TWO_RANGES)).toBe(true)
  expect(written).toHaveLength(1)
  expect(closed()).toBe(1)
})

test('a full disk is a full disk by that way too', async () => {
  const { disk } = directDisk(failure('ENOSPC'))
  await expect(placeTwoRanges(disk)).rejects.toMatchObject({ code: 'disk-full' })
})
