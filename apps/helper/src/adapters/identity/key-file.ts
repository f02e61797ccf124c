/** Keeps the identity: a file with an Ed25519 seed, readable by its owner only. Never repairs or replaces a file that it does not understand. */
import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'

const SEED_BYTES = 32

/** First line of the file: says what it is to whoever finds it. */
const TITLE = 'harddrive-party identity 1'

/**
 * Reads the seed, or makes one if the file does not exist. Two processes at once get the same seed.
 * @returns 32 bytes
 * @throws CodedError `disk-error` when the file is not one of ours, cannot be read or written
 */
export async function openKeyFile(file: string): Promise<Uint8Array> {
  const present = await readSeed(file)
  if (present !== undefined) return present
  await createSeed(file)
  const created = await readSeed(file)
  if (created === undefined) throw new CodedError('disk-error', `the identity file ${file} disappeared while it was made`)
  return created
}

async function readSeed(file: string): Promise<Uint8Array | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CodedError('disk-error', `cannot read the identity file ${file}`, { cause })
  }
  const [title, seed, ...rest] = text.split('\n')
  if (title !== TITLE || seed === undefined || !/^[0-9a-f]{64}$/.test(seed) || rest.join('') !== '') {
    throw new CodedError(
      'disk-error',
      `the identity file ${file} is damaged. Put its backup back, or remove it to become a new peer whom your friends do not know yet`,
    )
  }
  await keepPrivate(file)
  return new Uint8Array(Buffer.from(seed, 'hex'))
}

/** Somebody copied it, or a backup restored it: take the rights of others away again. Where there are no such rights (Windows) nothing happens. */
async function keepPrivate(file: string): Promise<void> {
  if (process.platform === 'win32') return
  const { mode } = await stat(file)
  if ((mode & 0o077) !== 0) await chmod(file, 0o600)
}

async function createSeed(file: string): Promise<void> {
  const draft = `${file}.${process.pid}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(`${TITLE}\n${randomBytes(SEED_BYTES).toString('hex')}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // A link, not a rename: it never replaces an identity that somebody else has just made, and a crash leaves the whole file or none.
    await link(draft, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw new CodedError('disk-error', `cannot write the identity file ${file}`, { cause })
  } finally {
    await rm(draft, { force: true })
  }
}
