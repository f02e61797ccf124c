import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Entry, SharePath } from '@harddrive-party/protocol'
import { type EntrySource, MAX_BARREN_PAGES, loadPage } from '../src/entries/entry-source.ts'
import { type TreeNode, makeRoot, moveInTree, openPaths, renewed, reviveTree, rowsOf, setOpen, takePage, wantedPages } from '../src/entries/entry-tree.ts'
import { openMockControl } from '../src/mock/mock-control.ts'
import { LARGE_COUNT } from '../src/mock/mock-library.ts'
import { memoryInRam } from '../src/state/memory.ts'

const entry = (path: string, isDirectory = false): Entry => ({ path: path as SharePath, size: 1, mtime: 0, isDirectory })

/** Two shares; the first is open and holds one file, the second is closed. */
function smallTree(): TreeNode {
  const root = makeRoot()
  takePage(root, { entries: [entry('A', true), entry('B', true)] })
  const [first] = root.children
  setOpen(first!, true)
  takePage(first!, { entries: [entry('A/one')] })
  return root
}

const allRows = (root: TreeNode) => {
  const rows = rowsOf(root)
  return Array.from({ length: rows.length }, (_, index) => rows.at(index)!)
}
const brief = (root: TreeNode) => allRows(root).map((row) => (row.kind === 'entry' ? row.node.path : `${row.kind}:${row.node.path}`))

const sourceOf = (peerId: EntrySource['peerId'], api: EntrySource['api'], isLive = () => true): EntrySource => ({ peerId, api, memory: memoryInRam(), isLive, order: () => ({ sort: null, reverse: false }) })

describe('rows', () => {
  it('starts by asking for the shares', () => expect(brief(makeRoot())).toEqual(['more:']))
  it('shows what is open, in order', () => expect(brief(smallTree())).toEqual(['A', 'A/one', 'B']))
  it('hides what is below a closed folder', () => {
    const root = smallTree()
    setOpen(root.children[0]!, false)
    expect(brief(root)).toEqual(['A', 'B'])
  })
  it('says when a folder is empty, goes on or failed', () => {
    const root = smallTree()
    const [a, b] = root.children
    setOpen(b!, true)
    takePage(b!, { entries: [] })
    takePage(a!, { entries: [entry('A/two')], cursor: 'next' })
    root.status = 'failed'
    expect(brief(root)).toEqual(['A', 'A/one', 'A/two', 'more:A', 'B', 'empty:B', 'failed:'])
  })
  it('counts siblings only once all are known', () => {
    const root = smallTree()
    expect(rowsOf(root).at(0)).toMatchObject({ level: 1, position: 1, siblings: 2 })
    takePage(root, { entries: [], cursor: 'next' })
    expect(rowsOf(root).at(0)).toMatchObject({ siblings: -1 })
  })
  it('shows a path once, even if a peer repeats itself', () => {
    const root = smallTree()
    takePage(root, { entries: [entry('A', true), entry('C', true), entry('C', true)] })
    expect(brief(root)).toEqual(['A', 'A/one', 'B', 'C'])
  })
})

describe('a connection that is back', () => {
  it('keeps what is open and asks again for what failed', () => {
    const root = smallTree()
    root.children[0]!.status = 'failed'
    expect(reviveTree(root)).toBe(true)
    expect(brief(root)).toEqual(['A', 'A/one', 'more:A', 'B'])
  })
  it('starts anew when something came from memory', () => {
    const root = smallTree()
    root.children[0]!.seenAt = 5
    expect(reviveTree(root)).toBe(false)
  })
})

describe('keys', () => {
  const rows = rowsOf(smallTree())
  const focus = (at: number, key: string) => moveInTree(rows, at, key, 10)
  it('walk up and down and stop at the ends', () => {
    expect(focus(0, 'ArrowDown')).toEqual({ type: 'focus', index: 1 })
    expect(focus(0, 'ArrowUp')).toEqual({ type: 'focus', index: 0 })
    expect(focus(0, 'End')).toEqual({ type: 'focus', index: 2 })
    expect(focus(2, 'PageUp')).toEqual({ type: 'focus', index: 0 })
  })
  it('open, enter, leave and close folders', () => {
    expect(focus(0, 'ArrowRight')).toEqual({ type: 'focus', index: 1 })
    expect(focus(2, 'ArrowRight')).toMatchObject({ type: 'open', node: { path: 'B' } })
    expect(focus(1, 'ArrowRight')).toBeNull()
    expect(focus(1, 'ArrowLeft')).toEqual({ type: 'focus', index: 0 })
    expect(focus(0, 'ArrowLeft')).toMatchObject({ type: 'close', node: { path: 'A' } })
    expect(focus(0, 'x')).toBeNull()
  })
  it('pass over rows that only say something', () => {
    const root = smallTree()
    takePage(root.children[0]!, { entries: [], cursor: 'next' })
    const withMore = rowsOf(root)
    expect(moveInTree(withMore, 1, 'ArrowDown', 10)).toEqual({ type: 'focus', index: 3 })
    expect(moveInTree(withMore, 3, 'ArrowUp', 10)).toEqual({ type: 'focus', index: 1 })
    expect(moveInTree(rowsOf(makeRoot()), 0, 'ArrowDown', 10)).toBeNull()
  })
})

