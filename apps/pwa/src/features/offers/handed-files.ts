/** Files that a person hands to the page, by dropping or choosing them: each with its path below what was handed over. Sends nothing. */

export interface HandedFile {
  /** `Azores/IMG_1.jpg`. */
  readonly path: string
  /** Null = a folder with nothing in it; all others are there by their files. */
  readonly file: File | null
}

export function bytesOf(files: readonly HandedFile[]): number {
  return files.reduce((sum, { file }) => sum + (file?.size ?? 0), 0)
}

/** Of an `<input type="file">`, with or without `webkitdirectory`. */
export function filesOf(list: FileList | readonly File[]): HandedFile[] {
  return Array.from(list, (file) => ({ path: file.webkitRelativePath || file.name, file }))
}

/** Of a drop, folders with all that is in them. To be called while the drop is handled: later the browser has forgotten it. */
export async function droppedFiles(transfer: DataTransfer): Promise<HandedFile[]> {
  const entries = Array.from(transfer.items, (item) => (item.kind === 'file' ? item.webkitGetAsEntry() : null))
  const plain = Array.from(transfer.files)
  if (entries.every((entry) => entry === null)) return filesOf(plain)
  const found: HandedFile[] = []
  for (const entry of entries) if (entry !== null) await walk(entry, '', found)
  return found
}

export function hasFiles(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes('Files') === true
}

async function walk(entry: FileSystemEntry, above: string, found: HandedFile[]): Promise<void> {
  const path = above + entry.name
  if (entry.isFile) {
    found.push({ path, file: await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)) })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  // It gives them in parts, and nothing when there are no more.
  for (let isEmpty = true; ; isEmpty = false) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (part.length === 0) {
      if (isEmpty) found.push({ path, file: null })
      return
    }
    for (const child of part) await walk(child, `${path}/`, found)
  }
}

const SHARED_CACHE = 'shared-files'

/** What another program shared to the installed app: kept by the service worker until it is sent or dropped. */
export async function sharedFiles(): Promise<{ files: HandedFile[]; note: string }> {
  if (typeof caches === 'undefined' || !(await caches.has(SHARED_CACHE))) return { files: [], note: '' }
  const cache = await caches.open(SHARED_CACHE)
  const files: HandedFile[] = []
  let note = ''
  for (const request of await cache.keys()) {
    const response = await cache.match(request)
    const url = new URL(request.url)
    if (response === undefined) continue
    if (url.pathname === '/shared/note') note = await response.text()
    else {
      const name = url.searchParams.get('name') ?? 'file'
      files.push({ path: name, file: new File([await response.blob()], name) })
    }
  }
  return { files, note }
}

export async function dropShared(): Promise<void> {
  if (typeof caches !== 'undefined') await caches.delete(SHARED_CACHE)
}
