/**
 * Runs inside one host of the lab, a process of its own: starts a helper there, calls its API over the host's own loopback, and sends datagrams for
 * the checks. It does what its parent asks and ends with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { type RemoteInfo, type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { formatRequest, openStunResponder, readAnswer } from './stun-responder.ts'

export interface AgentCalls {
  /** Starts the helper and resolves with what it says when ready, and how long that took. */
  startHelper(args: { command: readonly string[]; storage: string }): Promise<{ ready: { ui: string; code: string | null; peerId: string }; ms: number }>
  /** Asks it to stop and waits until it is gone. */
  stopHelper(args: Record<string, never>): Promise<void>
  /** The last lines of what it said on standard error. */
  helperErrors(args: Record<string, never>): Promise<string>
  /** One call of the helper's JSON API; `startedAt` and `endedAt` on the machine's own clock, which all namespaces share. */
  api(args: { method: string; body: object; timeoutMs: number }): Promise<ApiOutcome>
  /** Reads the beginning of a peer's file as a browser would, that many bytes. */
  read(args: { url: string; bytes: number; timeoutMs: number }): Promise<ReadOutcome>
  serveStun(args: { hosts: readonly [string, string] }): Promise<void>
  /** All of them. */
  stopStun(args: Record<string, never>): Promise<void>
  /** A UDP socket for the checks. Closes the ones before unless told to keep them. */
  open(args: { port?: number; host?: string; keep?: boolean }): Promise<{ socket: number; port: number }>
  send(args: { socket: number; host: string; port: number; hex: string }): Promise<void>
  /** The next datagram on a socket, or null. */
  receive(args: { socket: number; timeoutMs: number }): Promise<{ host: string; port: number; hex: string } | null>
  /** Asks a STUN server how it sees a socket, twice at most; null when nothing comes back. */
  askStun(args: { socket: number; host: string; port: number; changeHost?: boolean; changePort?: boolean; timeoutMs: number }): Promise<{ host: string; port: number } | null>
}

export interface ApiOutcome {
  readonly ok: boolean
  readonly value?: unknown
  readonly error?: { readonly code: string; readonly message: string }
  readonly startedAt: number
  readonly endedAt: number
}

export interface ReadOutcome {
  readonly startedAt: number
  readonly firstByteAt: number | null
  readonly endedAt: number
  readonly bytes: number
  readonly sha256: string
  readonly error?: string
}

/** Kept of a helper's standard error, for reports of failures. */
const MAX_ERROR_CHARACTERS = 100_000

/** A helper that was asked to stop and does not is ended. */
const STOP_TIMEOUT_MS = 8_000

let helper: { readonly child: ChildProcess; readonly origin: string; readonly token: string } | undefined
let errors = ''
const sockets = new Map<number, { readonly socket: Socket; readonly received: { message: Buffer; from: RemoteInfo }[]; wake: () => void }>()
let lastSocket = 0
const responders: { close(): void }[] = []