/** The obvious way, to compare with. */
function walked(node: TreeNode): string[] {
  const below = node.children.flatMap((child) => [child.path as string, ...(child.isOpen ? walked(child) : [])])
  if (node.status === 'failed') return [...below, `failed:${node.path}`]
  if (node.status !== 'ready' || node.cursor !== undefined) return [...below, `more:${node.path}`]
  return below.length === 0 ? [`empty:${node.path}`] : below
}

describe('any tree', () => {
  const step = fc.record({ at: fc.nat(), does: fc.constantFrom('toggle', 'page', 'last', 'fail'), folders: fc.array(fc.boolean(), { maxLength: 4 }) })
  it('has the rows of a walk, and knows where each is', () =>
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const root = makeRoot()
      let made = 0
      for (const { at, does, folders } of steps) {
        const open = [root, ...allRows(root).flatMap((row) => (row.kind === 'entry' && row.node.entry!.isDirectory ? [row.node] : []))]
        const node = open[at % open.length]!
        if (does === 'toggle') setOpen(node, !node.isOpen)
        else if (does === 'fail') node.status = 'failed'
        else takePage(node, { entries: folders.map((isDirectory) => entry(node === root ? `${made++}` : `${node.path}/${made++}`, isDirectory)), ...(does === 'page' ? { cursor: 'next' } : {}) })
      }
      expect(brief(root)).toEqual(walked(root))
      const rows = rowsOf(root)
      for (const [index, row] of allRows(root).entries()) if (row.kind === 'entry') expect(rows.indexOf(row.node)).toBe(index)
      expect([rows.at(-1), rows.at(rows.length), rows.indexOf(root)]).toEqual([undefined, undefined, -1])
    })))

  it('is renewed without what was in it', () => {
    const root = smallTree()
    expect([...openPaths(root)]).toEqual(['', 'A'])
    expect(renewed(root.children[0]!)).toMatchObject({ path: 'A', status: 'idle', children: [], level: 1 })
  })
})

describe('loading', () => {
  it('stops asking a peer that goes on without anything new', async () => {
    let asked = 0
    const source = sourceOf(null, { list: async () => ({ entries: asked++ === 0 ? [entry('A')] : [], cursor: `${asked}` }) })
    const root = makeRoot()
    for (let [wanted] = wantedPages(rowsOf(root), 0, 10, 10); wanted !== undefined; [wanted] = wantedPages(rowsOf(root), 0, 10, 10)) await loadPage(source, wanted, 1)
    expect(root.status).toBe('failed')
    expect(asked).toBe(1 + MAX_BARREN_PAGES)
  })

  it('asks in the order that was chosen, and keeps to it from memory', async () => {
    const mock = openMockControl('default')
    const { peers } = await mock.api.snapshot()
    let live = true
    const source: EntrySource = { ...sourceOf(peers[0]!.peerId, mock.api, () => live), order: () => ({ sort: 'name', reverse: true }) }
    const names = async () => {
      const root = makeRoot()
      await loadPage(source, root, 1)
      return root.children.map(({ name }) => name)
    }
    const there = await names()
    expect(there).toEqual(['Photos', 'Music', 'Films'])
    live = false
    expect(await names()).toEqual(there)
    mock.close()
  })

  it('goes on page by page in a folder of a million entries', async () => {
    const mock = openMockControl('large')
    const { peers } = await mock.api.snapshot()
    const source = sourceOf(peers[0]!.peerId, mock.api)
    const root = makeRoot()
    await loadPage(source, root, 1)
    const archive = root.children.find((node) => node.name === 'Archive')!
    setOpen(archive, true)
    await loadPage(source, archive, 1)
    const scans = archive.children.find((node) => node.name === 'Scans')!
    setOpen(scans, true)
    let pages = 0
    while (pages < 100) {
      const rows = rowsOf(root)
      const [wanted] = wantedPages(rows, rows.length - 2, rows.length, 0)
      if (wanted === undefined) break
      await loadPage(source, wanted, 1)
      pages += 1
    }
    expect(scans.children).toHaveLength(100_000)
    expect(scans.cursor).toBe('100000')
    const last = await mock.api.list({ peerId: peers[0]!.peerId, path: scans.path, recursive: false, limit: 1000, cursor: String(LARGE_COUNT - 1) })
    expect(last).toEqual({ entries: [expect.objectContaining({ path: 'Archive/Scans/scan-999999.tif' })] })
    mock.close()
  })

  it('falls back to what was seen when the peer is away, and says so', async () => {
    const mock = openMockControl('default')
    const { peers } = await mock.api.snapshot()
    let live = true
    const source = sourceOf(peers[0]!.peerId, mock.api, () => live)
    await loadPage(source, makeRoot(), 123)
    live = false
    const again = makeRoot()
    await loadPage(source, again, 456)
    expect(again.children.map((node) => node.name)).toEqual(['Music', 'Films', 'Photos'])
    expect(again).toMatchObject({ status: 'ready', seenAt: 123 })
    const unseen = again.children[0]!
    await loadPage(source, unseen, 456)
    expect(unseen).toMatchObject({ status: 'failed', children: [] })
    mock.close()
  })

  it('shows why a folder could not be read', async () => {
    const mock = openMockControl('errory')
    const { peers } = await mock.api.snapshot()
    const root = makeRoot()
    await loadPage(sourceOf(peers[0]!.peerId, mock.api), root, 1)
    expect(root).toMatchObject({ status: 'failed', problem: 'No answer. They may be offline or unreachable from here.' })
    mock.close()
  })
})
