import { CodedError, type Entry, type ListPage, type SearchQuery, type SharePath, compareNatural, parseSearch, rankEntry } from '@harddrive-party/protocol'
import type { ListArguments } from '@harddrive-party/protocol/control'

/** Invented shares for the mock: deterministic trees, made while they are walked, listed by the rules of the contract. */

export interface MockNode {
  readonly name: string
  readonly size: number
  readonly mtime: number
  readonly children: MockNodes | null
}

/** As much of a list as is needed of one; a long one makes its nodes when they are looked at. */
export type MockNodes = Pick<readonly MockNode[], 'length' | 'slice' | 'find'> & Iterable<MockNode>

const NEWEST = Date.UTC(2026, 9, 1)
const DAY = 86_400_000

/** A small hash, so that sizes and dates look alive and are the same at every start. */
function noise(text: string): number {
  let hash = 2166136261
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  return (hash >>> 0) / 2 ** 32
}

export function file(name: string, size = Math.round(2000 + noise(name) ** 3 * 40_000_000)): MockNode {
  return { name, size, mtime: NEWEST - Math.round(noise(`${name}!`) * 900) * DAY, children: null }
}

export function folder(name: string, children: readonly MockNode[]): MockNode {
  const sorted = [...children].sort((a, b) => (a.name < b.name ? -1 : 1))
  return { name, size: sorted.reduce((sum, child) => sum + child.size, 0), mtime: Math.max(0, ...sorted.map((child) => child.mtime)), children: sorted }
}

const series = (count: number, name: (index: string) => string, size?: number) =>
  Array.from({ length: count }, (_, index) => file(name(String(index + 1).padStart(2, '0')), size))

export function musicShare(): MockNode {
  return folder('Music', [
    folder('Lena Okafor', [
      folder('Harbour Lights (2019)', [...series(11, (n) => `${n} Harbour Lights.flac`), file('cover.jpg', 843_112)]),
      folder('Slow Machines (2023)', [...series(9, (n) => `${n} Slow Machines.flac`), file('cover.jpg', 1_203_441), file('booklet.pdf', 8_402_113)]),
    ]),
    folder('Nordlicht Ensemble', [folder('Winterreise – Aufnahmen', series(24, (n) => `${n} Lied.flac`))]),
    folder('山田太郎', [folder('夜の海', series(8, (n) => `${n} 波.mp3`))]),
    folder('فيروز', [file('نسم علينا الهوى.mp3', 7_340_221)]),
    file('Mixtape for the long drive.mp3', 93_220_114),
  ])
}

export function filmShare(): MockNode {
  return folder('Films', [
    folder('Super 8 transfers', [file('1974 Summer at the lake.mkv', 1_842_000_000), file('1978 Grandma’s garden.mkv', 2_214_000_000), file('Notes.txt', 4_112)]),
    file('Big Buck Bunny (2008).mp4', 734_003_200),
    file('Sintel (2010).mkv', 1_180_090_590),
  ])
}

export function pictureShare(): MockNode {
  return folder('Photos', [
    folder('2025 Azores', series(140, (n) => `IMG_${n}.jpg`, 4_200_000)),
    folder('2026 Workshop', series(36, (n) => `DSC_${n}.NEF`, 28_400_000)),
    file('readme.txt', 0),
  ])
}

export const LARGE_COUNT = 1_000_000

export function largeShare(): MockNode {
  const scans: MockNode = { name: 'Scans', size: LARGE_COUNT * 10_000_000, mtime: NEWEST, children: new ManyNodes(LARGE_COUNT, (index) => file(`scan-${String(index).padStart(6, '0')}.tif`)) }
  return folder('Archive', [scans, file('About this archive.txt', 2_204)])
}

/** Nodes that exist only while somebody looks at them. */
class ManyNodes implements MockNodes {
  readonly length: number
  readonly #make: (index: number) => MockNode

  constructor(length: number, make: (index: number) => MockNode) {
    this.length = length
    this.#make = make
  }

