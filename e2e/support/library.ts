import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const MiB = 1024 * 1024

/** What a library is made of: relative path to size in bytes. */
export type LibraryPlan = ReadonlyMap<string, number>

const SCRIPTS = ['Ænima', 'Größe', '東京の夜', 'Музыка', 'naïve café', 'ελληνικά', 'مرحبا', 'a b  c', "it's #1 & 50%", '🎧 mix']

/**
 * A media collection as people have them: nested, unevenly sized, names in many scripts, some empty files.
 * @param options.files at least this many @param options.bytes about this much in all @param options.largest one file of exactly this size
 */
export function planLibrary(options: { files: number; bytes: number; largest: number }): LibraryPlan {
  const plan = new Map<string, number>()
  plan.set('Films/A long one (2026).mkv', options.largest)
  const small = options.files - 1
  const average = Math.floor((options.bytes - options.largest) / small)
  for (let i = 0; i < small; i++) {
    const script = SCRIPTS[i % SCRIPTS.length]
    const folder = `Music/${script}/Album ${Math.floor(i / 40)}/CD ${i % 2}`
    // A spread around the average, with an empty file now and then.
    const size = i % 50 === 7 ? 0 : Math.floor(average * (0.25 + (i % 7) * 0.25))
    plan.set(`${folder}/${String(i).padStart(4, '0')} ${script}.flac`, size)
  }
  return plan
}

/** Writes the files with content that depends on the path and the seed, so that no range of one can pass for another's. */
export async function writeLibrary(root: string, plan: LibraryPlan, seed = 'library'): Promise<void> {
  const zeros = Buffer.alloc(4 * MiB)
  for (const [path, size] of plan) {
    const file = join(root, path)
    await mkdir(dirname(file), { recursive: true })
    if (size === 0) {
      await writeFile(file, '')
      continue
    }
    const key = createHash('sha256').update(`${seed}\0${path}`).digest()
    const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
    const handle = await open(file, 'w')
    for (let at = 0; at < size; at += zeros.length) await handle.write(cipher.update(zeros.subarray(0, Math.min(zeros.length, size - at))))
    await handle.close()
  }
}

/** Relative path of every file and directory below `root` to its SHA-256 (`directory` for directories), sorted. */
export async function treeHashes(root: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const entry of (await readdir(root, { recursive: true, withFileTypes: true })).sort((a, b) => (join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1))) {
    const path = join(entry.parentPath, entry.name)
    const relative = path.slice(root.length + 1)
    found.set(relative, entry.isDirectory() ? 'directory' : entry.isFile() ? await fileHash(path) : 'something else')
  }
  return found
}

export async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: MiB })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
