/**
 * One helper per storage. The lock is a local socket named after the storage: the kernel lets it go with the process, however that ends, so there are
 * no stale locks to judge. Whoever comes second asks it who is running.
 */
import { createHash } from 'node:crypto'
import { realpath, rm } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'

export interface InstanceLock {
  /** What a second start is told from now on, besides our pid. */
  announce(ui: string): void
  /** Idempotent. */
  close(): Promise<void>
}

/** A holder that is stopped (SIGSTOP) or busy does not answer; we do not wait long to say so. */
const ASK_TIMEOUT_MS = 1_000
const MAX_ANSWER_CHARACTERS = 1_000

/**
 * @param storage an existing directory
 * @throws CodedError `already-running` with a message that says who
 */
export async function openInstanceLock(storage: string): Promise<InstanceLock> {
  const address = lockAddress(await realpath(storage))
  let ui = ''
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end(JSON.stringify({ pid: process.pid, ui }))
  })
  for (let attempt = 0; ; attempt++) {
    if (await listen(server, address)) break
    const holder = await askHolder(address)
    // Only a socket file outlives its process; then nobody listens behind it.
    if (holder === 'nobody' && attempt === 0 && isFile(address)) await rm(address, { force: true })
    else if (holder === 'nobody' && attempt < 3) continue
    else throw new CodedError('already-running', `a helper is already running with the storage ${storage}${describe(holder)}`)
  }
  server.unref()
  let closing: Promise<void> | undefined
  return {
    announce: (address) => {
      ui = address
    },
    close: () => (closing ??= new Promise((resolve) => server.close(() => resolve()))),
  }
}

function lockAddress(storage: string): string {
  const user = process.platform === 'win32' ? '' : String(userInfo().uid)
  const id = createHash('sha256').update(`${user}\0${storage}`).digest('hex').slice(0, 32)
  if (process.platform === 'win32') return `\\\\.\\pipe\\hdp-${id}`
  // Linux has names without files.
  return process.platform === 'linux' ? `\0hdp-${id}` : join(tmpdir(), `hdp-${id}.lock`)
}

function isFile(address: string): boolean {
  return process.platform !== 'win32' && !address.startsWith('\0')
}

function listen(server: Server, address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') resolve(false)
      else reject(new CodedError('disk-error', 'cannot take the lock of the storage', { cause }))
    }
    server.once('error', onError)
    server.listen(address, () => {
      server.off('error', onError)
      resolve(true)
    })
  })
}

type Holder = 'nobody' | 'silent' | { readonly pid: number; readonly ui: string }

function askHolder(address: string): Promise<Holder> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(address)
    const end = (holder: Holder) => {
      socket.destroy()
      resolve(holder)
    }
    socket.setTimeout(ASK_TIMEOUT_MS, () => end('silent'))
    socket.on('data', (chunk) => {
      answer += chunk.toString()
      if (answer.length > MAX_ANSWER_CHARACTERS) end('silent')
    })
    socket.on('end', () => end(parseHolder(answer)))
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? 'nobody' : 'silent'))
  })
}

function parseHolder(answer: string): Holder {
  try {
    const { pid, ui } = JSON.parse(answer) as { pid?: unknown; ui?: unknown }
    return typeof pid === 'number' && typeof ui === 'string' ? { pid, ui } : 'silent'
  } catch {
    return 'silent'
  }
}

function describe(holder: Holder): string {
  if (holder === 'nobody') return ''
  if (holder === 'silent') return ', but it does not answer'
  return holder.ui === '' ? ` (process ${holder.pid}, still starting)` : `: process ${holder.pid}, ${holder.ui}`
}
