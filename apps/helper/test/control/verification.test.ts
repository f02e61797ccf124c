import { CodedError, type Entry, type SharePath, peerIdFromKey } from '@harddrive-party/protocol'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startVerification } from '../../src/control/verification.ts'
import type { CompareFile } from '../../src/network/network-api.ts'
import { temporaryDirectory } from '../support/transfer-fakes.ts'

/** A local folder compared with its source: each entry is told once, and nothing of it is lost between pages. */

const peerId = peerIdFromKey(new Uint8Array(32).fill(1))
const MTIME = 1_700_000_000_000
const entry = (path: string, size: number, isDirectory = false): Entry => ({ path: path as SharePath, size, mtime: MTIME, isDirectory })

async function compare(entries: readonly Entry[], options: { local: string; quick?: boolean; renamed?: ReadonlyMap<string, string>; compareFile?: (args: CompareFile) => Promise<{ differsAt: number | null }> }) {
  const compared: CompareFile[] = []
  const verification = startVerification(
    { verifyId: 'v', peerId, path: 'Music' as SharePath, local: options.local, quick: options.quick ?? false, renamed: options.renamed ?? new Map() },
    {
      // One entry a page.
      list: async ({ request }) => {
        const at = Number(request.cursor ?? 0)
        return { entries: entries.slice(at, at + 1), ...(at + 1 < entries.length ? { cursor: String(at + 1) } : {}) }
      },
      compareFile: async (args) => {
        compared.push(args)
        return options.compareFile?.(args) ?? { differsAt: null }
      },
    },
  )
  await verification.ended
  return { report: verification.report(0), compared, verification }
}

test('what is the same, different, missing, extra and unreadable is told', async () => {
  const local = await temporaryDirectory()
  await mkdir(join(local, 'a/only here'), { recursive: true })
  for (const [name, size] of [['same', 3], ['size', 4], ['bytes', 3], ['locked', 3], ['a/new name', 3], ['more', 1]] as const) await writeFile(join(local, name), Buffer.alloc(size))
  const entries = [entry('Music/a', 3, true), entry('Music/a/old name', 3), entry('Music/bytes', 3), entry('Music/gone', 5), entry('Music/locked', 3), entry('Music/same', 3), entry('Music/size', 3)]
  const { report } = await compare(entries, {
    local, renamed: new Map([['a/old name', 'a/new name']]),
    compareFile: async ({ path }) => {
      if (path === 'Music/locked') throw new CodedError('unreadable', 'the file cannot be read')
      return { differsAt: path === 'Music/bytes' ? 2 : null }
    },
  })
  expect(report).toMatchObject({ state: 'done', counts: { same: 2, different: 2, missing: 1, extra: 2, unreadable: 1 }, files: { done: 6, total: 6 }, bytes: { done: 20, total: 20 }, cursor: null })
  expect(new Set(report.findings.map(({ kind, path }) => `${kind} ${path}`))).toEqual(new Set(['different bytes', 'missing gone', 'unreadable locked', 'different size', 'extra a/only here', 'extra more']))
})

test('a large file is compared part by part, as far as it is the same', async () => {
  const local = await temporaryDirectory()
  const size = 40 * 1024 * 1024
  await writeFile(join(local, 'film'), Buffer.alloc(size))
  const { report, compared } = await compare([entry('Music/film', size)], { local, compareFile: async ({ start }) => ({ differsAt: start > 0 ? start : null }) })
  expect(compared.map(({ start, end }) => [start, end])).toEqual([[0, 16 * 1024 * 1024], [16 * 1024 * 1024, 32 * 1024 * 1024]])
  expect(report).toMatchObject({ counts: { different: 1 }, bytes: { done: size } })
})

test('quickly, nothing is read and times count', async () => {
  const local = await temporaryDirectory()
  await writeFile(join(local, 'now'), 'abc')
  const { report, compared } = await compare([entry('Music/now', 3)], { local, quick: true })
  expect(compared).toEqual([])
  expect(report.counts).toMatchObject({ same: 0, different: 1 })
})

test('a lost line ends it with the reason, and a person can stop it', async () => {
  const local = await temporaryDirectory()
  await writeFile(join(local, 'a'), 'abc')
  const lost = await compare([entry('Music/a', 3)], { local, compareFile: () => Promise.reject(new CodedError('connection-lost', 'gone')) })
  expect(lost.report).toMatchObject({ state: 'failed', reason: { code: 'connection-lost' } })
  const verification = startVerification({ verifyId: 'v', peerId, path: 'Music' as SharePath, local, quick: false, renamed: new Map() }, {
    list: async () => ({ entries: [entry('Music/a', 3)] }),
    compareFile: async () => ({ differsAt: null }),
  })
  verification.cancel()
  await verification.ended
  expect(verification.report(0).state).toBe('cancelled')
})
