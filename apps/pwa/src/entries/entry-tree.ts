import type { Entry, ListPage } from '@harddrive-party/protocol'
import { lastPart } from '../format.ts'

/**
 * The tree of folders as one page shows it: nodes that load page by page, and the rows that are visible. Rows are made when somebody looks at them:
 * what a page or a click costs depends on its own size and on how many folders are open, never on how long they are. Asks nobody and draws nothing.
 */

export interface TreeNode {
  readonly path: string
  readonly name: string
  /** null for the root, whose children are the shares. */
  readonly entry: Entry | null
  readonly parent: TreeNode | null
  /** Which child of its parent it is. */
  readonly place: number
  /** 0 for the root, 1 for shares. */
  readonly level: number
  readonly children: TreeNode[]
  /** Those that are open, in order. */
  readonly opened: TreeNode[]
  /** Paths of the children; null as long as there are none. */
  known: Set<string> | null
  /** Where the next page starts. */
  cursor: string | undefined
  /** `idle` = never asked; `ready` = all pages so far are here, more if there is a cursor. */
  status: 'idle' | 'loading' | 'ready' | 'failed'
  problem: string
  isOpen: boolean
  /** How many pages in a row brought nothing new. */
  barren: number
  /** When this was last seen, if it is shown from memory. */
  seenAt: number | null
}

export type TreeRow =
  | { readonly kind: 'entry'; readonly node: TreeNode; readonly level: number; readonly position: number; readonly siblings: number }
  | { readonly kind: 'more' | 'failed' | 'empty'; readonly node: TreeNode; readonly level: number }

/** Shared by all files: they stay without. */
const NONE: TreeNode[] = []

export function makeRoot(): TreeNode {
  return { path: '', name: '', entry: null, parent: null, place: 0, level: 0, children: [], opened: [], known: null, cursor: undefined, status: 'idle', problem: '', isOpen: true, barren: 0, seenAt: null }
}

function makeNode(entry: Entry, parent: TreeNode): TreeNode {
  const [children, opened] = entry.isDirectory ? [[], []] : [NONE, NONE]
  return {
    path: entry.path, name: lastPart(entry.path), entry, parent, place: parent.children.length, level: parent.level + 1, children, opened, known: null,
    cursor: undefined, status: 'idle', problem: '', isOpen: false, barren: 0, seenAt: null,
  }
}

/** The same folder as if nobody had looked into it. */
export function renewed(node: TreeNode): TreeNode {
  return { ...makeRoot(), path: node.path, name: node.name, entry: node.entry, parent: node.parent, place: node.place, level: node.level }
}

/** Adds one page to a folder. A path that was there already (a peer may repeat itself) is not added again. */
export function takePage(node: TreeNode, page: ListPage): void {
  const before = node.children.length
  const known = (node.known ??= new Set())
  for (const entry of page.entries) {
    if (known.has(entry.path)) continue
    known.add(entry.path)
    node.children.push(makeNode(entry, node))
  }
  node.barren = node.children.length === before ? node.barren + 1 : 0
  node.cursor = page.cursor
  node.status = 'ready'
}

/** Opens or closes a folder. */
export function setOpen(node: TreeNode, isOpen: boolean): void {
  const siblings = node.parent?.opened
  if (siblings === undefined || node.isOpen === isOpen || node.entry?.isDirectory !== true) return
  node.isOpen = isOpen
  const at = siblings.findIndex(({ place }) => place >= node.place)
  if (isOpen) siblings.splice(at === -1 ? siblings.length : at, 0, node)
  else siblings.splice(at, 1)
}

/** Paths of all folders that are open, also in closed ones. */
export function openPaths(root: TreeNode): Set<string> {
  const paths = new Set<string>()
  const visit = (node: TreeNode) => {
    if (node.isOpen) paths.add(node.path)
    for (const child of node.children) if (child.children !== NONE) visit(child)
  }
  visit(root)
  return paths
}

/**
 * Prepares a tree for a connection that is back: what failed may be asked for again.
 * @returns false when some of it came from memory and should be loaded afresh as a whole
 */
export function reviveTree(node: TreeNode): boolean {
  if (node.seenAt !== null) return false
  if (node.status === 'failed') node.status = 'idle'
  return node.children.every((child) => child.children === NONE || reviveTree(child))
}

/** Every row that scrolling can reach, in order, as the tree was when it was asked for. */
export interface TreeRows {
  readonly length: number
  at(index: number): TreeRow | undefined
  /** Where the row of an entry is; -1 for the root, whose row nobody sees. */
  indexOf(node: TreeNode): number
}

