/** Multicast DNS on the loopback interface only: helpers find one another there, and hostile packets do them no harm. */
import { randomBytes } from 'node:crypto'
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { peerIdFromKey } from '@harddrive-party/protocol'
import { afterEach, expect, it } from 'vitest'
import { type LanInterface, type Mdns, openMdns } from '../../src/adapters/reach/mdns.ts'
import type { LanSighting } from '../../src/core/reach/lan-records.ts'

const LOOPBACK: LanInterface = { zone: 'lo', family: 4, address: '127.0.0.1', subnets: [{ host: '127.0.0.1', prefix: 8 }], hosts: ['127.0.0.1'] }
const GROUP = '224.0.0.251'
/** What the hostile packets below are made of: a header that claims what it likes, names that point at themselves or nowhere. */
const HOSTILE = [
  Buffer.alloc(0), Buffer.from([0]), Buffer.alloc(11), Buffer.alloc(12, 0xff),
  Buffer.from('0000840000000001ffffffff', 'hex'),
  Buffer.from('000084000000000100000000c00c00100001000000780000', 'hex'),
  Buffer.from('000084000000000100000000c00cc00cc00c', 'hex'),
  Buffer.from('00008400000000010000000005', 'hex'),
  Buffer.from('0000840000000001000000000000100001000000780003ff6162', 'hex'),
  Buffer.from('0000840000000001000000000000210001000000780001ff', 'hex'),
  Buffer.from('000000000001000000000000045f686470045f756470056c6f63616c00000c8001', 'hex'),
]

const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

interface Helper {
  readonly mdns: Mdns
  readonly sighted: LanSighting[]
  readonly topics: { readonly name: string; readonly bytes: Uint8Array }[]
  readonly problems: string[]
  isUp(): boolean
  /** Resolves when it is true, looked at whenever something was heard. */
  until(isTrue: () => boolean): Promise<void>
}

function helperOf(number: number, port: number): Helper {
  const sighted: LanSighting[] = []
  const topics: { name: string; bytes: Uint8Array }[] = []
  const problems: string[] = []
  let links = 0
  const waiting = new Set<() => void>()
  const happened = (): void => {
    for (const look of waiting) look()
  }
  const mdns = openMdns({
    service: { peerId: peerIdFromKey(new Uint8Array(32).fill(number)), knockSecret: new Uint8Array(16).fill(number), label: 'Otter', port: 4000 + number },
    port,
    readInterfaces: () => [LOOPBACK],
    onSighting: (sighting) => {
      sighted.push(sighting)
      happened()
    },
    onTopic: (name, bytes) => {
      topics.push({ name, bytes })
      happened()
    },
    onLinkUp: () => {
      links++
      happened()
    },
    log: (message) => {
      problems.push(message)
      happened()
    },
  })
  opened.push(mdns)
  return {
    mdns, sighted, topics, problems,
    isUp: () => links > 0,
    until: (isTrue) => new Promise((resolve) => {
      const look = (): void => {
        if (!isTrue()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    }),
  }
}

/** A port that nothing on this machine uses for multicast DNS. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

async function hostileSocket(port: number): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.bind(port, '0.0.0.0')
  await once(socket, 'listening')
  socket.setMulticastInterface('127.0.0.1')
  opened.push(socket)
  return socket
}

const send = (socket: Socket, bytes: Uint8Array, port: number): Promise<void> => new Promise((resolve, reject) => {
  socket.send(bytes, port, GROUP, (error) => (error === null ? resolve() : reject(error)))
})

const isOf = (number: number) => ({ peerId }: LanSighting) => peerId === peerIdFromKey(new Uint8Array(32).fill(number))

it('finds others on the same machine, hears their topics and their goodbye', async () => {
  const port = await freePort()
  const [anna, ben] = [helperOf(1, port), helperOf(2, port)]
  await Promise.all([anna.until(() => anna.sighted.some(isOf(2))), ben.until(() => ben.sighted.some(isOf(1)))])
  expect(anna.sighted.find(isOf(2))).toMatchObject({ endpoints: [{ host: '127.0.0.1', port: 4002 }], knockSecret: new Uint8Array(16).fill(2), ttl: 120 })
  const bytes = Uint8Array.from(randomBytes(768))
  anna.mdns.publish('ab'.repeat(16), bytes)
  await ben.until(() => ben.topics.length > 0)
  expect(ben.topics[0]).toEqual({ name: 'ab'.repeat(16), bytes })
  await ben.mdns.close()
  await anna.until(() => anna.sighted.some((sighting) => isOf(2)(sighting) && sighting.ttl === 0))
  expect(anna.sighted.some(isOf(1))).toBe(false)
})

it('survives every packet, and goes on', async () => {
  const port = await freePort()
  const anna = helperOf(1, port)
  const hostile = await hostileSocket(port)
  await anna.until(anna.isUp)
  for (const packet of HOSTILE) await send(hostile, packet, port)
  for (let i = 0; i < 60; i++) await send(hostile, randomBytes(i * 20), port)
  await anna.until(() => anna.problems.includes('a multicast DNS packet made no sense'))
  const ben = helperOf(2, port)
  await anna.until(() => anna.sighted.some(isOf(2)))
  await ben.until(() => ben.sighted.some(isOf(1)))
})

it('looks at no more packets than so many, and none from elsewhere', async () => {
  const port = await freePort()
  const anna = helperOf(1, port)
  const hostile = await hostileSocket(port)
  const elsewhere = createSocket('udp4')
  elsewhere.bind(0, '127.0.0.1')
  await once(elsewhere, 'listening')
  elsewhere.setMulticastInterface('127.0.0.1')
  opened.push(elsewhere)
  await anna.until(anna.isUp)
  // From another port than that of multicast DNS: dropped unread.
  for (let i = 0; i < 50; i++) await send(elsewhere, Buffer.alloc(5), port)
  await send(hostile, Buffer.alloc(7), port)
  await anna.until(() => anna.problems.length > 0)
  expect(anna.problems).toHaveLength(1)
  for (let i = 0; i < 3_000; i++) await send(hostile, Buffer.alloc(5), port)
  await anna.until(() => anna.problems.length > 100)
  expect(anna.problems.length).toBeLessThan(2_000)
})
