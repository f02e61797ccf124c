import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CodedError } from '@harddrive-party/protocol'
import { type ControlClient, type DeviceKey, deviceKeyFromSeed, openControlClient, parsePairingFragment } from '@harddrive-party/protocol/control'
import type { WebSocket } from 'ws'
import { PAIRING_CODE_LIFETIME_MS } from '../../src/control/pairing-codes.ts'
import { type ControlWorld, PEER, openControlWorld } from '../support/control-world.ts'

let now: number
let world: ControlWorld
beforeEach(async () => {
  now = 1_800_000_000_000
  world = await openControlWorld({ now: () => now })
})
afterEach(() => world.close())

const newDevice = () => deviceKeyFromSeed(randomBytes(32))
function invitationOf(link: string) {
  const parsed = parsePairingFragment(link)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}
function pair(link: string, device: DeviceKey = newDevice(), deviceName = 'Firefox'): Promise<ControlClient> {
  return openControlClient({ socket: world.openSocket(), device, deviceName, origin: world.server.url, pairing: invitationOf(link) })
}

/** A socket that shows every frame, for playing a device by hand. */
function listen(socket: WebSocket) {
  const frames: string[] = []
  const waiting: ((text: string | undefined) => void)[] = []
  const closed = new Promise<number>((resolve) => {
    socket.on('close', (code) => {
      resolve(code)
      for (const take of waiting.splice(0)) take(undefined)
    })
  })
  socket.on('error', () => {})
  socket.on('message', (data: Buffer) => {
    const take = waiting.shift()
    if (take === undefined) frames.push(data.toString())
    else take(data.toString())
  })
  const next = (): Promise<string | undefined> => (frames.length > 0 ? Promise.resolve(frames.shift()) : new Promise((resolve) => waiting.push(resolve)))
  return { next, closed, json: async () => JSON.parse((await next()) ?? 'null') as Record<string, unknown> | null }
}

