/** Small secret files that only their owner may read: keys, tokens. Knows nothing of their meaning. */
import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'

/**
 * Reads the file, or makes it. Two processes at once get the same content.
 * @param matches what the whole content must look like; a damaged file is an error, not replaced
 * @throws CodedError `disk-error`
 */
export async function openPrivateFile(file: string, matches: RegExp, make: () => string): Promise<string> {
  for (let attempt = 0; attempt < 2; attempt++) {
    const text = await readPrivateFile(file)
    if (text !== undefined) {
      if (!matches.test(text.trim())) throw new CodedError('disk-error', `the file ${file} is damaged; remove it and a new one will be made`)
      return text.trim()
    }
    // A link never replaces what another process has just made.
    await throughDraft(file, `${make()}\n`, link)
  }
  throw new CodedError('disk-error', `the file ${file} disappeared while it was made`)
}

/** Replaces the file, whole or not at all. @throws CodedError `disk-error` */
export async function writePrivateFile(file: string, text: string): Promise<void> {
  await throughDraft(file, text, rename)
}

/** Takes the rights of others away if somebody gave them. @returns undefined when there is none @throws CodedError `disk-error` */
export async function readPrivateFile(file: string): Promise<string | undefined> {
  try {
    const text = await readFile(file, 'utf8')
    if (process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600)
    return text
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CodedError('disk-error', `cannot read ${file}`, { cause })
  }
}

async function throughDraft(file: string, text: string, place: (draft: string, file: string) => Promise<void>): Promise<void> {
  const draft = `${file}.${process.pid}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await place(draft, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw new CodedError('disk-error', `cannot write ${file}`, { cause })
  } finally {
    await rm(draft, { force: true })
  }
}
