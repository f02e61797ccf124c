import { type Endpoint as ComlinkEndpoint, expose } from 'comlink'
import { CodedError, type Reason } from '../errors.ts'
import { CONTROL_METHODS, type ControlApi, type ControlEvent, type ControlMethod } from './api.ts'
import { admitCalls } from './arguments.ts'
import type { DeviceRole } from './roles.ts'
import { CLOSE_POLICY, CLOSE_TOO_BUSY, SOCKET_OPEN, type SocketLike } from './socket-like.ts'

/**
 * The helper's side of a control connection, after the handshake: Comlink behind a guard. Comlink alone lets the other side set any property it can
 * name, prototypes included (GoogleChromeLabs/comlink issue 603), so only this passes: APPLY of one allow-listed name with at most one RAW argument
 * that is plain JSON. Anything else ends the connection. What a role may not call is answered with `not-allowed`.
 */
export interface ServedControl {
  /** Bytes not yet taken by the other side. */
  bufferedAmount(): number
  sendEvent(event: ControlEvent): void
  /** Idempotent. */
  close(code: number, reason: string): void
}

/** In characters. The largest legitimate call carries a path of 4 KiB and a cursor of 5 KiB, which JSON may triple. */
export const MAX_CONTROL_MESSAGE = 64 * 1024
/** Calls of one device being worked on. A UI searching every peer and opening a tree at once stays well below. */
export const MAX_PENDING_CALLS = 256
/** A page of a listing has up to 512 KiB: a device that lets this much pile up does not read. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024
const MAX_ID_CHARACTERS = 100
/** A change of a wish: arguments, list, wish, fields, field, value, and one to spare. */
const MAX_ARGUMENT_DEPTH = 7
/** Keys with a meaning to JavaScript itself; no argument of ours has them. */
const RESERVED_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

interface Call {
  readonly id: string
  readonly method: ControlMethod
  readonly argument: unknown
}

/**
 * @param socket already open; messages received before this call are not seen
 * @param role of the device, asked at every call
 * @param onBadMessage told why a connection is being ended, for the log
 */
export function serveControl(options: { socket: SocketLike; api: ControlApi; role: () => DeviceRole; onBadMessage?: (why: string) => void }): ServedControl {
  const { socket } = options
  let pending = 0
  let deliver: ((event: { data: unknown }) => void) | undefined
  let over = false
  const close = (code: number, reason: string) => {
    if (over) return
    over = true
    socket.close(code, reason)
  }
  const send = (envelope: { kind: string; message?: unknown; event?: unknown }) => {
    if (over || socket.readyState !== SOCKET_OPEN) return
    if (socket.bufferedAmount > MAX_UNREAD_BYTES) close(CLOSE_TOO_BUSY, 'this device does not read its answers')
    else socket.send(JSON.stringify(envelope))
  }
  const endpoint: ComlinkEndpoint = {
    postMessage: (message: unknown) => {
      pending -= 1
      send({ kind: 'rpc', message })
    },
    addEventListener: (_type, listener) => {
      deliver = listener as unknown as typeof deliver
    },
    removeEventListener: () => {
      deliver = undefined
    },
  }
  expose(outcomes(options.api, options.role), endpoint)

  socket.addEventListener('close', () => {
    over = true
  })
  socket.addEventListener('message', ({ data }) => {
    if (over) return
    const call = admit(data)
    if (typeof call === 'string') {
      options.onBadMessage?.(call)
      close(CLOSE_POLICY, call)
      return
    }
    if (pending >= MAX_PENDING_CALLS) {
      send({ kind: 'rpc', message: { id: call.id, type: 'RAW', value: failure(new CodedError('busy', 'too many calls at once')) } })
      return
    }
    pending += 1
    // Comlink sees a message made here, never the one received.
    const argumentList = call.argument === undefined ? [] : [{ type: 'RAW', value: call.argument }]
    deliver?.({ data: { id: call.id, type: 'APPLY', path: [call.method], argumentList } })
  })
  return {
    bufferedAmount: () => socket.bufferedAmount,
    sendEvent: (event) => send({ kind: 'event', event }),
    close,
  }
}

/** Every method resolves: to its value, or to code and message. Comlink's own way of passing errors would send stacks. */
function outcomes(api: ControlApi, role: () => DeviceRole): object {
  const checked = admitCalls(api, CONTROL_METHODS, role)
  const exposed = Object.create(null) as Record<string, (raw?: unknown) => Promise<unknown>>
  for (const method of CONTROL_METHODS) {
    exposed[method] = (raw) => checked[method](raw).then((value) => ({ ok: true, value }), failure)
  }
  return Object.freeze(exposed)
}

function failure(error: unknown): { ok: false; error: Reason } {
  return { ok: false, error: CodedError.toReason(error) }
}

/** @returns the call, or why the message is not admitted */
function admit(data: unknown): Call | string {
  if (typeof data !== 'string') return 'only text messages are understood'
  if (data.length > MAX_CONTROL_MESSAGE) return 'the message is too large'
  let envelope: unknown
  try {
    envelope = JSON.parse(data)
  } catch {
    return 'the message is not JSON'
  }
  if (!isRecord(envelope) || envelope['kind'] !== 'rpc' || !isRecord(envelope['message'])) return 'the message is not a call'
  const { id, type, path, argumentList } = envelope['message']
  if (typeof id !== 'string' || id.length === 0 || id.length > MAX_ID_CHARACTERS) return 'the call has no id'
  if (type !== 'APPLY') return 'only calls are admitted'
  if (!Array.isArray(path) || path.length !== 1 || !isControlMethod(path[0])) return 'there is no such method'
  if (!Array.isArray(argumentList) || argumentList.length > 1) return 'a call has at most one argument'
  const [wire] = argumentList as unknown[]
  if (wire === undefined) return { id, method: path[0], argument: undefined }
  if (!isRecord(wire) || wire['type'] !== 'RAW') return 'arguments must be plain data'
  if (!isPlain(wire['value'], 0)) return 'the argument is not plain data'
  return { id, method: path[0], argument: wire['value'] }
}

export function isControlMethod(name: unknown): name is ControlMethod {
  return typeof name === 'string' && (CONTROL_METHODS as readonly string[]).includes(name)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPlain(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth >= MAX_ARGUMENT_DEPTH) return false
  return Object.entries(value).every(([key, inner]) => !RESERVED_KEYS.has(key) && isPlain(inner, depth + 1))
}
