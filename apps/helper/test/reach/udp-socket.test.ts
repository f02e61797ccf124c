import { createSocket, Socket } from 'node:dgram'
import type { RemoteInfo } from 'node:dgram'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { meansNoCutting } from '../../src/adapters/reach/udp-offload.ts'
import { familyOf, MAX_EXTRA_SOCKETS, MAX_QUEUED_PACKETS, openUdpSockets, type UdpOptions, type UdpSockets } from '../../src/adapters/reach/udp-socket.ts'

describe('UDP sockets', () => {
  const opened: UdpSockets[] = []

  async function open(options: Partial<UdpOptions> = {}): Promise<UdpSockets> {
    const sockets = await openUdpSockets({ port: 0, loopbackOnly: true, segmentBytes: 1350, onDatagram: () => {}, ...options })
    opened.push(sockets)
    return sockets
  }

  afterEach(async () => {
    vi.restoreAllMocks()
    await Promise.all(opened.splice(0).map((sockets) => sockets.close()))
  })

  it('carry datagrams in both families, from the port that they are bound to', async () => {
    const arrivals: { bytes: Buffer; from: RemoteInfo }[] = []
    let notify: (() => void) | null = null
    const to = await open({
      onDatagram: (bytes, from) => {
        arrivals.push({ bytes, from })
        notify?.()
      },
    })
    const from = await open()
    for (const [family, host] of [['v4', '127.0.0.1'], ['v6', '::1']] as const) {
      const port = to.ports[family]
      if (port === null) continue
      const arrived = new Promise<void>((resolve) => {
        notify = resolve
      })
      expect(from.send(Buffer.from(family), { host, port })).toBe(true)
      await arrived
      const { bytes, from: sender } = arrivals.pop()!
      expect(String(bytes)).toBe(family)
      expect(sender).toMatchObject({ address: host, port: from.ports[family] })
    }
    expect(to.ports.v4).not.toBeNull()
  })

  it('use one port for both families, the wanted one if it is free', async () => {
    const first = await open()
    if (first.ports.v6 !== null) expect(first.ports.v6).toBe(first.ports.v4)
    const wanted = first.ports.v4!
    const second = await open({ port: wanted })
    expect(second.ports.v4).not.toBe(wanted)
    await first.close()
    const third = await open({ port: wanted })
    expect(third.ports.v4).toBe(wanted)
  })

  it('are opened even if the wanted port is free in one family only', async () => {
    const taken = createSocket({ type: 'udp6', ipv6Only: true })
    const port = await new Promise<number | null>((resolve) => {
      taken.once('error', () => resolve(null))
      taken.bind({ address: '::1', port: 0 }, () => resolve(taken.address().port))
    })
    const sockets = await open({ port: port ?? 0 })
    if (port !== null) {
      expect(sockets.ports.v4).toBe(port)
      expect(sockets.ports.v6).not.toBe(port)
      expect(sockets.ports.v6).not.toBeNull()
      await new Promise<void>((resolve) => taken.close(resolve))
    }
    expect(sockets.ports.v4).not.toBeNull()
  })

  it('report what the system refuses, and go on', async () => {
    let refused: ((code: string) => void) | null = null
    const sockets = await open({ onSendError: (_to, code) => refused?.(code) })
    for (const [bytes, to] of [
      [new Uint8Array(70_000), { host: '127.0.0.1', port: 9 }],
      [new Uint8Array(1), { host: '127.0.0.1', port: 70_000 }],
    ] as const) {
      const code = new Promise<string>((resolve) => {
        refused = resolve
      })
      expect(sockets.send(bytes, to)).toBe(true)
      expect(await code).toMatch(/^E/)
    }
    expect(sockets.queued).toBe(0)
  })

  it('take no more than they can queue, and say when there is room again', async () => {
    const sockets = await open()
    const drained = new Promise<void>((resolve) => {
      sockets.onDrain = resolve
    })
    const to = { host: '127.0.0.1', port: sockets.ports.v4! }
    let sent = 0
    while (sockets.send(new Uint8Array(1), to)) sent++
    expect(sent).toBe(MAX_QUEUED_PACKETS)
    await drained
    expect(sockets.send(new Uint8Array(1), to)).toBe(true)
  })

  it('are closed once, and then send nothing', async () => {
    const sockets = await open()
    await Promise.all([sockets.close(), sockets.close()])
    expect(sockets.send(new Uint8Array(1), { host: '127.0.0.1', port: 9 })).toBe(false)
  })

  it('know a family by its address', () => {
    expect([familyOf('192.0.2.1'), familyOf('2001:db8::1'), familyOf('fe80::1%eth0')]).toEqual(['v4', 'v6', 'v6'])
  })

  it('open extra ones, which send and receive under their own number and port', async () => {
    const heard = new Promise<{ bytes: string; from: number; socket: number }>((resolve) => {
      void open({ onDatagram: (bytes, from, socket) => resolve({ bytes: String(bytes), from: from.port, socket }) }).then(async (to) => {
        const [inward] = await to.openExtra('v4', 1)
        const from = await open({ onDatagram: (_, { port }) => from.send(Buffer.from('back'), { host: '127.0.0.1', port }, { socket: outward }) })
        const [outward] = await from.openExtra('v4', 1)
        to.send(Buffer.from('there'), { host: '127.0.0.1', port: from.ports.v4! }, { socket: inward })
      })
    })
    const { bytes, from, socket } = await heard
    expect(bytes).toBe('back')
    expect(opened.map(({ ports }) => ports.v4)).not.toContain(from)
    expect(socket).toBeGreaterThan(0)
  })

  it('are bounded in number, and closed for good', async () => {
    const sockets = await open()
    const ids = await sockets.openExtra('v4', 3)
    expect(new Set(ids).size).toBe(3)
    await expect(sockets.openExtra('v4', MAX_EXTRA_SOCKETS - 2)).rejects.toMatchObject({ code: 'busy' })
    expect(ids.map((id) => [sockets.has(id, 'v4'), sockets.has(id, 'v6')])).toEqual([[true, false], [true, false], [true, false]])
    sockets.closeExtra([...ids, 9_999])
    expect(sockets.extra).toBe(0)
    expect(sockets.send(new Uint8Array(1), { host: '127.0.0.1', port: 9 }, { socket: ids[0] })).toBe(false)
    const [next] = await sockets.openExtra('v4', 1)
    expect(ids).not.toContain(next)
  })

  it('give one datagram few hops, and the next ones the usual number again', async () => {
    const sockets = await open()
    const deeds: string[] = []
    const setTTL = Socket.prototype.setTTL
    vi.spyOn(Socket.prototype, 'setTTL').mockImplementation(function (this: Socket, ttl) {
      deeds.push(`ttl ${ttl}`)
      return setTTL.call(this, ttl)
    })
    const send = Socket.prototype.send
    vi.spyOn(Socket.prototype, 'send').mockImplementation(function (this: Socket, ...args: unknown[]) {
      deeds.push(`send ${(args[0] as Uint8Array).length}`)
      return (send as (...args: unknown[]) => void).apply(this, args)
    })
    const to = { host: '127.0.0.1', port: sockets.ports.v4! }
    sockets.send(new Uint8Array(1), to, { ttl: 3 })
    sockets.send(new Uint8Array(2), to)
    // Refused by the system, at once.
    sockets.send(new Uint8Array(3), { host: '127.0.0.1', port: 70_000 }, { ttl: 3 })
    expect(deeds).toEqual(['ttl 3', 'send 1', 'ttl 64', 'send 2', 'ttl 3', 'send 3', 'ttl 64'])
  })

  it('rather lose a datagram than let others have its few hops', async () => {
    const sockets = await open()
    vi.spyOn(Socket.prototype, 'getSendQueueCount').mockReturnValue(1)
    const send = vi.spyOn(Socket.prototype, 'send')
    const setTTL = vi.spyOn(Socket.prototype, 'setTTL')
    expect(sockets.send(new Uint8Array(1), { host: '127.0.0.1', port: 9 }, { ttl: 3 })).toBe(true)
    expect([send, setTTL].map(({ mock }) => mock.calls.length)).toEqual([0, 0])
    expect(sockets.queued).toBe(0)
  })
})

