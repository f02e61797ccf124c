import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A real helper as a process, on loopback, with a storage and folders of its own. */
export interface HelperProcess {
  readonly ui: string
  readonly pairUrl: string
  readonly code: string
  readonly peerId: string
  readonly name: string
  readonly udp: { readonly v4: number | null; readonly v6: number | null }
  readonly pid: number
  readonly folder: HelperFolder
  /** kill -9, and waits until the process is gone. */
  kill(): Promise<void>
  /** As a person would: the signal of Ctrl-C. @returns the exit code */
  stop(): Promise<number | null>
  /** Everything it wrote to stderr so far. */
  log(): string
}

export interface HelperFolder {
  readonly root: string
  readonly storage: string
  readonly downloads: string
}

export const HDP = fileURLToPath(new URL('../../apps/helper/bin/hdp.mjs', import.meta.url))

/** Long enough for a loaded machine; a helper that is not ready by then has failed. */
const READY_TIMEOUT_MS = 30_000

export async function makeHelperFolder(name: string): Promise<HelperFolder & { remove(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), `hdp-e2e-${name}-`))
  const folder = { root, storage: join(root, 'storage'), downloads: join(root, 'downloads') }
  await mkdir(folder.downloads)
  return { ...folder, remove: () => rm(root, { recursive: true, force: true }) }
}

/** Starts `hdp start --json` and resolves with what it says when it is ready. @param options.program another installation than this one */
export async function startHelper(folder: HelperFolder, options: { shares?: readonly string[]; ui?: string; args?: readonly string[]; program?: string } = {}): Promise<HelperProcess> {
  const child = spawn(
    process.execPath,
    [
      options.program ?? HDP, 'start', '--json', '--verbose', '--no-open', '--no-mdns', '--no-stun', '--loopback-only',
      '--storage', folder.storage,
      '--download-dir', folder.downloads,
      '--ui-address', options.ui ?? 'http://127.0.0.1:0',
      ...(options.shares ?? []).flatMap((share) => ['--share-dir', share]),
      ...(options.args ?? []),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], cwd: dirname(folder.storage) },
  )
  let log = ''
  child.stderr.on('data', (chunk) => (log = (log + chunk).slice(-200_000)))
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  const line = await firstLine(child, ended, () => log)
  const facts = JSON.parse(line) as Omit<HelperProcess, 'pid' | 'folder' | 'kill' | 'stop' | 'log'>
  return {
    ...facts,
    pid: child.pid as number,
    folder,
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
    stop: async () => {
      child.kill('SIGINT')
      return ended
    },
    log: () => log,
  }
}

async function firstLine(child: ChildProcess, ended: Promise<number | null>, log: () => string): Promise<string> {
  if (child.stdout === null) throw new Error('the helper has no stdout')
  const lines = createInterface({ input: child.stdout })
  const failure = (why: string) => new Error(`the helper ${why}\n${log()}`)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(failure('was not ready in time'))
    }, READY_TIMEOUT_MS)
    lines.once('line', (line) => {
      clearTimeout(timer)
      resolve(line)
    })
    void ended.then((code) => {
      clearTimeout(timer)
      reject(failure(`ended with ${code} before it was ready`))
    })
  })
}

/** Runs one `hdp` command against a helper. */
export async function hdp(folder: HelperFolder, ...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [HDP, ...args, '--storage', folder.storage], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stdout, stderr }
}
