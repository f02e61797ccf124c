/** One UI's WebSocket from its first byte: the mutual proof, then calls and events until the socket closes or the device is revoked. */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { CodedError, type ErrorCode, type PeerId } from '@harddrive-party/protocol'
import {
  CLOSE_GOING_AWAY, CLOSE_NOT_PAIRED, CLOSE_POLICY, CONTROL_VERSION, type ControlApi, type DeviceProof, type SocketLike, type Transcript,
  decodeProof, deviceStatement, helperStatement, isSignedBy, pairingTag, serveControl,
} from '@harddrive-party/protocol/control'
import type { ControlHub } from './control-events.ts'
import type { ControlSession } from './control-service.ts'
import type { PairingCodes } from './pairing-codes.ts'
import { eventFor } from './role-view.ts'
import type { Devices, StoredDevice } from './services.ts'

export interface ControlSocketOptions {
  readonly identity: ControlIdentity
  readonly devices: Devices
  readonly pairingCodes: PairingCodes
  readonly hub: ControlHub
  readonly service: (session: ControlSession) => ControlApi
  /** Under which name the device sees the helper. */
  readonly door: ControlSession['door']
  readonly log: (level: 'info' | 'warn', message: string, details?: object) => void
}

/** The helper's own identity. */
export interface ControlIdentity {
  readonly peerId: PeerId
  readonly name: string
  /** @returns an Ed25519 signature, 64 bytes */
  sign(bytes: Uint8Array): Uint8Array
}

/** A page proves itself at once; a script that only holds sockets open must not. */
export const PROOF_TIMEOUT_MS = 10_000

/**
 * @param socket just opened
 * @param origin that the device must have signed
 * @param onAdmitted called once the device has proved itself
 */
export function acceptControlSocket(options: ControlSocketOptions & { socket: SocketLike; origin: string; onAdmitted: () => void }): void {
  const { socket, origin, identity, log } = options
  const helperNonce = randomBytes(32).toString('hex')
  let heard = false
  const answer = async (data: unknown) => {
    const verdict = await judge(data, { ...options, helperNonce })
    if ('device' in verdict) return
    log('info', 'refused a control connection', { origin, reason: verdict.message })
    socket.send(JSON.stringify({ kind: 'refused', code: verdict.code, message: verdict.message }))
    socket.close(CLOSE_NOT_PAIRED, 'refused')
  }
  const deadline = setTimeout(() => socket.close(CLOSE_POLICY, 'no proof came in time'), PROOF_TIMEOUT_MS)
  socket.addEventListener('close', () => clearTimeout(deadline))
  socket.addEventListener('message', ({ data }) => {
    if (heard) return // calls, heard by serveControl
    heard = true
    clearTimeout(deadline)
    void answer(data)
  })
  socket.send(JSON.stringify({ kind: 'hello', version: CONTROL_VERSION, nonce: helperNonce, peerId: identity.peerId }))
}

type Verdict = { readonly device: StoredDevice } | { readonly code: ErrorCode; readonly message: string }

/** Everything up to the welcome happens in one turn, except remembering a new device: a revocation cannot fall in between unseen. */
async function judge(data: unknown, options: ControlSocketOptions & { socket: SocketLike; origin: string; helperNonce: string; onAdmitted: () => void }): Promise<Verdict> {
  const { socket, devices, identity, origin, helperNonce, pairingCodes } = options
  const decoded = decodeProof(data)
  if (!decoded.ok) return { code: 'bad-request', message: decoded.error.message }
  const proof = decoded.value
  const transcript: Transcript = { helperKey: identity.peerId, deviceId: proof.deviceId, helperNonce, deviceNonce: proof.nonce, origin, name: proof.name }
  const isKnown = devices.find(proof.deviceId) !== undefined
  if (!isKnown && proof.pairing === undefined) return { code: 'not-allowed', message: 'this device is not paired with this helper' }
  if (!isSignedBy(proof.deviceId, proof.signature, deviceStatement(transcript, proof.pairing))) return { code: 'not-allowed', message: 'the proof of this device is not valid' }
  if (!isKnown) {
    const refusal = await pair(proof, transcript, devices, pairingCodes)
    if (refusal !== undefined) return refusal
  }
  const device = devices.find(proof.deviceId)
  if (device === undefined) return { code: 'not-allowed', message: 'this device is not paired with this helper' }
  devices.touch(device.deviceId)
  const signature = Buffer.from(identity.sign(helperStatement(transcript, proof.pairing))).toString('hex')
  socket.send(JSON.stringify({ kind: 'welcome', name: identity.name, signature }))
  options.onAdmitted()
  serve(device, options)
  return { device }
}

async function pair(proof: DeviceProof, transcript: Transcript, devices: Devices, pairingCodes: PairingCodes): Promise<Verdict | undefined> {
  const tag = Buffer.from(proof.pairing ?? '', 'hex')
  const outcome = pairingCodes.redeem((code) => timingSafeEqual(Buffer.from(pairingTag(code, transcript), 'hex'), tag))
  if (outcome === 'limited') return { code: 'busy', message: 'too many wrong pairing codes; wait a minute and make a new link' }
  if (outcome === 'wrong') return { code: 'not-allowed', message: 'this pairing link was used already or has expired; make a new one' }
  try {
    await devices.add({ deviceId: proof.deviceId, name: proof.name, kind: 'browser', role: outcome.role })
    return undefined
  } catch (error) {
    return CodedError.toWire(error)
  }
}

function serve(device: StoredDevice, options: ControlSocketOptions & { socket: SocketLike }): void {
  const { socket, devices, hub, log } = options
  // A device that is gone has been cut off already.
  const role = () => devices.find(device.deviceId)?.role ?? 'view'
  const api = options.service({ deviceId: device.deviceId, door: options.door, role, restartEvents: () => feed.restart() })
  const served = serveControl({
    socket,
    api,
    role,
    onBadMessage: (why) => log('warn', 'a device broke the control protocol', { device: device.name, why }),
  })
  const feed = hub.openFeed({ bufferedAmount: served.bufferedAmount, sendEvent: (event) => served.sendEvent(eventFor(role(), event)) })
  const unsubscribe = devices.onRemoved((deviceId) => {
    if (deviceId === device.deviceId) {
      feed.close()
      served.close(CLOSE_NOT_PAIRED, 'this device was removed')
    }
  })
  // The app learns what it may do from its first snapshot: it comes back at once and gets a new one.
  const unsubscribeRole = devices.onRoleChanged((deviceId) => {
    if (deviceId === device.deviceId) {
      feed.close()
      served.close(CLOSE_GOING_AWAY, 'the role of this device has changed')
    }
  })
  socket.addEventListener('close', () => {
    feed.close()
    unsubscribe()
    unsubscribeRole()
  })
}
