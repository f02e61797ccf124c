/** Real helpers as processes for tests: started from a fresh bundle, on loopback, with storages that vanish. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const BUILD = fileURLToPath(new URL('../../../../scripts/build-helper.mjs', import.meta.url))

export interface HelperProgram {
  readonly cli: string
  /** XDG_STATE_HOME of everything that is run: the person's own register of helpers stays untouched. */
  readonly state: string
}

/** Bundles the helper as it is now into `directory`, which must be below the checkout so that packages are found. */
export async function buildHelper(directory: string, state: string): Promise<HelperProgram> {
  await promisify(execFile)(process.execPath, [BUILD, directory])
  return { cli: join(directory, 'cli.js'), state }
}

export interface HelperProcess {
  readonly ui: string
  readonly pairUrl: string
  readonly code: string
  readonly peerId: string
  readonly name: string
  readonly udp: { readonly v4: number | null; readonly v6: number | null }
  readonly pid: number
  readonly storage: string
  readonly downloads: string
  log(): string
  /** @returns the exit code */
  readonly ended: Promise<number | null>
  kill(signal: NodeJS.Signals): void
}

/** Everything still running, so that a failed test leaves nothing behind. */
const running = new Set<ChildProcess>()

export async function killAll(): Promise<void> {
  await Promise.all([...running].map((child) => {
    child.kill('SIGKILL')
    return once(child, 'exit')
  }))
}

export interface StartHelperOptions {
  readonly env?: Record<string, string>
  /** Called before it is ready, for tests that end it on the way. */
  readonly onSpawn?: (child: ChildProcess) => void
}

export async function startHelper(program: HelperProgram, root: string, args: readonly string[] = [], { env = {}, onSpawn }: StartHelperOptions = {}): Promise<HelperProcess> {
  const storage = join(root, 'storage')
  const downloads = join(root, 'downloads')
  await mkdir(downloads, { recursive: true })
  const child = spawn(process.execPath, [
    program.cli, 'start', '--json', '--loopback-only', '--no-stun', '--no-mdns', '--no-open', '--ui-address', 'http://127.0.0.1:0',
    '--storage', storage, '--download-dir', downloads, ...args,
  ], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment(program), ...env } })
  running.add(child)
  onSpawn?.(child)
  let log = ''
  child.stderr.on('data', (chunk) => (log += String(chunk)))
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  void ended.finally(() => running.delete(child))
  const line = await new Promise<string>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.once('line', resolve)
    lines.once('close', () => reject(new Error(`the helper did not get ready: ${log}`)))
  })
  const facts = JSON.parse(line) as Pick<HelperProcess, 'ui' | 'pairUrl' | 'code' | 'peerId' | 'name' | 'udp'>
  return { ...facts, pid: child.pid as number, storage, downloads, log: () => log, ended, kill: (signal) => void child.kill(signal) }
}

export interface CommandOutcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command; `environment` variables may be set by `NAME=value` before it. */
export async function hdp(program: HelperProgram, args: readonly string[], options: { env?: Record<string, string> } = {}): Promise<CommandOutcome & { readonly bytes: Buffer }> {
  const child = spawn(process.execPath, [program.cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment(program), ...options.env } })
  running.add(child)
  const chunks: Buffer[] = []
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const [code] = (await once(child, 'close')) as [number | null]
  running.delete(child)
  const bytes = Buffer.concat(chunks)
  return { code, stdout: bytes.toString(), stderr, bytes }
}

function environment({ state }: HelperProgram): NodeJS.ProcessEnv {
  const { HDP_STORAGE: _storage, HDP_UI_ADDRESS: _ui, ...rest } = process.env
  return { ...rest, XDG_STATE_HOME: state }
}
