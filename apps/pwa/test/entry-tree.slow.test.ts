import { describe, expect, it } from 'vitest'
import type { Entry, SharePath } from '@harddrive-party/protocol'
import { type TreeNode, makeRoot, moveInTree, rowsOf, setOpen, takePage, wantedPages } from '../src/entries/entry-tree.ts'

const entry = (path: string, isDirectory = false): Entry => ({ path: path as SharePath, size: 1, mtime: 0, isDirectory })

describe('a million rows', () => {
  const COUNT = 1_000_000
  const PAGE = 1000

  it('cost each page its own length, and a look only what is looked at', () => {
    let reads = 0
    const root = makeRoot()
    takePage(root, { entries: [entry('A', true), entry('B', true)] })
    const real = root.children[0]!
    const counted = new Proxy<TreeNode[]>([], {
      get: (target, key, receiver) => {
        reads += 1
        return Reflect.get(target, key, receiver)
      },
    })
    const node: TreeNode = { ...real, children: counted }
    root.children[0] = node
    setOpen(node, true)
    const pageCosts: number[] = []
    for (let from = 0; from < COUNT; from += PAGE) {
      const entries = Array.from({ length: PAGE }, (_, index) => entry(`A/${from + index}`))
      reads = 0
      takePage(node, { entries, ...(from + PAGE < COUNT ? { cursor: 'next' } : {}) })
      const rows = rowsOf(root)
      // What a screen reads.
      for (let index = 0; index < 50; index++) rows.at(rows.length - 1 - index)
      pageCosts.push(reads)
    }
    expect(pageCosts[0]).toBeGreaterThan(PAGE)
    expect(Math.max(...pageCosts)).toBeLessThan(10 * PAGE)
    reads = 0
    const rows = rowsOf(root)
    expect(rows.length).toBe(COUNT + 2)
    expect(rows.at(COUNT)).toMatchObject({ kind: 'entry', position: COUNT, siblings: COUNT })
    expect(rows.indexOf(root.children[1]!)).toBe(COUNT + 1)
    expect(moveInTree(rows, 0, 'End', 10)).toEqual({ type: 'focus', index: COUNT + 1 })
    expect(moveInTree(rows, COUNT, 'ArrowLeft', 10)).toEqual({ type: 'focus', index: 0 })
    expect(wantedPages(rows, COUNT - 500, COUNT, 400)).toEqual([])
    expect(reads).toBeLessThan(5000)
  })
})
