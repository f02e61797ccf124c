import type { Entry, ListPage } from '@harddrive-party/protocol'
import { lastPart } from '../format.ts'

/** The tree of folders as one page shows it: nodes that load page by page, and the flat rows that are visible. Asks nobody and draws nothing. */

export interface TreeNode {
  readonly path: string
  readonly name: string
  /** null for the root, whose children are the shares. */
  readonly entry: Entry | null
  /** 0 for the root, 1 for shares. */
  readonly level: number
  readonly children: TreeNode[]
  /** Paths of the children. */
  readonly known: Set<string>
  /** Where the next page starts. */
  cursor: string | undefined
  /** `idle` = never asked; `ready` = all pages so far are here, more if there is a cursor. */
  status: 'idle' | 'loading' | 'ready' | 'failed'
  problem: string
  isOpen: boolean
  /** When this was last seen, if it is shown from memory. */
  seenAt: number | null
}

export type TreeRow =
  | { readonly kind: 'entry'; readonly key: string; readonly node: TreeNode; readonly level: number; readonly position: number; readonly siblings: number }
  | { readonly kind: 'more' | 'failed' | 'empty'; readonly key: string; readonly node: TreeNode; readonly level: number }

export function makeRoot(): TreeNode {
  return { path: '', name: '', entry: null, level: 0, children: [], known: new Set(), cursor: undefined, status: 'idle', problem: '', isOpen: true, seenAt: null }
}

function makeNode(entry: Entry, level: number): TreeNode {
  return { path: entry.path, name: lastPart(entry.path), entry, level, children: [], known: new Set(), cursor: undefined, status: 'idle', problem: '', isOpen: false, seenAt: null }
}

/** Adds one page to a folder. A path that was there already (a peer may repeat itself) is not added again. */
export function takePage(node: TreeNode, page: ListPage): void {
  for (const entry of page.entries) {
    if (node.known.has(entry.path)) continue
    node.known.add(entry.path)
    node.children.push(makeNode(entry, node.level + 1))
  }
  node.cursor = page.cursor
  node.status = 'ready'
}

/**
 * Prepares a tree for a connection that is back: what failed may be asked for again.
 * @returns false when some of it came from memory and should be loaded afresh as a whole
 */
export function reviveTree(node: TreeNode): boolean {
  if (node.seenAt !== null) return false
  if (node.status === 'failed') node.status = 'idle'
  return node.children.every((child) => reviveTree(child))
}

/** Every row that scrolling can reach, in order. */
export function flattenTree(root: TreeNode): TreeRow[] {
  const rows: TreeRow[] = []
  addRows(root, rows)
  return rows
}

function addRows(node: TreeNode, rows: TreeRow[]): void {
  const level = node.level + 1
  // -1: the whole size is not known before the last page (ARIA).
  const siblings = node.cursor === undefined && node.status === 'ready' ? node.children.length : -1
  for (const [index, child] of node.children.entries()) {
    rows.push({ kind: 'entry', key: child.path, node: child, level, position: index + 1, siblings })
    if (child.isOpen) addRows(child, rows)
  }
  const tail = tailOf(node)
  if (tail !== null) rows.push({ kind: tail, key: `${tail}:${node.path}`, node, level })
}

function tailOf(node: TreeNode): 'more' | 'failed' | 'empty' | null {
  if (node.status === 'failed') return 'failed'
  if (node.status !== 'ready' || node.cursor !== undefined) return 'more'
  return node.children.length === 0 ? 'empty' : null
}

export type TreeMove = { readonly type: 'focus'; readonly index: number } | { readonly type: 'open' | 'close'; readonly node: TreeNode }

/** What an arrow key means at a row (WAI-ARIA tree view pattern); null = nothing. `page` is how many rows fit on the screen. */
export function moveInTree(rows: readonly TreeRow[], at: number, key: string, page: number): TreeMove | null {
  const row = rows[at]
  const focus = (index: number): TreeMove | null => {
    const target = nearestEntry(rows, Math.max(0, Math.min(rows.length - 1, index)), index < at ? -1 : 1)
    return target === null ? null : { type: 'focus', index: target }
  }
  switch (key) {
    case 'ArrowDown':
      return focus(at + 1)
    case 'ArrowUp':
      return focus(at - 1)
    case 'PageDown':
      return focus(at + page)
    case 'PageUp':
      return focus(at - page)
    case 'Home':
      return focus(0)
    case 'End':
      return focus(rows.length - 1)
    case 'ArrowRight':
      if (row?.kind !== 'entry' || row.node.entry?.isDirectory !== true) return null
      return row.node.isOpen ? focus(at + 1) : { type: 'open', node: row.node }
    case 'ArrowLeft': {
      if (row === undefined) return null
      if (row.kind === 'entry' && row.node.isOpen) return { type: 'close', node: row.node }
      const parent = rows.findLastIndex((other, index) => index < at && other.kind === 'entry' && other.level === row.level - 1)
      return parent === -1 ? null : { type: 'focus', index: parent }
    }
    default:
      return null
  }
}

/** Rows that say something are not stops of the keyboard; look on in the direction of travel, then back. */
function nearestEntry(rows: readonly TreeRow[], from: number, step: 1 | -1): number | null {
  for (const direction of [step, -step]) {
    for (let index = from; index >= 0 && index < rows.length; index += direction) if (rows[index]?.kind === 'entry') return index
  }
  return null
}

/** Folders whose next page should be asked for, given the rows on the screen and how far to look ahead. */
export function wantedPages(rows: readonly TreeRow[], first: number, last: number, ahead: number): TreeNode[] {
  const wanted: TreeNode[] = []
  for (let index = Math.max(0, first); index <= Math.min(rows.length - 1, last + ahead); index++) {
    const row = rows[index]
    if (row?.kind === 'more' && row.node.status !== 'loading') wanted.push(row.node)
  }
  return wanted
}
