import type { ListPage, PeerId, SharePath } from '@harddrive-party/protocol'
import type { ControlApi, PeerInfo } from '@harddrive-party/protocol/control'
import { describe, expect, it } from 'vitest'
import { searchFiles } from '../../src/cli/commands/search.ts'
import type { HelperSession } from '../../src/cli/helper-session.ts'

const peer = (hex: string, name: string) => ({ peerId: hex.repeat(32) as PeerId, name, state: 'connected', fingerprint: hex.repeat(8) }) as PeerInfo
const OTTER = peer('ab', 'Brave Otter')
const BEAR = peer('cd', 'Shy Bear')
const file = (path: string, size: number) => ({ path: path as SharePath, size, mtime: 5, isDirectory: false })

/** Peers answer when the test says so. */
function session({ json = false } = {}) {
  const lines: string[] = []
  const notes: string[] = []
  const answers = new Map<PeerId, { resolve: (page: ListPage) => void; reject: (error: Error) => void }>()
  let printed: (() => void) | undefined
  const list: ControlApi['list'] = ({ peerId }) => new Promise((resolve, reject) => answers.set(peerId ?? OTTER.peerId, { resolve, reject }))
  const fake = {
    api: { snapshot: async () => ({ peers: [OTTER, BEAR] }), list } as unknown as ControlApi,
    output: {
      json, showsProgress: false, note: (text: string) => void notes.push(text), fail: () => {},
      line: async (text: string) => {
        lines.push(text)
        printed?.()
      },
    },
  } as unknown as HelperSession
  return {
    fake, lines, notes,
    answer: (of: PeerInfo, page: ListPage | Error) => {
      const waiting = answers.get(of.peerId)
      if (page instanceof Error) waiting?.reject(page)
      else waiting?.resolve(page)
    },
    asked: async () => {
      while (answers.size < 2) await Promise.resolve()
    },
    printed: (count: number) => new Promise<void>((resolve) => (printed = () => lines.length >= count && resolve())),
  }
}

const BEAR_PAGE: ListPage = { entries: [file('Music/song', 1), file('Music/song live', 9)] }
const OTTER_PAGE: ListPage = { entries: [file('Old/song', 1), file('Old/my song', 7)] }

describe('hdp search', () => {
  it('prints what one peer finds before another has answered, and the same file once', async () => {
    const { fake, lines, notes, answer, asked, printed } = session()
    const done = searchFiles(fake, ['song'], { limit: 10 })
    await asked()
    const first = printed(2)
    answer(BEAR, BEAR_PAGE)
    await first
    expect(lines.map((line) => line.replace(/.* {2}/u, ''))).toEqual(['shy-bear/Music/song', 'shy-bear/Music/song live'])
    answer(OTTER, OTTER_PAGE)
    await done
    expect(lines.slice(2).map((line) => line.replace(/.* {2}/u, ''))).toEqual(['brave-otter/Old/my song'])
    expect(notes).toEqual([expect.stringContaining('--sort rank')])
  })

  it('prints no more than asked for, and says who did not answer', async () => {
    const { fake, lines, notes, answer, asked } = session()
    const done = searchFiles(fake, ['song'], { limit: 1 })
    await asked()
    answer(OTTER, new Error('it is away'))
    answer(BEAR, BEAR_PAGE)
    await done
    expect(lines).toHaveLength(1)
    expect(notes).toEqual([expect.stringContaining('it is away')])
  })

  it('makes one list of all where an order or JSON is asked for', async () => {
    for (const [options, json] of [[{ sort: 'size' }, false], [{}, true]] as const) {
      const { fake, lines, answer, asked } = session({ json })
      const done = searchFiles(fake, ['song'], { limit: 10, ...options })
      await asked()
      answer(BEAR, BEAR_PAGE)
      answer(OTTER, OTTER_PAGE)
      await done
      expect(lines).toHaveLength(3)
      if (json) expect(lines.map((line) => (JSON.parse(line) as { path: string; also: unknown[] }).also.length)).toEqual([1, 0, 0])
      else expect(lines.map((line) => /[^/]+$/u.exec(line)?.[0]?.replace(/ {2}.*/u, ''))).toEqual(['song live', 'my song', 'song'])
    }
  })
})
