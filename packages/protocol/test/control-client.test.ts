import { describe, expect, it } from 'vitest'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { CodedError, type PeerId, peerIdFromKey, publicKeyOf, sign } from '../src/index.ts'
import {
  type ControlClientOptions, type DeviceProof, type Transcript, decodeProof, deviceKeyFromSeed, deviceStatement, helperStatement, isSignedBy, openControlClient, pairingFingerprint, pairingTag,
  serveControl,
} from '../src/control/index.ts'
import { createFakeApi } from './control-fake-api.ts'
import { createSocketPair } from './control-socket-pair.ts'

const SEED = new Uint8Array(32).fill(7)
const HELPER = peerIdFromKey(publicKeyOf(SEED))
const DEVICE = deviceKeyFromSeed(new Uint8Array(32).fill(9))
const NONCE = '0d'.repeat(32)
const ORIGIN = 'http://127.0.0.1:3030'
const CODE = '5a'.repeat(16)

function begin(options: Partial<ControlClientOptions> = {}) {
  const { near, far } = createSocketPair()
  const opening = openControlClient({ socket: near, device: DEVICE, deviceName: 'Firefox', origin: ORIGIN, helperKey: HELPER, ...options })
  opening.catch(() => {})
  return { near, far, opening }
}

const hello = (peerId: PeerId = HELPER, more: object = {}) => JSON.stringify({ kind: 'hello', version: 1, nonce: NONCE, peerId, ...more })
const transcriptOf = (proof: DeviceProof): Transcript => ({ helperKey: HELPER, deviceId: proof.deviceId, helperNonce: NONCE, deviceNonce: proof.nonce, origin: ORIGIN, name: proof.name })
const readProof = (text: string): DeviceProof => {
  const proof = decodeProof(text)
  if (!proof.ok) throw new Error(proof.error.message)
  return proof.value
}

async function connected(options: Partial<ControlClientOptions> = {}) {
  const { near, far, opening } = begin(options)
  far.send(hello())
  const proof = readProof(await far.receive())
  const { api, calls } = createFakeApi({ ping: () => new Promise(() => {}), shutdown: () => Promise.reject(new CodedError('conflict', 'not now')) })
  far.send(JSON.stringify({ kind: 'welcome', name: 'Helper', signature: bytesToHex(sign(helperStatement(transcriptOf(proof), proof.pairing), SEED)) }))
  const served = serveControl({ socket: far, api, role: () => 'admin' })
  return { near, far, client: await opening, calls, served, proof }
}

