import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type PeerId, formatAnnounceCode, keyHashOf } from '@harddrive-party/protocol'
import { type ControlApi, type SocketLike, openControlMirror } from '@harddrive-party/protocol/control'
import { PROOF_TIMEOUT_MS, acceptControlSocket } from '../../src/control/control-socket.ts'
import { createPairingCodes } from '../../src/control/pairing-codes.ts'
import { type ControlWorld, FILE, PEER, openControlWorld } from '../support/control-world.ts'

const ASKER = 'd4'.repeat(32) as PeerId
const PATH = null

let world: ControlWorld
let api: ControlApi
beforeEach(async () => {
  world = await openControlWorld()
  const client = await world.connect(await world.addDevice())
  api = client.api
})
afterEach(async () => {
  vi.useRealTimers()
  await world.close()
  expect(world.errors).toEqual([])
})

/** The last that the network process was told of meeting. */
const told = () => JSON.parse(world.network.calls.findLast((call) => call.startsWith('reach '))?.slice(6) ?? 'null') as unknown
const policyOf = (peerId: PeerId) => world.network.policies.at(-1)?.peers.find((peer) => peer.peerId === peerId)
const codeOf = (peerId: PeerId) => formatAnnounceCode({ version: 1, name: '', keyHash: keyHashOf(peerId), knockSecret: new Uint8Array(16), addresses: [{ host: '192.168.1.9', port: 1 }], natKind: 'unknown' })

describe('what the network process says of meeting', () => {
  it('who is in a topic, until it dies', async () => {
    await api.joinTopic({ topic: 'book club' })
    expect((await api.snapshot()).topics).toEqual([{ topic: 'book club', members: [PEER] }])
    world.state.onNetworkDown()
    expect((await api.snapshot()).topics).toEqual([{ topic: 'book club', members: [] }])
    world.state.onNetworkEvent({ type: 'topics', topics: [{ topic: 'book club', members: [ASKER] }, { topic: 'left meanwhile', members: [PEER] }] })
    expect((await api.snapshot()).topics).toEqual([{ topic: 'book club', members: [ASKER] }])
  })

  it('how it can be reached, with names and advice', async () => {
    const report = await api.doctor()
    expect(report).toMatchObject({
      addresses: [{ address: '198.51.100.7:4433', family: 4, source: 'stun' }, { address: '192.168.1.20:4433', family: 4, source: 'interface' }],
      stun: [{ mapped: '198.51.100.7:4433' }, { mapped: null }], udp: { v4: 4433, v6: null }, advice: [],
    })
    const owner = report.peers.find(({ peerId }) => peerId === null)
    expect(owner).toMatchObject({ state: 'offline', attempts: [{ candidate: '203.0.113.9:4433', packets: 120 }] })
    expect(owner?.advice[0]?.code).toBe('maybe-offline')
  })
})