describe('pairing', () => {
  it('admits a device with a fresh link, and from then on without one', async () => {
    const device = newDevice()
    const first = await pair(world.server.pairUrl(), device, 'Firefox on Linux')
    expect(first.helper).toEqual({ peerId: world.peerId, name: 'Test Helper' })
    expect(await first.api.devices()).toEqual([{ deviceId: device.deviceId, name: 'Firefox on Linux', kind: 'browser', role: 'admin', pairedAt: now, lastUsedAt: now, current: true }])
    first.close()
    const second = await world.connect(device)
    expect((await second.api.snapshot()).peers.map((peer) => peer.peerId)).toEqual([PEER])
  })

  it('refuses a link that was used', async () => {
    const link = world.server.pairUrl()
    await pair(link)
    await expect(pair(link)).rejects.toMatchObject({ code: 'not-allowed' })
    expect(world.devices.list()).toHaveLength(1)
  })

  it('refuses a link that has expired', async () => {
    const link = world.server.pairUrl()
    now += PAIRING_CODE_LIFETIME_MS
    await expect(pair(link)).rejects.toMatchObject({ code: 'not-allowed' })
    expect(world.devices.list()).toEqual([])
  })

  it('gives one device the code that two race for', async () => {
    const link = world.server.pairUrl()
    const outcomes = await Promise.allSettled([pair(link), pair(link), pair(link)])
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(world.devices.list()).toHaveLength(1)
  })

  it('ends every open link after a few wrong codes, and makes guessers wait', async () => {
    const link = world.server.pairUrl()
    const { fingerprint } = invitationOf(link)
    const guess = () => pair(`#/pair/${randomBytes(16).toString('hex')}.${fingerprint}`).then(() => 'paired', (error: CodedError) => error.code)
    for (let tries = 0; tries < 5; tries++) expect(await guess()).toBe('not-allowed')
    expect(await guess()).toBe('busy')
    await expect(pair(link)).rejects.toMatchObject({ code: 'busy' })
    now += 60_000
    await expect(pair(link)).rejects.toMatchObject({ code: 'not-allowed' })
    now += 60_000
    await pair(world.server.pairUrl())
    expect(world.devices.list()).toHaveLength(1)
  })

  it('does not let guessers lock out a paired device', async () => {
    const device = await world.addDevice()
    for (let tries = 0; tries < 6; tries++) await pair(`#/pair/${'00'.repeat(16)}.${world.peerId.slice(0, 32)}`).catch(() => {})
    await expect(world.connect(device)).resolves.toBeDefined()
  })

  it('refuses a device that was never paired', async () => {
    await expect(world.connect(newDevice())).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('refuses a paired device whose proof is for another origin', async () => {
    const device = await world.addDevice()
    const opening = openControlClient({ socket: world.openSocket(), device, deviceName: 'x', origin: 'http://evil.example', helperKey: world.peerId })
    await expect(opening).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('refuses somebody who knows a device id but not its key', async () => {
    const { deviceId } = await world.addDevice()
    await expect(world.connect({ ...newDevice(), deviceId })).rejects.toMatchObject({ code: 'not-allowed' })
  })
})

describe('an unproven socket', () => {
  it('is not heard before its proof', async () => {
    const socket = world.openSocket()
    const { json, closed } = listen(socket)
    expect(await json()).toEqual({ kind: 'hello', version: 1, nonce: expect.stringMatching(/^[0-9a-f]{64}$/) as string, peerId: world.peerId })
    socket.send(JSON.stringify({ kind: 'rpc', message: { id: '1', type: 'APPLY', path: ['shutdown'], argumentList: [] } }))
    expect(await json()).toMatchObject({ kind: 'refused', code: 'bad-request' })
    expect(await closed).toBe(4401)
    expect(world.isStopped()).toBe(false)
  })

  it('cannot replay a proof that was good before', async () => {
    const device = await world.addDevice()
    const socket = world.openSocket()
    const spoken: string[] = []
    const send = socket.send.bind(socket) as (text: string) => void
    socket.send = (text: string) => {
      spoken.push(text)
      send(text)
    }
    await openControlClient({ socket, device, deviceName: 'x', origin: world.server.url, helperKey: world.peerId })
    socket.close()
    const replayed = world.openSocket()
    const { json, closed } = listen(replayed)
    await json()
    replayed.send(spoken[0] ?? '')
    expect(await json()).toMatchObject({ kind: 'refused', code: 'not-allowed' })
    expect(await closed).toBe(4401)
  })

  it('gets a new nonce each time', async () => {
    const nonces = await Promise.all(Array.from({ length: 5 }, async () => {
      const socket = world.openSocket()
      const hello = await listen(socket).json()
      socket.terminate()
      return hello?.['nonce']
    }))
    expect(new Set(nonces).size).toBe(5)
  })

  it('cannot be one of very many', async () => {
    const sockets = Array.from({ length: 40 }, () => world.openSocket())
    const outcomes = await Promise.all(sockets.map((socket) => new Promise<string>((resolve) => {
      socket.on('message', () => resolve('greeted'))
      socket.on('error', (error) => resolve(error.message))
    })))
    expect(outcomes.filter((outcome) => outcome === 'greeted')).toHaveLength(16)
    expect(outcomes.filter((outcome) => outcome.includes('503'))).toHaveLength(24)
    const gone = Promise.all(sockets.map((socket) => new Promise((resolve) => (socket.readyState === 3 ? resolve(null) : socket.on('close', resolve)))))
    for (const socket of sockets) socket.close()
    await gone
    await expect(world.connect(await world.addDevice())).resolves.toBeDefined()
  })
})

describe('a proven socket', () => {
  it('is cut off by a giant message', async () => {
    const device = await world.addDevice()
    const socket = world.openSocket()
    const { closed } = listen(socket)
    await openControlClient({ socket, device, deviceName: 'x', origin: world.server.url, helperKey: world.peerId })
    socket.send('x'.repeat(10_000_000))
    expect(await closed).toBe(1009)
  })

  it('is cut off by a call that Comlink alone would obey', async () => {
    const device = await world.addDevice()
    const socket = world.openSocket()
    const { closed } = listen(socket)
    await openControlClient({ socket, device, deviceName: 'x', origin: world.server.url, helperKey: world.peerId })
    socket.send(JSON.stringify({ kind: 'rpc', message: { id: '1', type: 'SET', path: ['__proto__', '__proto__', 'polluted'], value: { type: 'RAW', value: 1 } } }))
    expect(await closed).toBe(1008)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it('is cut off at once when its device is revoked, and the others are not', async () => {
    const [victim, other] = [await world.addDevice(), await world.addDevice()]
    const clients = [await world.connect(victim), await world.connect(victim)]
    const keeper = await world.connect(other)
    const closed = clients.map((client) => new Promise<CodedError>((resolve) => client.onClose(resolve)))
    await keeper.api.revokeDevice({ deviceId: victim.deviceId })
    for (const reason of await Promise.all(closed)) expect(reason).toMatchObject({ code: 'not-allowed' })
    await expect(world.connect(victim)).rejects.toMatchObject({ code: 'not-allowed' })
    expect(await keeper.api.devices()).toHaveLength(1)
  })

  it('has its pending calls rejected when the helper stops', async () => {
    const client = await world.connect(await world.addDevice())
    const closed = new Promise<CodedError>((resolve) => client.onClose(resolve))
    await world.server.close()
    expect(await closed).toMatchObject({ code: 'closed' })
    await expect(client.api.snapshot()).rejects.toMatchObject({ code: 'closed' })
  })
})
