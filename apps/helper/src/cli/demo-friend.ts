/** The second helper of `start --demo`: a process of its own with a storage that lasts as long as it does. Both ends of it. */
import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { CodedError } from '@harddrive-party/protocol'

export interface DemoFriend {
  readonly code: string
  readonly name: string
  /** Idempotent. Resolves when the friend and its files are gone. */
  close(): Promise<void>
}

/** It writes its library first; a slow disk takes a while. */
const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 5_000

/** @throws CodedError `internal` when it does not get ready */
export async function openDemoFriend(): Promise<DemoFriend> {
  const directory = await mkdtemp(join(tmpdir(), 'hdp-demo-'))
  const child = fork(
    fileURLToPath(new URL('./cli.js', import.meta.url)),
    [
      'start', '--json', '--no-open', '--no-mdns', '--no-stun', '--loopback-only', '--demo-friend', directory,
      '--storage', join(directory, 'storage'), '--download-dir', join(directory, 'downloads'), '--ui-address', 'http://127.0.0.1:0',
    ],
    { stdio: ['ignore', 'pipe', 2, 'ipc'], execArgv: [] },
  )
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  let closing: Promise<void> | undefined
  const close = async () => {
    // It stops when we let go of it; and if it cannot, it is not worth waiting for.
    if (child.connected) child.disconnect()
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await exited
    clearTimeout(kill)
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const { code, name } = parseReadyLine(await firstLine(child.stdout))
    return { code, name, close: () => (closing ??= close()) }
  } catch (error) {
    await (closing ??= close())
    throw error
  }
}

async function firstLine(stdout: NodeJS.ReadableStream | null): Promise<string> {
  if (stdout === null) throw new CodedError('internal', 'the demo friend has no output')
  const lines = createInterface({ input: stdout })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new CodedError('internal', 'the demo friend is not ready in time')), READY_TIMEOUT_MS)
    lines.once('line', (line) => {
      clearTimeout(timer)
      resolve(line)
    })
    lines.once('close', () => {
      clearTimeout(timer)
      reject(new CodedError('internal', 'the demo friend could not start'))
    })
  })
}

function parseReadyLine(line: string): { readonly code: string; readonly name: string } {
  const { code, name } = JSON.parse(line) as { code?: unknown; name?: unknown }
  if (typeof code !== 'string' || typeof name !== 'string') throw new CodedError('internal', 'the demo friend has no code')
  return { code, name }
}