describe('what a UI decides reaches the network process', () => {
  it('whom to be connected to', async () => {
    await api.disconnect({ peerId: PEER })
    expect(policyOf(PEER)).toMatchObject({ wanted: false, blocked: false })
    await api.connect({ code: codeOf(PEER) })
    expect(policyOf(PEER)).toMatchObject({ wanted: true })
    await api.disconnect({ peerId: PEER })
    await api.reconnect({ peerId: PEER })
    expect(policyOf(PEER)).toMatchObject({ wanted: true })
    await api.forget({ peerId: PEER })
    expect(policyOf(PEER)).toBeUndefined()
  })

  it('how to meet', async () => {
    await api.joinTopic({ topic: 'Book  Club' })
    expect(told()).toMatchObject({ topics: ['book club'], mdns: true, portMapping: true, passMeOn: true, introductions: true })
    await api.updateSettings({ localDiscovery: false, portMapping: false, passMeOn: false, introductions: false, mqttBrokers: ['mqtt://broker.example'] })
    expect(told()).toEqual({ topics: ['book club'], mdns: false, portMapping: false, passMeOn: false, introductions: false, mqttBrokers: ['mqtt://broker.example'] })
    await api.leaveTopic({ topic: 'book club' })
    expect(told()).toMatchObject({ topics: [] })
    for (let i = 0; i < 32; i++) await api.joinTopic({ topic: `topic ${i}` })
    await expect(api.joinTopic({ topic: 'one more' })).rejects.toMatchObject({ code: 'too-large' })
    expect(told()).toMatchObject({ topics: expect.not.arrayContaining(['one more']) as unknown })
  })

  it('whom to ask on the local network, without remembering them', async () => {
    world.state.onNetworkEvent({ type: 'peer', peer: { peerId: ASKER, state: 'nearby', path: PATH, lastError: null } })
    expect((await api.snapshot()).peers.find(({ peerId }) => peerId === ASKER)).toMatchObject({ state: 'nearby' })
    await api.reconnect({ peerId: ASKER })
    expect(policyOf(ASKER)).toBeUndefined()
    world.state.onNetworkEvent({ type: 'peer', peer: { peerId: ASKER, state: 'offline', path: PATH, lastError: null } })
    expect((await api.snapshot()).peers.map(({ peerId }) => peerId)).toEqual([PEER])
  })

  it('whom to keep out, by code too', async () => {
    await api.block({ peerId: PEER })
    expect(policyOf(PEER)).toMatchObject({ blocked: true })
    await expect(api.connect({ code: codeOf(PEER) })).rejects.toMatchObject({ code: 'blocked' })
    await api.unblock({ peerId: PEER })
    expect(policyOf(PEER)).toMatchObject({ blocked: false })
  })

  it('the secret of a new code', async () => {
    const before = world.codes.secrets().codeSecret
    await api.renewCode()
    expect(world.network.policies.at(-1)?.codeSecret).toBe(world.codes.secrets().codeSecret)
    expect(world.network.policies.at(-1)?.codeSecret).not.toBe(before)
  })

  it('whether to ask, and the answer', async () => {
    await api.updateSettings({ askBeforeAccepting: true })
    expect(world.network.policies.at(-1)?.askBeforeAccepting).toBe(true)
    world.state.onNetworkEvent({ type: 'peer', peer: { peerId: ASKER, state: 'asks', path: PATH, lastError: null } })
    await api.answerPeer({ peerId: ASKER, accept: true })
    expect(world.network.calls).toContain(`answer ${ASKER} true`)
  })

  it('what is shared', async () => {
    const { shareId } = await api.addShare({ directory: world.shareDirectory, name: 'Mine' })
    expect(world.network.calls.at(-1)).toBe('shares Mine')
    await api.removeShare({ shareId })
    expect(world.network.calls.at(-1)).toBe('shares ')
  })

  it('where downloads go, and old ones stay open', async () => {
    const { transferId } = await api.download({ peerId: PEER, path: FILE })
    const device = await world.connect(await world.addDevice())
    const mirror = openControlMirror(device)
    await new Promise<void>((resolve) => {
      mirror.subscribe((state) => {
        if (state.transfers.some((transfer) => transfer.transferId === transferId && transfer.state === 'done')) resolve()
      })
    })
    const target = mirror.state?.transfers[0]?.target ?? ''
    expect((await readFile(target)).length).toBe(12)
    const directory = join(world.base, 'elsewhere', 'new')
    await api.updateSettings({ downloadDirectory: directory })
    expect(world.network.calls).toContain(`directory ${directory}`)
    await api.downloadedFileUrl({ transferId })
    expect(world.network.calls.at(-1)).toBe(`grant local ${target}`)
    await writeFile(join(world.base, 'a file'), '')
    await expect(api.updateSettings({ downloadDirectory: join(world.base, 'a file') })).rejects.toMatchObject({ code: 'bad-request' })
    await mkdir(join(world.base, 'elsewhere'), { recursive: true })
    expect((await api.snapshot()).settings.downloadDirectory).toBe(directory)
  })

  it('that it should stop', async () => {
    await api.shutdown()
    expect(world.isStopped()).toBe(true)
  })
})

describe('what the network process says reaches a UI', () => {
  it('as events', async () => {
    const client = await world.connect(await world.addDevice())
    const mirror = openControlMirror(client)
    await mirror.ready
    const done = new Promise<void>((resolve) => {
      mirror.subscribe(({ status, uploads, peers }) => {
        if (status.network === 'restarting' && uploads.length === 1 && peers.some((peer) => peer.peerId === ASKER && peer.state === 'asks')) resolve()
      })
    })
    world.state.onNetworkEvent({ type: 'peer', peer: { peerId: ASKER, state: 'asks', path: PATH, lastError: null } })
    world.state.onNetworkEvent({ type: 'uploads', uploads: [{ peerId: PEER, path: FILE, bytesPerSecond: 5, bytes: 10 }] })
    world.state.onNetworkDown()
    await done
    expect(mirror.state?.uploads[0]?.peerName).toBe(world.book.nameOf(PEER))
    // Added up from its listing.
    expect(mirror.state?.peers.find((peer) => peer.peerId === PEER)?.sharedBytes).toBe(2_000_015)
  })
})

describe('a socket that never proves itself', () => {
  it('is closed when its time is up, and not before', () => {
    vi.useFakeTimers()
    const closed: number[] = []
    const listeners: Record<string, (() => void)[]> = {}
    const socket = {
      readyState: 1, bufferedAmount: 0, send: () => {}, close: (code: number) => closed.push(code),
      addEventListener: (type: string, listener: () => void) => (listeners[type] ??= []).push(listener),
    } as unknown as SocketLike
    const options = { identity: world.identity, devices: world.devices, pairingCodes: createPairingCodes({ now: Date.now }), hub: world.hub, service: () => api, door: null, log: () => {} }
    acceptControlSocket({ ...options, socket, origin: world.server.url, onAdmitted: () => {} })
    vi.advanceTimersByTime(PROOF_TIMEOUT_MS - 1)
    expect(closed).toEqual([])
    vi.advanceTimersByTime(1)
    expect(closed).toEqual([1008])
    acceptControlSocket({ ...options, socket, origin: world.server.url, onAdmitted: () => {} })
    for (const listener of listeners['close'] ?? []) listener()
    expect(vi.getTimerCount()).toBe(0)
  })
})