/** The rows of one open folder's contents. */
interface Stretch {
  readonly node: TreeNode
  /** How many entries there are. */
  readonly count: number
  readonly tail: 'more' | 'failed' | 'empty' | null
  /** Of contents, open folders and all. */
  readonly length: number
  /** What is open in there. */
  readonly inner: readonly Stretch[]
  /** The row of each of those, counted from the first of this stretch. */
  readonly starts: readonly number[]
}

export function rowsOf(root: TreeNode): TreeRows {
  const whole = measure(root)
  return {
    length: whole.length,
    at: (index) => (index < 0 || index >= whole.length ? undefined : rowAt(whole, index)),
    indexOf: (node) => rowOf(whole, node),
  }
}

function measure(node: TreeNode): Stretch {
  const inner = node.opened.map(measure)
  let below = 0
  const starts = inner.map((stretch) => {
    const start = stretch.node.place + below
    below += stretch.length
    return start
  })
  const tail = tailOf(node)
  return { node, count: node.children.length, tail, length: node.children.length + below + (tail === null ? 0 : 1), inner, starts }
}

function rowAt(stretch: Stretch, index: number): TreeRow | undefined {
  const { node, inner, starts } = stretch
  const last = lastBelow(starts, index)
  let place = index
  if (last !== -1) {
    const open = inner[last] as Stretch
    const within = index - (starts[last] as number) - 1
    if (within < open.length) return rowAt(open, within)
    place = open.node.place + 1 + within - open.length
  }
  const level = node.level + 1
  const child = place < stretch.count ? node.children[place] : undefined
  if (child === undefined) return stretch.tail === null ? undefined : { kind: stretch.tail, node, level }
  // -1: the whole size is not known before the last page (ARIA).
  const siblings = node.cursor === undefined && node.status === 'ready' ? stretch.count : -1
  return { kind: 'entry', node: child, level, position: place + 1, siblings }
}

function rowOf(whole: Stretch, node: TreeNode): number {
  if (node.parent === null) return -1
  let row = 0
  let stretch: Stretch | undefined = whole
  const way: TreeNode[] = []
  for (let at: TreeNode | null = node; at !== null && at.parent !== null; at = at.parent) way.unshift(at)
  for (const [depth, step] of way.entries()) {
    if (stretch === undefined) return -1
    const last: number = stretch.inner.findLastIndex((one) => one.node.place < step.place)
    row += last === -1 ? step.place : (stretch.starts[last] as number) + (stretch.inner[last] as Stretch).length + step.place - (stretch.inner[last] as Stretch).node.place
    if (depth === way.length - 1) break
    stretch = stretch.inner.find((one) => one.node === step)
    row += 1
  }
  return row
}

/** The last of ascending numbers that is smaller than `value`, or -1. */
function lastBelow(numbers: readonly number[], value: number): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((numbers[middle] as number) < value) low = middle + 1
    else high = middle
  }
  return low - 1
}

function tailOf(node: TreeNode): 'more' | 'failed' | 'empty' | null {
  if (node.status === 'failed') return 'failed'
  if (node.status !== 'ready' || node.cursor !== undefined) return 'more'
  return node.children.length === 0 ? 'empty' : null
}

export type TreeMove = { readonly type: 'focus'; readonly index: number } | { readonly type: 'open' | 'close'; readonly node: TreeNode }

/** What an arrow key means at a row (WAI-ARIA tree view pattern); null = nothing. `page` is how many rows fit on the screen. */
export function moveInTree(rows: TreeRows, at: number, key: string, page: number): TreeMove | null {
  const row = rows.at(at)
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
      const folder = row.kind === 'entry' ? row.node.parent : row.node
      const parent = folder === null ? -1 : rows.indexOf(folder)
      return parent === -1 ? null : { type: 'focus', index: parent }
    }
    default:
      return null
  }
}

/** Rows that say something are not stops of the keyboard; look on in the direction of travel, then back. */
function nearestEntry(rows: TreeRows, from: number, step: 1 | -1): number | null {
  for (const direction of [step, -step]) {
    for (let index = from; index >= 0 && index < rows.length; index += direction) if (rows.at(index)?.kind === 'entry') return index
  }
  return null
}

/** Folders whose next page should be asked for, given the rows on the screen and how far to look ahead. */
export function wantedPages(rows: TreeRows, first: number, last: number, ahead: number): TreeNode[] {
  const wanted: TreeNode[] = []
  for (let index = Math.max(0, first); index <= Math.min(rows.length - 1, last + ahead); index++) {
    const row = rows.at(index)
    if (row?.kind === 'more' && row.node.status !== 'loading') wanted.push(row.node)
  }
  return wanted
}
