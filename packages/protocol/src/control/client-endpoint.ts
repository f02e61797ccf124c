import { type Endpoint as ComlinkEndpoint, wrap } from 'comlink'
import { bytesToHex, randomBytes } from '@noble/hashes/utils.js'
import { decodeDetail } from '../detail.ts'
import { CodedError, type ErrorCode, isErrorCode } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import { CONTROL_METHODS, type ControlApi, type ControlEvent, type ControlMethod } from './api.ts'
import type { DeviceKey } from './device-key.ts'
import { type Transcript, decodeHello, decodeWelcome, deviceStatement, helperStatement, isSignedBy, pairingTag } from './handshake.ts'
import { type PairingInvitation, pairingFingerprint } from './pairing-link.ts'
import { CLOSE_NORMAL, CLOSE_NOT_PAIRED, SOCKET_CONNECTING, SOCKET_OPEN, type SocketLike } from './socket-like.ts'

/**
 * The device's side of a control connection: proves the device to the helper and the helper to the device, then gives the helper's ControlApi.
 * Opens no socket and never reconnects; that is up to the caller.
 */
export interface ControlClient {
  /** Rejects with CodedError only; pending calls reject with `closed` when the connection ends. */
  readonly api: ControlApi
  readonly helper: { readonly peerId: PeerId; readonly name: string }
  /** Events come once `api.snapshot()` has been called. @returns unsubscribe */
  onEvent(listener: (event: ControlEvent) => void): () => void
  /** Called once, at once if it is over already. @returns unsubscribe */
  onClose(listener: (reason: CodedError) => void): () => void
  /** Idempotent. */
  close(): void
}

export interface ControlClientOptions {
  /** Just opened or still connecting; not yet listened to by others. */
  readonly socket: SocketLike
  readonly device: DeviceKey
  /** What the helper's list of devices calls this one. */
  readonly deviceName: string
  /** The page's `location.origin`; outside of browsers the origin of the helper's address. */
  readonly origin: string
  /** The helper's key as remembered from pairing. Required unless pairing. */
  readonly helperKey?: PeerId
  /** From the pairing link. */
  readonly pairing?: PairingInvitation
  /** Rejects a call with `timed-out` after this long; absent = calls wait until the connection ends. */
  readonly callTimeoutMs?: number
}

/** A helper answers within milliseconds; a server that is something else may never. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * @throws CodedError `unreachable` (no connection), `wrong-identity` (another helper than the one paired with), `not-allowed` (not paired, or the
 *   pairing code is used up or expired), `busy`, `unsupported`, `bad-answer`, `timed-out`, `aborted`
 */
export async function openControlClient(options: ControlClientOptions, { signal }: { signal?: AbortSignal } = {}): Promise<ControlClient> {
  const { socket } = options
  const frames = receiveFrames(socket)
  const expired = AbortSignal.timeout(HANDSHAKE_TIMEOUT_MS)
  const stop = () => frames.fail(signal?.aborted === true ? new CodedError('aborted', 'connecting was cancelled') : new CodedError('timed-out', 'the helper does not answer'))
  expired.addEventListener('abort', stop)
  signal?.addEventListener('abort', stop)
  if (signal?.aborted === true) stop()
  try {
    const helper = await prove(options, frames)
    return talk(options, frames, helper)
  } catch (error) {
    socket.close(CLOSE_NORMAL)
    throw error
  } finally {
    expired.removeEventListener('abort', stop)
    signal?.removeEventListener('abort', stop)
  }
}

async function prove(options: ControlClientOptions, frames: Frames): Promise<ControlClient['helper']> {
  const { socket, device, helperKey, pairing } = options
  const hello = decodeHello(await frames.next())
  if (!hello.ok) throw new CodedError(codeOf(hello.error.code), hello.error.message)
  const { peerId, nonce } = hello.value
  if (helperKey === undefined && pairing === undefined) throw new CodedError('not-allowed', 'this device is not paired with a helper yet')
  if (helperKey !== undefined && helperKey !== peerId) throw new CodedError('wrong-identity', 'another helper answers at this address than the one this device is paired with')
  if (pairing !== undefined && pairingFingerprint(peerId) !== pairing.fingerprint) throw new CodedError('wrong-identity', 'another helper answers at this address than the one that made the link')

  const transcript: Transcript = {
    helperKey: peerId, deviceId: device.deviceId, helperNonce: nonce, deviceNonce: bytesToHex(randomBytes(32)), origin: options.origin, name: options.deviceName,
  }
  const tag = pairing === undefined ? undefined : pairingTag(pairing.code, transcript)
  const signature = bytesToHex(await device.sign(deviceStatement(transcript, tag)))
  const proof = { kind: 'proof', deviceId: device.deviceId, nonce: transcript.deviceNonce, name: transcript.name, signature }
  socket.send(JSON.stringify(tag === undefined ? proof : { ...proof, pairing: tag }))

  const welcome = decodeWelcome(await frames.next())
  if (!welcome.ok) throw new CodedError('bad-answer', welcome.error.message)
  if (welcome.value.kind === 'refused') throw new CodedError(codeOf(welcome.value.code), welcome.value.message)
  if (!isSignedBy(peerId, welcome.value.signature, helperStatement(transcript, tag))) throw new CodedError('wrong-identity', 'the helper could not prove its identity')
  return { peerId, name: welcome.value.name }
}