const calls: AgentCalls = {
  async startHelper({ command, storage }) {
    const [file = '', ...args] = command
    const startedAt = now()
    errors = ''
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-MAX_ERROR_CHARACTERS)))
    const lines = createInterface({ input: child.stdout })
    const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the helper ended with ${code}: ${errors}`)))
    ended.catch(() => {})
    const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string]
    const ms = now() - startedAt
    const ready = JSON.parse(line) as { ui: string; code: string | null; peerId: string }
    helper = { child, origin: ready.ui, token: (await readFile(join(storage, 'api-token'), 'utf8')).trim() }
    return { ready, ms }
  },
  async stopHelper() {
    if (helper === undefined) return
    const { child } = helper
    helper = undefined
    if (child.exitCode !== null || child.signalCode !== null) return
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    child.kill('SIGTERM')
    await once(child, 'exit')
    clearTimeout(timer)
  },
  async helperErrors() {
    return errors
  },
  async api({ method, body, timeoutMs }) {
    if (helper === undefined) throw new Error('no helper runs here')
    const startedAt = now()
    try {
      const answer = await fetch(`${helper.origin}/api/${method}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${helper.token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
      })
      const { result, error } = (await answer.json()) as { result?: unknown; error?: { code: string; message: string } }
      return { ok: error === undefined, ...(error === undefined ? { value: result } : { error }), startedAt, endedAt: now() }
    } catch (error) {
      return { ok: false, error: { code: 'no-answer', message: error instanceof Error ? error.message : String(error) }, startedAt, endedAt: now() }
    }
  },
  async read({ url, bytes: wanted, timeoutMs }) {
    const startedAt = now()
    let firstByteAt: number | null = null
    let bytes = 0
    const hash = createHash('sha256')
    try {
      const answer = await fetch(url, { headers: { range: `bytes=0-${wanted - 1}` }, signal: AbortSignal.timeout(timeoutMs) })
      if (!answer.ok || answer.body === null) throw new Error(`HTTP ${answer.status}: ${await answer.text()}`)
      for await (const chunk of answer.body) {
        firstByteAt ??= now()
        bytes += chunk.length
        hash.update(chunk)
      }
      return { startedAt, firstByteAt, endedAt: now(), bytes, sha256: hash.digest('hex') }
    } catch (error) {
      return { startedAt, firstByteAt, endedAt: now(), bytes, sha256: '', error: error instanceof Error ? error.message : String(error) }
    }
  },
  async serveStun({ hosts }) {
    responders.push(await openStunResponder(hosts))
  },
  async stopStun() {
    for (const responder of responders.splice(0)) responder.close()
  },
  async open({ port = 0, host = '0.0.0.0', keep = false }) {
    if (!keep) {
      for (const { socket } of sockets.values()) socket.close()
      sockets.clear()
    }
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4' })
    const number = ++lastSocket
    const entry = { socket, received: [] as { message: Buffer; from: RemoteInfo }[], wake: () => {} }
    socket.on('error', () => {})
    socket.on('message', (message, from) => {
      entry.received.push({ message, from })
      entry.wake()
    })
    await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(port, host, resolve))
    sockets.set(number, entry)
    return { socket: number, port: socket.address().port }
  },
  async send({ socket, host, port, hex }) {
    sockets.get(socket)?.socket.send(Buffer.from(hex, 'hex'), port, host)
  },
  async receive({ socket, timeoutMs }) {
    const found = await nextDatagram(socket, timeoutMs, () => true)
    return found === undefined ? null : { host: found.from.address, port: found.from.port, hex: found.message.toString('hex') }
  },
  async askStun({ socket, host, port, changeHost = false, changePort = false, timeoutMs }) {
    const transactionId = randomBytes(12)
    const request = formatRequest(transactionId, { host: changeHost, port: changePort })
    for (let attempt = 0; attempt < 2; attempt++) {
      sockets.get(socket)?.socket.send(request, port, host)
      const found = await nextDatagram(socket, timeoutMs / 2, ({ message }) => readAnswer(message, transactionId) !== undefined)
      if (found !== undefined) return readAnswer(found.message, transactionId) ?? null
    }
    return null
  },
}

/** Drops what does not fit. */
async function nextDatagram(number: number, timeoutMs: number, fits: (datagram: { message: Buffer }) => boolean): Promise<{ message: Buffer; from: RemoteInfo } | undefined> {
  const entry = sockets.get(number)
  if (entry === undefined) throw new Error('that socket is closed')
  const deadline = now() + timeoutMs
  for (;;) {
    for (let next = entry.received.shift(); next !== undefined; next = entry.received.shift()) if (fits(next)) return next
    const left = deadline - now()
    if (left <= 0) return undefined
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left)
      entry.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Milliseconds on the monotonic clock, which processes of one machine share. */
function now(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

process.on('message', ({ id, method, args }: { id: number; method: keyof AgentCalls; args: never }) => {
  Promise.resolve(calls[method](args)).then(
    (value: unknown) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.message : String(error) }),
  )
})
process.on('disconnect', () => {
  helper?.child.kill('SIGKILL')
  process.exit(0)
})
process.send?.({ id: 0 })
