import { randomFillSync } from 'node:crypto'
import { readFile, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openDirect } from '../../src/adapters/system/direct-file.ts'
import { PAGE_BYTES, copyBytes, givePart, isPart, takePart } from '../../src/adapters/system/part-memory.ts'
import { temporaryDirectory } from '../support/transfer-fakes.ts'

const LARGE = 200 * 1024 * 1024
const EXT4 = 0xef53
const isExt4 = process.platform === 'linux' && (await statfs(tmpdir())).type === EXT4

async function emptyFile(): Promise<string> {
  const path = join(await temporaryDirectory(), 'file')
  await writeFile(path, '')
  return path
}

describe('memory for parts', () => {
  test('blocks are taken until there are none, do not overlap, and come back', () => {
    const parts: Uint8Array[] = []
    for (let part = takePart(); part !== undefined; part = takePart()) parts.push(part.fill(parts.length))
    expect(parts.length).toBeGreaterThan(8)
    expect(parts.map((part) => [part[0], part.at(-1)])).toEqual(parts.map((_, number) => [number, number]))
    for (const part of parts) givePart(part.subarray(0, 5))
    givePart(new Uint8Array(5))
    const again = parts.map(() => takePart()!)
    expect(new Set(again.map(({ byteOffset }) => byteOffset)).size).toBe(parts.length)
    expect(takePart()).toBeUndefined()
    for (const part of again) givePart(part)
  })

  test('copying into it is copying', () => {
    const part = takePart()!
    const other = new Uint8Array(300)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (piece, at) => {
      for (const into of [part.subarray(0, 300).fill(9), other.fill(9)]) {
        copyBytes(piece, into, at)
        expect(Buffer.from(into)).toEqual(Buffer.concat([Buffer.alloc(at, 9), piece, Buffer.alloc(300 - at - piece.length, 9)]))
      }
    }))
    for (const into of [part.subarray(0, 300), other]) expect(() => copyBytes(new Uint8Array(201), into, 100)).toThrow(RangeError)
    givePart(part)
  })
})

describe('writing past the memory of the system', () => {
  test.skipIf(!isExt4)('what was written is in the file, page by page', async () => {
    const path = await emptyFile()
    const direct = (await openDirect(path, LARGE))!
    const part = takePart()!
    randomFillSync(part)
    const bytes = part.subarray(0, 3 * PAGE_BYTES + 17)
    expect(direct.takes(bytes, 0)).toBe(3 * PAGE_BYTES)
    expect(await direct.write(bytes, 0, 3 * PAGE_BYTES, PAGE_BYTES)).toMatchObject({ bytesWritten: 3 * PAGE_BYTES })
    await direct.close()
    expect(await readFile(path)).toEqual(Buffer.concat([Buffer.alloc(PAGE_BYTES), bytes.subarray(0, 3 * PAGE_BYTES)]))
    givePart(part)
  })

  test.skipIf(!isExt4)('it takes only what begins at a page, in memory and in the file', async () => {
    const direct = (await openDirect(await emptyFile(), LARGE))!
    const part = takePart()!
    expect(isPart(part)).toBe(true)
    expect(direct.takes(part, 0)).toBe(part.length)
    expect(direct.takes(part.subarray(1), 0)).toBe(0)
    expect(direct.takes(part, 512)).toBe(0)
    expect(direct.takes(part.subarray(0, PAGE_BYTES - 1), 0)).toBe(0)
    expect(direct.takes(new Uint8Array(PAGE_BYTES), 0)).toBe(0)
    await direct.close()
    givePart(part)
  })

  test('small files, and what is not there, are written as usual', async () => {
    const path = await emptyFile()
    expect(await openDirect(path, 1024 * 1024)).toBeUndefined()
    expect(await openDirect(`${path}.none`, LARGE)).toBeUndefined()
  })
})
