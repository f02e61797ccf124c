import { CodedError, MAX_READ_BYTES, type SharePath, peerIdFromKey } from '@harddrive-party/protocol'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type PartialOwner, discardPartial, findFinished, openPartial } from '../../src/adapters/transfers/partial-file.ts'
import { placeSmall, storeSmall } from '../../src/adapters/transfers/small-files.ts'
import { type DiskImage, PIECE_BYTES, PowerCut, PowerCutDisk } from '../support/power-cut-disk.ts'

/**
 * Downloads on a disk that loses power at every step of them, again and again, with a source that changes and a person who cancels. A finished file is
 * whole and right, what was recorded is kept, and the end is always the file.
 */

/** Lives of a download, each with several cuts: HDP_POWER_CUT_SEEDS for a long run, HDP_POWER_CUT_FIRST to see one again. */
const SEEDS = Number(process.env['HDP_POWER_CUT_SEEDS'] ?? 40)
const FIRST = Number(process.env['HDP_POWER_CUT_FIRST'] ?? 1)
const DOWNLOADS = '/downloads'
const PEER = peerIdFromKey(new Uint8Array(32).fill(1))
const RANGES = 4
const LARGE: PartialOwner = { downloadDirectory: DOWNLOADS, peerId: PEER, path: 'Films/film' as SharePath }
const SMALL: readonly PartialOwner[] = [0, 1, 2].map((number) => ({ ...LARGE, path: `Films/extras/${number}` as SharePath }))
const targetOf = ({ path }: PartialOwner) => join(DOWNLOADS, path)

interface Version {
  readonly size: number
  readonly mtime: number
  /** One per range. */
  readonly content: readonly Uint8Array[]
}

/** The same size twice: only the time tells them apart. */
const VERSIONS: readonly Version[] = [1000, 2000, 3000].map((mtime, number) => {
  const size = number === 2 ? 2 * MAX_READ_BYTES + 7 : (RANGES - 1) * MAX_READ_BYTES + 12_345
  return { size, mtime, content: Array.from({ length: Math.ceil(size / MAX_READ_BYTES) }, (_, range) => new Uint8Array(Math.min(MAX_READ_BYTES, size - range * MAX_READ_BYTES))) }
})
const SMALL_CONTENT = SMALL.map((_, number) => new Uint8Array(100 + number))
const SMALL_MTIME = 5000

/** Mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function holds({ size, pieces }: DiskImage, content: readonly Uint8Array[], length: number): boolean {
  if (size !== length) return false
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const piece = pieces.get(at / PIECE_BYTES)
    const range = content[Math.floor(at / MAX_READ_BYTES)]
    if (piece === undefined || range === undefined || piece.buffer !== range.buffer || piece.byteOffset !== at % MAX_READ_BYTES) return false
    if (piece.length !== Math.min(PIECE_BYTES, length - at)) return false
  }
  return true
}

/** What one run of one seed knows: what it may rely on after a cut. */
class Story {
  readonly random: () => number
  version = VERSIONS[0] as Version
  /** Bytes of the current version that a finished `record` has claimed. */
  recorded = 0
  placed = false
  smallPlaced = 0

  constructor(seed: number) {
    this.random = randomOf(seed)
  }

  async download(disk: PowerCutDisk): Promise<void> {
    await this.#large(disk)
    await this.#small(disk)
  }