describe('the control client', () => {
  it('proves the device over both nonces, both keys, the origin and its name', async () => {
    const { proof, client } = await connected()
    expect(proof).toMatchObject({ deviceId: DEVICE.deviceId, name: 'Firefox' })
    const transcript = transcriptOf(proof)
    expect(isSignedBy(DEVICE.deviceId, proof.signature, deviceStatement(transcript))).toBe(true)
    for (const other of [
      { helperKey: 'aa'.repeat(32) as PeerId }, { deviceId: 'aa'.repeat(32) }, { helperNonce: 'aa'.repeat(32) }, { deviceNonce: 'aa'.repeat(32) }, { origin: 'http://evil.example' }, { name: 'Firefoz' },
    ]) {
      expect(isSignedBy(DEVICE.deviceId, proof.signature, deviceStatement({ ...transcript, ...other }))).toBe(false)
    }
    expect(isSignedBy(DEVICE.deviceId, proof.signature, helperStatement(transcript))).toBe(false)
    expect(client.helper).toEqual({ peerId: HELPER, name: 'Helper' })
  })

  it('never sends the pairing code itself', async () => {
    const { near, proof } = await connected({ pairing: { code: CODE, fingerprint: pairingFingerprint(HELPER) } })
    expect(near.sent.join('')).not.toContain(CODE)
    expect(proof.pairing).toBe(pairingTag(CODE, transcriptOf(proof)))
    expect(isSignedBy(DEVICE.deviceId, proof.signature, deviceStatement(transcriptOf(proof), proof.pairing))).toBe(true)
    expect(isSignedBy(DEVICE.deviceId, proof.signature, deviceStatement(transcriptOf(proof)))).toBe(false)
  })

  it('tells nothing to a helper with another key than the pinned one, or than the link names', async () => {
    const other = 'aa'.repeat(32) as PeerId
    const pairing = { code: CODE, fingerprint: pairingFingerprint(HELPER) }
    for (const known of [{ helperKey: HELPER }, { pairing }, { helperKey: HELPER, pairing }]) {
      const { near, far } = createSocketPair()
      const opening = openControlClient({ socket: near, device: DEVICE, deviceName: 'Firefox', origin: ORIGIN, ...known })
      far.send(hello(other))
      await expect(opening).rejects.toMatchObject({ code: 'wrong-identity' })
      expect(near.sent).toEqual([])
      await far.whenClosed
    }
  })

  it('does not talk to a helper that cannot sign', async () => {
    for (const forge of [
      (proof: DeviceProof) => bytesToHex(sign(helperStatement(transcriptOf(proof)), new Uint8Array(32).fill(8))),
      (proof: DeviceProof) => proof.signature,
      (proof: DeviceProof) => bytesToHex(sign(helperStatement({ ...transcriptOf(proof), deviceNonce: NONCE }), SEED)),
    ]) {
      const { far, opening } = begin()
      far.send(hello())
      far.send(JSON.stringify({ kind: 'welcome', name: 'x', signature: forge(readProof(await far.receive())) }))
      await expect(opening).rejects.toMatchObject({ code: 'wrong-identity' })
    }
  })

  it.each([
    ['text that is not JSON', 'hello', 'bad-answer'],
    ['another server', '{"jsonrpc":"2.0"}', 'bad-answer'],
    ['another version', hello(HELPER, { version: 2 }), 'unsupported'],
    ['a short nonce', hello(HELPER, { nonce: '00' }), 'bad-answer'],
  ])('gives up on %s', async (_what, text, code) => {
    const { far, opening } = begin()
    far.send(text)
    await expect(opening).rejects.toMatchObject({ name: 'CodedError', code })
  })

  it('passes on why it was refused', async () => {
    const { far, opening } = begin()
    far.send(hello())
    await far.receive()
    far.send(JSON.stringify({ kind: 'refused', code: 'not-allowed', message: 'not paired' }))
    await expect(opening).rejects.toMatchObject({ code: 'not-allowed', message: 'not paired' })
  })

  it('needs a key to check the helper by', async () => {
    const { near, far } = createSocketPair()
    const opening = openControlClient({ socket: near, device: DEVICE, deviceName: 'x', origin: ORIGIN })
    far.send(hello())
    await expect(opening).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('can be cancelled while the helper is silent', async () => {
    const { near } = createSocketPair()
    const abort = new AbortController()
    const opening = openControlClient({ socket: near, device: DEVICE, deviceName: 'x', origin: ORIGIN, helperKey: HELPER }, { signal: abort.signal })
    abort.abort()
    await expect(opening).rejects.toMatchObject({ code: 'aborted' })
  })

  it('calls, and gets values and coded errors', async () => {
    const { client, calls } = await connected()
    expect(await client.api.cancel({ transferId: 'a' })).toBeUndefined()
    expect(calls).toEqual([['cancel', { transferId: 'a' }]])
    const error = await client.api.shutdown().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(CodedError)
    expect(error).toMatchObject({ code: 'conflict', message: 'not now' })
  })

  it('rejects what is pending, and every later call, when the connection ends', async () => {
    const { client, far } = await connected()
    const pending = [client.api.ping({ peerId: HELPER }), client.api.ping({ peerId: HELPER })]
    const reasons: CodedError[] = []
    client.onClose((reason) => reasons.push(reason))
    far.close(1001, 'the helper is stopping')
    for (const call of pending) await expect(call).rejects.toMatchObject({ name: 'CodedError', code: 'closed' })
    await expect(client.api.snapshot()).rejects.toMatchObject({ code: 'closed' })
    expect(reasons.map(({ code }) => code)).toEqual(['closed'])
    client.onClose((reason) => reasons.push(reason))
    expect(reasons).toHaveLength(2)
  })

  it('says not-allowed when this device was removed', async () => {
    const { client, far } = await connected()
    const closed = new Promise<CodedError>((resolve) => client.onClose(resolve))
    far.close(4401, 'this device was removed')
    expect(await closed).toMatchObject({ code: 'not-allowed', message: 'this device was removed' })
  })

  it('closes once, and its own close rejects pending calls too', async () => {
    const { client, far } = await connected()
    const pending = client.api.ping({ peerId: HELPER })
    client.close()
    client.close()
    await expect(pending).rejects.toMatchObject({ code: 'closed' })
    expect(await far.whenClosed).toMatchObject({ code: 1000 })
  })

  it('gives a call up after its time', async () => {
    const { client } = await connected({ callTimeoutMs: 1 })
    await expect(client.api.ping({ peerId: HELPER })).rejects.toMatchObject({ code: 'timed-out' })
  })

  it('hands events to its listeners and survives messages without sense', async () => {
    const { client, far, served } = await connected()
    const events: unknown[] = []
    const unsubscribe = client.onEvent((event) => events.push(event))
    for (const text of ['null', '{', '[]', '{"kind":"rpc"}', '{"kind":"rpc","message":{"id":"nobody","type":"HANDLER","name":"constructor"}}', '{"kind":"new"}']) far.send(text)
    served.sendEvent({ seq: 1, type: 'uploads', uploads: [] })
    await client.api.clearFinished()
    unsubscribe()
    served.sendEvent({ seq: 2, type: 'uploads', uploads: [] })
    await client.api.clearFinished()
    expect(events).toEqual([{ seq: 1, type: 'uploads', uploads: [] }])
  })
})

describe('the handshake', () => {
  it('has these bytes', () => {
    const transcript: Transcript = { helperKey: '01'.repeat(32) as PeerId, deviceId: '02'.repeat(32), helperNonce: '03'.repeat(32), deviceNonce: '04'.repeat(32), origin: ORIGIN, name: 'Ä' }
    expect(bytesToHex(deviceStatement(transcript, '05'.repeat(32)))).toBe([
      bytesToHex(new TextEncoder().encode('harddrive-party control 1 device\0')),
      '01'.repeat(32), '02'.repeat(32), '03'.repeat(32), '04'.repeat(32),
      '00000015', bytesToHex(new TextEncoder().encode(ORIGIN)), // the origin, counted
      '00000002c384', // the name
      `00000020${'05'.repeat(32)}`, // the pairing tag
    ].join(''))
    expect(hexToBytes(pairingTag(CODE, transcript))).toHaveLength(32)
  })
})
