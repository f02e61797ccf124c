/** As much of an MQTT 3.1.1 broker as topics need, on loopback: for tests that want a broker to be there, to be gone, or to mean harm. */
import { once } from 'node:events'
import { type AddressInfo, type Socket, createServer } from 'node:net'

export interface TestBroker {
  readonly url: string
  readonly port: number
  /** What was published, in order. */
  readonly published: readonly { readonly name: string; readonly payload: Buffer; readonly retain: boolean }[]
  readonly clientIds: readonly string[]
  /** Names that somebody listens under now. */
  names(): string[]
  /** Resolves once somebody listens under a name for which this holds. */
  subscribed(isWanted?: (name: string) => boolean): Promise<string>
  /** To all who listen under this name. */
  send(name: string, payload: Uint8Array, options?: { retain?: boolean }): void
  /** Sends bytes as they are to everybody. */
  sendRaw(bytes: Uint8Array): void
  /** Cuts everybody off; who comes again is welcome. */
  drop(): void
  /** Who is connected now is neither heard nor told anything any more, as when its network has become another one; who comes again is. */
  deafen(): void
  close(): Promise<void>
}

const CONNECT = 1
const PUBLISH = 3
const SUBSCRIBE = 8
const UNSUBSCRIBE = 10
const PINGREQ = 12

/** @param options.port 0 = any */
export async function openTestBroker({ port = 0 }: { port?: number } = {}): Promise<TestBroker> {
  const sockets = new Map<Socket, Set<string>>()
  const published: { name: string; payload: Buffer; retain: boolean }[] = []
  const clientIds: string[] = []
  const deaf = new WeakSet<Socket>()
  const waiting = new Set<{ isWanted: (name: string) => boolean; resolve: (name: string) => void }>()

  function send(name: string, payload: Uint8Array, { retain = false }: { retain?: boolean } = {}): void {
    const packet = packetOf((PUBLISH << 4) | (retain ? 1 : 0), Buffer.concat([textOf(name), payload]))
    for (const [socket, names] of sockets) if (names.has(name)) socket.write(packet)
  }

  function take(socket: Socket, type: number, flags: number, body: Buffer): void {
    const names = sockets.get(socket)
    if (names === undefined) return
    if (type === CONNECT) {
      clientIds.push(textAt(body, 10))
      socket.write(packetOf(0x20, Buffer.from([0, 0])))
    } else if (type === PUBLISH) {
      const name = textAt(body, 0)
      const payload = body.subarray(2 + Buffer.byteLength(name))
      published.push({ name, payload, retain: (flags & 1) !== 0 })
      send(name, payload)
    } else if (type === SUBSCRIBE || type === UNSUBSCRIBE) {
      const given: number[] = []
      for (let at = 2; at < body.length; ) {
        const name = textAt(body, at)
        at += 2 + Buffer.byteLength(name) + (type === SUBSCRIBE ? 1 : 0)
        given.push(0)
        if (type === SUBSCRIBE) names.add(name)
        else names.delete(name)
      }
      socket.write(packetOf(type === SUBSCRIBE ? 0x90 : 0xb0, Buffer.concat([body.subarray(0, 2), Buffer.from(type === SUBSCRIBE ? given : [])])))
      for (const waiter of waiting) {
        const found = [...names].find(waiter.isWanted)
        if (found === undefined) continue
        waiting.delete(waiter)
        waiter.resolve(found)
      }
    } else if (type === PINGREQ) socket.write(packetOf(0xd0, Buffer.alloc(0)))
  }

  const server = createServer((socket) => {
    sockets.set(socket, new Set())
    let buffered: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      if (deaf.has(socket)) return
      buffered = Buffer.concat([buffered, chunk])
      for (let packet = firstPacket(buffered); packet !== undefined; packet = firstPacket(buffered)) {
        buffered = buffered.subarray(packet.end)
        take(socket, packet.first >> 4, packet.first & 0x0f, packet.body)
      }
    })
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  const drop = (): void => {
    for (const socket of sockets.keys()) socket.destroy()
  }
  const names = (): string[] => [...sockets.values()].flatMap((listened) => [...listened])
  return {
    url: `mqtt://127.0.0.1:${address.port}`,
    port: address.port,
    published,
    clientIds,
    names,
    subscribed: (isWanted = () => true) => {
      const found = names().find(isWanted)
      return found === undefined ? new Promise((resolve) => waiting.add({ isWanted, resolve })) : Promise.resolve(found)
    },
    send,
    sendRaw: (bytes) => {
      for (const socket of sockets.keys()) socket.write(bytes)
    },
    drop,
    deafen: () => {
      for (const socket of sockets.keys()) {
        deaf.add(socket)
        sockets.set(socket, new Set())
      }
    },
    close: async () => {
      drop()
      server.close()
      await once(server, 'close')
    },
  }
}

function firstPacket(bytes: Buffer): { first: number; body: Buffer; end: number } | undefined {
  let length = 0
  for (let i = 1; i <= 4; i++) {
    const byte = bytes[i]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) * 128 ** (i - 1)
    if (byte >= 0x80) continue
    const end = 1 + i + length
    return end > bytes.length ? undefined : { first: bytes[0] ?? 0, body: bytes.subarray(1 + i, end), end }
  }
  throw new Error('not MQTT')
}

export function packetOf(first: number, body: Uint8Array): Buffer {
  const length: number[] = []
  let left = body.length
  do {
    length.push((left % 128) | (left >= 128 ? 0x80 : 0))
    left = Math.floor(left / 128)
  } while (left > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

function textOf(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function textAt(body: Buffer, at: number): string {
  return body.subarray(at + 2, at + 2 + body.readUInt16BE(at)).toString()
}