  async #large(disk: PowerCutDisk): Promise<void> {
    const { version } = this
    if ((await findFinished(targetOf(LARGE), version, 0, disk)) !== undefined) return discardPartial(LARGE, disk)
    expect(this.placed, 'a finished file is gone').toBe(false)
    const partial = await openPartial(LARGE, version, disk)
    expect(partial.fetch.bytes, 'recorded bytes are gone').toBeGreaterThanOrEqual(this.recorded)
    for (let range = partial.fetch.next(); range !== undefined; range = partial.fetch.next()) {
      await partial.write(version.content[range.index] as Uint8Array, range.start)
      partial.fetch.written(range.index)
      const { bytes } = partial.fetch
      if (this.random() < 0.6) {
        await partial.record()
        this.recorded = bytes
      }
    }
    // From here on it is one thing or the other.
    this.recorded = 0
    await partial.place(targetOf(LARGE))
    this.placed = true
  }

  async #small(disk: PowerCutDisk): Promise<void> {
    const missing: PartialOwner[] = []
    for (const [number, owner] of SMALL.entries()) {
      const version = { size: 100 + number, mtime: SMALL_MTIME }
      if ((await findFinished(targetOf(owner), version, 0, disk)) !== undefined) continue
      expect(this.smallPlaced, 'a finished small file is gone').toBe(0)
      await storeSmall(owner, version, SMALL_CONTENT[number] as Uint8Array, disk)
      missing.push(owner)
    }
    const placed = await placeSmall(missing.map((owner) => ({ owner, target: targetOf(owner) })), disk)
    for (const one of placed) if (one instanceof CodedError) throw one
    this.smallPlaced = SMALL.length
  }

  /** Between two lives of the helper. */
  async change(disk: PowerCutDisk): Promise<void> {
    if (this.placed) return
    const roll = this.random()
    if (roll < 0.15) this.version = VERSIONS[Math.floor(this.random() * VERSIONS.length)] as Version
    if (roll < 0.15 || roll > 0.9) this.recorded = 0
    if (roll > 0.9) await discardPartial(LARGE, disk)
  }
}

/** Every file that has a final name is whole, of one version. */
function check(disk: PowerCutDisk): void {
  for (const [path, image] of disk.files()) {
    if (path.startsWith(`${DOWNLOADS}/.harddrive-party/`)) continue
    const small = SMALL.findIndex((owner) => path === targetOf(owner))
    const right = small === -1 ? VERSIONS.some(({ content, size }) => holds(image, content, size)) : holds(image, [SMALL_CONTENT[small] as Uint8Array], 100 + small)
    expect(right, `${path} has wrong bytes`).toBe(true)
  }
}

/** @returns how often the power was cut */
async function live(seed: number): Promise<number> {
  const story = new Story(seed)
  // The first cut comes anywhere in a whole download, the later ones anywhere after it.
  let disk = new PowerCutDisk(undefined, 1 + Math.floor(story.random() * 90))
  for (let cuts = 0; ; cuts++) {
    try {
      await story.change(disk)
      await story.download(disk)
      check(disk)
      for (const owner of [LARGE, ...SMALL]) expect(disk.files().has(targetOf(owner)), 'the end is the file').toBe(true)
      return cuts
    } catch (error) {
      const cause = error instanceof CodedError ? error.cause : error
      if (!(cause instanceof PowerCut)) throw error
    }
    disk = disk.restart(story.random, cuts > 12 ? Infinity : 1 + Math.floor(story.random() * 90))
    check(disk)
  }
}

test('whenever the power is cut, a finished file is right, what was recorded is kept, and the download ends', { timeout: 120_000 + SEEDS * 3_000 }, async () => {
  let cuts = 0
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      cuts += await live(seed)
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
  console.info(`${cuts} power cuts in ${SEEDS} lives`)
  expect(cuts).toBeGreaterThan(0)
})

test('a disk that is not synced does lose things: the test can fail', async () => {
  const disk = new PowerCutDisk()
  await disk.mkdir('/a', {})
  const file = await disk.open('/a/b', 0o102)
  await file.writeFile(new Uint8Array(10))
  expect([...disk.restart(() => 0, 0).files().keys()]).toEqual([])
  await disk.syncDirectory('/')
  await disk.syncDirectory('/a')
  expect(disk.restart(() => 0, 0).files().get('/a/b')).toMatchObject({ size: 0 })
  await file.sync()
  expect(disk.restart(() => 0, 0).files().get('/a/b')).toMatchObject({ size: 10 })
})