  slice(start = 0, end = this.length): MockNode[] {
    return Array.from({ length: Math.max(0, Math.min(end, this.length) - start) }, (_, at) => this.#make(start + at))
  }

  find(isWanted: (node: MockNode, index: number, all: MockNode[]) => unknown): MockNode | undefined {
    let index = 0
    for (const node of this) if (isWanted(node, index++, [])) return node
    return undefined
  }

  *[Symbol.iterator](): Generator<MockNode> {
    for (let index = 0; index < this.length; index++) yield this.#make(index)
  }
}

const MAX_LIMIT = 1000

/** Lists a tree as a helper would: each directory before its contents, cursors are opaque to the caller. */
export function listTree(shares: readonly MockNode[], { path, search, recursive, cursor, limit, sort, reverse = false }: ListArguments): ListPage {
  if (!Number.isInteger(limit) || limit < 1) throw new CodedError('bad-request', 'the limit must be a whole number from 1')
  const start = cursor === undefined ? 0 : Number(cursor)
  if (!Number.isInteger(start) || start < 0) throw new CodedError('bad-request', 'the cursor is not one of ours')
  const { nodes, prefix } = find(shares, path)
  const query = search === undefined ? undefined : parseSearch(search)
  const entries: Entry[] = []
  const end = start + Math.min(limit, MAX_LIMIT)
  if (sort !== undefined || (recursive && query !== undefined)) return sortedPage(nodes, prefix, { query, recursive, sort, reverse, start, end })
  if (!recursive && query === undefined) {
    // The usual case, and the one that has to be quick in a folder of a million.
    for (const [node, at] of walk(nodes.slice(start, end), prefix, false)) entries.push(entryOf(node, at))
    return end < nodes.length ? { entries, cursor: String(end) } : { entries }
  }
  let seen = 0
  for (const [node, at] of walk(nodes, prefix, recursive)) {
    if (query !== undefined && rankEntry(query, { ...entryOf(node, at), path: node.name }) === undefined) continue
    if (seen >= end) return { entries, cursor: String(end) }
    if (seen >= start) entries.push(entryOf(node, at))
    seen += 1
  }
  return { entries }
}

interface Sorting {
  readonly query: SearchQuery | undefined
  readonly recursive: boolean
  readonly sort: ListArguments['sort']
  readonly reverse: boolean
  readonly start: number
  readonly end: number
}

function sortedPage(nodes: MockNodes, prefix: string, { query, recursive, sort, reverse, start, end }: Sorting): ListPage {
  const found = [...walk(nodes, prefix, recursive)].flatMap(([node, at]) => {
    const entry = entryOf(node, at)
    const rank = query === undefined ? 0 : rankEntry(query, entry, prefix)
    return rank === undefined ? [] : [{ rank, node, entry }]
  })
  const size = (a: (typeof found)[number], b: (typeof found)[number]) => b.entry.size - a.entry.size
  found.sort((a, b) => {
    if (sort === 'name') return Number(b.entry.isDirectory) - Number(a.entry.isDirectory) || compareNatural(a.node.name, b.node.name)
    if (sort === 'date') return b.entry.mtime - a.entry.mtime
    return sort === 'size' ? size(a, b) : a.rank - b.rank || size(a, b)
  })
  if (reverse) found.reverse()
  const entries = found.slice(start, end).map(({ entry }) => entry)
  return end < found.length ? { entries, cursor: String(end) } : { entries }
}

function entryOf(node: MockNode, path: string): Entry {
  return { path: path as SharePath, size: node.size, mtime: node.mtime, isDirectory: node.children !== null }
}

function find(shares: readonly MockNode[], path: string | undefined): { nodes: MockNodes; prefix: string } {
  if (path === undefined) return { nodes: shares, prefix: '' }
  const parts = path.split('/')
  let nodes: MockNodes = shares
  for (const [depth, part] of parts.entries()) {
    const node = nodes.find((candidate) => candidate.name === part)
    if (node === undefined) throw new CodedError('not-found', 'there is nothing at this path')
    if (node.children === null) {
      if (depth < parts.length - 1) throw new CodedError('not-found', 'there is nothing at this path')
      return { nodes: [node], prefix: parts.slice(0, -1).join('/') }
    }
    nodes = node.children
  }
  return { nodes, prefix: path }
}

function* walk(nodes: MockNodes, prefix: string, recursive: boolean): Generator<[MockNode, string]> {
  for (const node of nodes) {
    const path = prefix === '' ? node.name : `${prefix}/${node.name}`
    yield [node, path]
    if (recursive && node.children !== null) yield* walk(node.children, path, true)
  }
}

export function nodeAt(shares: readonly MockNode[], path: string): MockNode | undefined {
  let nodes: MockNodes | null = shares
  let found: MockNode | undefined
  for (const part of path.split('/')) {
    found = nodes?.find((candidate) => candidate.name === part)
    nodes = found?.children ?? null
  }
  return found
}

/** Files below a node with their paths relative to it, in listing order; for a file, itself. */
export function filesBelow(node: MockNode): readonly { readonly path: string; readonly size: number }[] {
  if (node.children === null) return [{ path: node.name, size: node.size }]
  const files: { path: string; size: number }[] = []
  for (const [child, path] of walk(node.children, '', true)) if (child.children === null) files.push({ path, size: child.size })
  return files
}
