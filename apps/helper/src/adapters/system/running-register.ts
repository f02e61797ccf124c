/**
 * A note per running helper of this user: which port has which storage, so that the address alone is enough to find a helper. Holds no secrets and
 * proves nothing; a note may be left from a helper that was killed.
 */
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runningDirectory } from './app-paths.ts'

export interface RunningNote {
  readonly pid: number
  /** Absolute. */
  readonly storage: string
}

/** Failing to write one costs only the convenience, so the caller may ignore what this rejects with. */
export async function writeRunningNote(port: number, note: RunningNote): Promise<void> {
  const directory = runningDirectory()
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = join(directory, `${port}.${note.pid}.tmp`)
  await writeFile(draft, `${JSON.stringify(note)}\n`, { mode: 0o600 })
  await rename(draft, noteFile(port))
  await sweep(directory)
}

/** Notes of helpers that were killed would pile up. */
async function sweep(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const port = /^(\d{1,5})\.json$/.exec(name)?.[1]
    if (port === undefined) continue
    const note = await readRunningNote(Number(port))
    if (note === undefined || !isAlive(note.pid)) await rm(join(directory, name), { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** @returns undefined when there is none, or none that makes sense */
export async function readRunningNote(port: number): Promise<RunningNote | undefined> {
  try {
    const { pid, storage } = JSON.parse(await readFile(noteFile(port), 'utf8')) as { pid?: unknown; storage?: unknown }
    return typeof pid === 'number' && typeof storage === 'string' ? { pid, storage } : undefined
  } catch {
    return undefined
  }
}

/** Removes the note unless another helper has written it since. */
export async function removeRunningNote(port: number, pid: number): Promise<void> {
  if ((await readRunningNote(port))?.pid === pid) await rm(noteFile(port), { force: true })
}

function noteFile(port: number): string {
  return join(runningDirectory(), `${port}.json`)
}