function talk(options: ControlClientOptions, frames: Frames, helper: ControlClient['helper']): ControlClient {
  const { socket } = options
  const listeners = new Set<(event: ControlEvent) => void>()
  let deliver: ((event: { data: unknown }) => void) | undefined
  const endpoint: ComlinkEndpoint = {
    // Comlink also sends messages of its own (RELEASE when a proxy is collected), which the helper rightly refuses.
    postMessage: (message: { type?: string }) => {
      if (message.type === 'APPLY') socket.send(JSON.stringify({ kind: 'rpc', message }))
    },
    addEventListener: (_type, listener) => {
      deliver = listener as unknown as typeof deliver
    },
    removeEventListener: () => {
      deliver = undefined
    },
  }
  const remote = wrap<Record<ControlMethod, (args?: unknown) => unknown>>(endpoint)
  frames.listen((text) => {
    const envelope = parseEnvelope(text)
    if (envelope?.kind === 'rpc') deliver?.({ data: envelope.message })
    else if (envelope?.kind === 'event') for (const listener of listeners) listener(envelope.event as ControlEvent)
  })

  const call = (method: ControlMethod, args: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (frames.ended !== undefined) return reject(frames.ended)
      const settle = () => {
        unsubscribe()
        clearTimeout(timer)
      }
      const fail = (error: CodedError) => {
        settle()
        reject(error)
      }
      const timer = options.callTimeoutMs === undefined ? undefined : setTimeout(() => fail(new CodedError('timed-out', 'the helper did not answer in time')), options.callTimeoutMs)
      const unsubscribe = frames.onEnd(fail)
      void (args === undefined ? remote[method]() : remote[method](args)).then((outcome) => {
        settle()
        return unwrap(outcome)
      }).then(resolve, reject)
    })
  const api = Object.fromEntries(CONTROL_METHODS.map((method) => [method, (args?: unknown) => call(method, args)])) as unknown as ControlApi

  return {
    api,
    helper,
    onEvent: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onClose: (listener) => frames.onEnd(listener),
    close: () => {
      frames.fail(new CodedError('closed', 'this side closed the connection to the helper'))
      socket.close(CLOSE_NORMAL)
    },
  }
}

/** Answers are `{ ok: true, value }` or `{ ok: false, error: { code, message, detail? } }`: outcomes as data, so that no stack or class name crosses. */
function unwrap(outcome: unknown): unknown {
  const { ok, value, error } = (outcome ?? {}) as { ok?: unknown; value?: unknown; error?: { code?: unknown; message?: unknown; detail?: unknown } }
  if (ok === true) return value
  const detail = decodeDetail(error?.detail)
  const message = typeof error?.message === 'string' ? error.message : 'the helper gave an answer without sense'
  throw CodedError.from({ code: isErrorCode(error?.code) ? error.code : 'bad-answer', message, ...(detail && { detail }) })
}

interface Frames {
  readonly ended: CodedError | undefined
  next(): Promise<unknown>
  listen(listener: (text: unknown) => void): void
  onEnd(listener: (reason: CodedError) => void): () => void
  fail(reason: CodedError): void
}

/** One frame at a time during the handshake, a listener afterwards. */
function receiveFrames(socket: SocketLike): Frames {
  const early: unknown[] = []
  const endListeners = new Set<(reason: CodedError) => void>()
  let ended: CodedError | undefined
  let wasOpen = socket.readyState === SOCKET_OPEN
  let take: ((text: unknown) => void) | undefined
  const fail = (reason: CodedError) => {
    if (ended !== undefined) return
    ended = reason
    for (const listener of endListeners) listener(reason)
    endListeners.clear()
  }
  socket.addEventListener('open', () => {
    wasOpen = true
  })
  socket.addEventListener('error', () => {
    // A close event follows and tells more.
  })
  socket.addEventListener('message', ({ data }) => {
    if (ended !== undefined) return
    if (take === undefined) early.push(data)
    else take(data)
  })
  socket.addEventListener('close', ({ code, reason }) => {
    if (!wasOpen) fail(new CodedError('unreachable', 'no helper answers at this address'))
    else if (code === CLOSE_NOT_PAIRED) fail(new CodedError('not-allowed', reason === '' ? 'this device is not paired' : reason))
    else fail(new CodedError('closed', 'the connection to the helper ended'))
  })
  if (socket.readyState > SOCKET_OPEN && socket.readyState !== SOCKET_CONNECTING) fail(new CodedError('unreachable', 'no helper answers at this address'))
  const onEnd = (listener: (reason: CodedError) => void) => {
    if (ended !== undefined) listener(ended)
    else endListeners.add(listener)
    return () => endListeners.delete(listener)
  }
  return {
    get ended() {
      return ended
    },
    next: () =>
      new Promise((resolve, reject) => {
        if (early.length > 0) return resolve(early.shift())
        const unsubscribe = onEnd(reject)
        take = (text) => {
          take = undefined
          unsubscribe()
          resolve(text)
        }
      }),
    listen: (listener) => {
      for (const text of early.splice(0)) listener(text)
      take = listener
    },
    onEnd,
    fail,
  }
}

function codeOf(code: string): ErrorCode {
  return isErrorCode(code) ? code : 'bad-answer'
}

function parseEnvelope(text: unknown): { kind?: unknown; message?: unknown; event?: unknown } | undefined {
  if (typeof text !== 'string') return undefined
  try {
    const raw: unknown = JSON.parse(text)
    return typeof raw === 'object' && raw !== null ? raw : undefined
  } catch {
    return undefined
  }
}