describe('several datagrams at once', () => {
  it('are given up for good where they cannot be cut, not when a network is away for a while', () => {
    expect(['EIO', 'EINVAL', 'EMSGSIZE', 'EOPNOTSUPP'].filter(meansNoCutting)).toHaveLength(4)
    expect(['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'ENOBUFS', 'EPERM', 'unknown'].filter(meansNoCutting)).toEqual([])
  })

  it('arrive as what they are, whether or not the system cuts and joins', async () => {
    const arrived: Buffer[] = []
    let done: (() => void) | undefined
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const receiver = await openUdpSockets({
      port: 0, loopbackOnly: true, segmentBytes: 1350,
      onDatagram: (bytes) => {
        arrived.push(Buffer.from(bytes))
        if (Buffer.concat(arrived).length === 5 * 1350 + 100) done?.()
      },
    })
    const sender = await openUdpSockets({ port: 0, loopbackOnly: true, segmentBytes: 1350, onDatagram: () => {} })
    try {
      const bytes = Buffer.alloc(5 * 1350 + 100, 'abcdefghijklmnopqrstuvwxyz')
      const to = { host: '127.0.0.1', port: receiver.ports.v4 ?? 0 }
      const most = sender.most(0, 'v4')
      if (most === 1) for (let at = 0; at < bytes.length; at += 1350) sender.send(bytes.subarray(at, at + 1350), to)
      else sender.send(bytes, to, { packets: 6 })
      await all
      expect(Buffer.concat(arrived)).toEqual(bytes)
      expect(most).toBeGreaterThanOrEqual(1)
    } finally {
      await Promise.all([sender.close(), receiver.close()])
    }
  })
})
