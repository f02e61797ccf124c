import { afterEach, describe, expect, it, vi } from 'vitest'
import { bytesOf, dropShared, droppedFiles, filesOf, hasFiles, sharedFiles } from '../src/features/offers/handed-files.ts'

type Tree = { readonly [name: string]: string | Tree }

/** A dropped file or folder, which tells its children two at a time. */
function entryOf(name: string, content: string | Tree): FileSystemEntry {
  if (typeof content === 'string') return { name, isFile: true, isDirectory: false, file: (resolve: (file: File) => void) => resolve(new File([content], name)) } as unknown as FileSystemEntry
  const createReader = () => {
    const left = Object.entries(content).map(([child, inside]) => entryOf(child, inside))
    return { readEntries: (resolve: (entries: FileSystemEntry[]) => void) => resolve(left.splice(0, 2)) }
  }
  return { name, isFile: false, isDirectory: true, createReader } as unknown as FileSystemEntry
}

const drop = (tree: Tree) => ({
  items: Object.entries(tree).map(([name, content]) => ({ kind: 'file', webkitGetAsEntry: () => entryOf(name, content) })), files: [],
}) as unknown as DataTransfer

const shown = async (files: Awaited<ReturnType<typeof droppedFiles>>) => Promise.all(files.map(async ({ path, file }) => [path, file === null ? null : await file.text()]))

describe('what is handed to the page', () => {
  it('of a chosen folder keeps the paths below it', () => {
    const inFolder = Object.defineProperty(new File(['ab'], 'a.txt'), 'webkitRelativePath', { value: 'Trip/a.txt' })
    const alone = Object.defineProperty(new File(['c'], 'b.txt'), 'webkitRelativePath', { value: '' })
    const files = filesOf([inFolder, alone])
    expect(files.map(({ path }) => path)).toEqual(['Trip/a.txt', 'b.txt'])
    expect(bytesOf([...files, { path: 'Empty', file: null }])).toBe(3)
  })

  it('of a drop holds folders with all that is in them, and folders with nothing in them', async () => {
    const files = await droppedFiles(drop({ Trip: { 'a.txt': 'A', 'b.txt': 'B', 'c.txt': 'C', later: {}, deep: { er: { 'd.txt': 'D' } } }, 'e.txt': 'E', Nothing: {} }))
    expect(await shown(files)).toEqual([
      ['Trip/a.txt', 'A'], ['Trip/b.txt', 'B'], ['Trip/c.txt', 'C'], ['Trip/later', null], ['Trip/deep/er/d.txt', 'D'], ['e.txt', 'E'], ['Nothing', null],
    ])
  })

  it('of a browser that tells no folders is the plain files; text that is dragged is none', async () => {
    const file = new File(['x'], 'x.txt')
    const transfer = { items: [{ kind: 'string', webkitGetAsEntry: () => null }, { kind: 'file', webkitGetAsEntry: () => null }], files: [file] } as unknown as DataTransfer
    expect(await droppedFiles(transfer)).toEqual([{ path: 'x.txt', file }])
    expect(hasFiles({ types: ['Files'] } as unknown as DataTransfer)).toBe(true)
    expect(hasFiles({ types: ['text/plain'] } as unknown as DataTransfer)).toBe(false)
    expect(hasFiles(null)).toBe(false)
  })

  it('fails where a file cannot be read any more', async () => {
    const gone = { name: 'gone', isFile: true, file: (_resolve: unknown, reject: (error: Error) => void) => reject(new DOMException('gone', 'NotFoundError')) }
    await expect(droppedFiles({ items: [{ kind: 'file', webkitGetAsEntry: () => gone }], files: [] } as unknown as DataTransfer)).rejects.toThrow('gone')
  })
})

describe('what another program shared', () => {
  afterEach(() => vi.unstubAllGlobals())

  it('is what the service worker kept, until it is dropped', async () => {
    const kept = new Map<string, Response>([
      ['http://app/shared/file?name=a.txt', new Response('A')], ['http://app/shared/note', new Response('for you')], ['http://app/shared/file', new Response('B')],
    ])
    let isThere = true
    vi.stubGlobal('caches', {
      has: async () => isThere,
      delete: async () => (isThere = false),
      open: async () => ({ keys: async () => [...kept.keys()].map((url) => ({ url })), match: async ({ url }: { url: string }) => kept.get(url) }),
    })
    const { files, note } = await sharedFiles()
    expect(note).toBe('for you')
    expect(await shown(files)).toEqual([['a.txt', 'A'], ['file', 'B']])
    await dropShared()
    expect(await sharedFiles()).toEqual({ files: [], note: '' })
  })

  it('is nothing where a browser keeps nothing', async () => {
    vi.stubGlobal('caches', undefined)
    expect(await sharedFiles()).toEqual({ files: [], note: '' })
    await dropShared()
  })
})
