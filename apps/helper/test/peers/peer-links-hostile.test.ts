import { randomBytes } from 'node:crypto'
import { HANDSHAKE_TIMEOUT_MS, decodeAnswer, encodeAnswer, encodeRequest } from '@harddrive-party/protocol'
import type { HelloMessage, PeerAnswer } from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import type { CloseReason, PeerConnection, PeerStream } from '../../src/adapters/peers/transport.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'
import { ManualClock, PeerNode, rawDial } from '../support/peer-node.ts'

let network: MemoryNetwork
let nodes: PeerNode[]

function open(...args: ConstructorParameters<typeof PeerNode> extends [unknown, ...infer Rest] ? Rest : never): PeerNode {
  const node = new PeerNode(network, ...args)
  nodes.push(node)
  return node
}

beforeEach(() => {
  network = new MemoryNetwork()
  nodes = []
})
afterEach(async () => {
  for (const node of nodes) await node.close()
})

const hello: HelloMessage = {
  type: 'hello', versions: [1], capabilities: [], agent: 'evil/1', knockSecret: new Uint8Array(16), pathKey: new Uint8Array(16), addresses: [],
}

function ended(connection: PeerConnection): Promise<CloseReason> {
  return new Promise((resolve) => (connection.onClose = resolve))
}

async function send(connection: PeerConnection, body: Uint8Array): Promise<PeerStream> {
  const stream = connection.openStream()
  await new FrameStream(stream).writeFrame(body)
  return stream
}

/** Somebody whose code we have, who answers hello as it likes. */
function villain(answer: (frames: FrameStream, connection: PeerConnection) => Promise<void>): PeerNode['code'] & { closed: Promise<CloseReason> } {
  const far = new PeerNode(network, 77)
  nodes.push(far)
  let close: (reason: CloseReason) => void
  const closed = new Promise<CloseReason>((resolve) => (close = resolve))
  far.links.onConnection = (connection: PeerConnection) => {
    connection.onClose = (reason) => close(reason)
    connection.onStream = (stream) => {
      const frames = new FrameStream(stream)
      void frames.readFrame(4096).then(() => answer(frames, connection)).catch(() => {})
    }
  }
  return { ...far.code, closed }
}
const say = (frames: FrameStream, answer: PeerAnswer): Promise<void> => frames.writeFrame(encodeAnswer(answer))

describe('a hostile dialler', () => {
  it('that says nothing is sent away in time', async () => {
    const clock = new ManualClock()
    const ben = open(2, { clock })
    const end = ended(await rawDial(network, ben, 66))
    clock.advance(HANDSHAKE_TIMEOUT_MS - 1)
    expect(ben.links.statuses()).toEqual([])
    clock.advance(1)
    expect(await end).toEqual({ by: 'peer', code: 'protocol' })
  })

  it.each([
    ['garbage', randomBytes(100)],
    ['another request', encodeRequest({ type: 'ping' })],
    ['too much', new Uint8Array(5_000)],
    ['a secret of another length', encodeRequest({ ...hello, knockSecret: new Uint8Array(15) })],
    ['nothing', null],
  ])('that says %s instead of hello is sent away', async (_, body) => {
    const ben = open(2)
    const connection = await rawDial(network, ben, 66)
    const end = ended(connection)
    if (body) await send(connection, body)
    else connection.openStream().finish()
    expect(await end).toEqual({ by: 'peer', code: 'protocol' })
    expect([ben.links.statuses(), ben.served.length, ben.events.length]).toEqual([[], 0, 0])
  })

  it('that asks before it is let in is sent away unheard', async () => {
    const ben = open(2, { policy: { askBeforeAccepting: true } })
    const connection = await rawDial(network, ben, 66)
    const end = ended(connection)
    await send(connection, encodeRequest(hello))
    await ben.until(() => ben.links.statuses().some(({ state }) => state === 'asks'))
    await send(connection, encodeRequest({ type: 'ping' }))
    expect(await end).toEqual({ by: 'peer', code: 'protocol' })
    expect(ben.served).toHaveLength(0)
  })

  it('of another version is told so', async () => {
    const clock = new ManualClock()
    const ben = open(2, { clock })
    const connection = await rawDial(network, ben, 66)
    const end = ended(connection)
    const stream = await send(connection, encodeRequest({ ...hello, versions: [7, 9] }))
    const body = await new FrameStream(stream).readFrame(4_096)
    expect(body && decodeAnswer(body)).toMatchObject({ ok: true, value: { type: 'error', code: 'unsupported', message: expect.stringContaining('speaks 7, 9') } })
    clock.advance(1_000)
    expect(await end).toEqual({ by: 'peer', code: 'protocol' })
  })

  it('cannot name this machine or everybody as its address', async () => {
    const ben = open(2)
    const connection = await rawDial(network, ben, 66)
    await send(connection, encodeRequest({ ...hello, addresses: ['127.0.0.1:22', '[::1]:22', '224.0.0.1:9', '255.255.255.255:9', '0.0.0.0:1', '10.0.0.9:99', '10.0.0.9:99'] }))
    await ben.until(() => ben.policy.peers.length > 0)
    expect(ben.policy.peers[0]?.addresses).toEqual(['10.0.1.1:10066', '10.0.0.9:99'])
  })

  it('cannot fill the house: many strangers are bounded', async () => {
    const ben = open(2, { policy: { askBeforeAccepting: true } })
    const ends: CloseReason[] = []
    for (let i = 0; i < 60; i++) {
      const connection = await rawDial(network, ben, 100 + i)
      connection.onClose = (reason) => ends.push(reason)
      if (i < 20) await send(connection, encodeRequest(hello)).catch(() => {})
    }
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(ben.links.statuses().filter(({ state }) => state === 'asks')).toHaveLength(16)
    expect(ends.filter(({ code }) => code === 'refused')).toHaveLength(60 - 48)
  })
})

describe('a hostile listener', () => {
  it.each<[string, string, (frames: FrameStream) => Promise<void>]>([
    ['garbage', 'bad-answer', (frames) => frames.writeFrame(randomBytes(50))],
    ['another answer', 'bad-answer', (frames) => say(frames, { type: 'pong' })],
    ['nothing', 'bad-answer', async (frames) => frames.stream.finish()],
    ['an error that is not its to have', 'bad-answer', (frames) => say(frames, { type: 'error', code: 'disk-full', message: 'ha' })],
    ['no common version', 'unsupported', (frames) => say(frames, { ...hello, versions: [2] })],
    ['an error', 'busy', (frames) => say(frames, { type: 'error', code: 'busy', message: 'later' })],
  ])('that answers hello with %s fails the wish with %s', async (_, code, answer) => {
    const anna = open(1)
    const { closed, ...target } = villain(answer)
    await expect(anna.links.connect(target)).rejects.toMatchObject({ code })
    expect(await closed).toEqual({ by: 'peer', code: 'protocol' })
    expect(anna.links.statuses()).toEqual([])
  })

  it('that never answers hello is given up in time', async () => {
    const clock = new ManualClock()
    const anna = open(1, { clock })
    let heard: () => void
    const asked = new Promise<void>((resolve) => (heard = resolve))
    const { closed, ...target } = villain(async () => heard())
    const wish = anna.links.connect(target)
    await asked
    clock.advance(HANDSHAKE_TIMEOUT_MS)
    await expect(wish).rejects.toMatchObject({ code: 'timed-out' })
    expect(await closed).toEqual({ by: 'peer', code: 'protocol' })
  })

  it('that lets us wait is left alone for hours, but not when it repeats itself without end', async () => {
    const clock = new ManualClock()
    const anna = open(1, { clock })
    let go: () => void
    const wait = new Promise<void>((resolve) => (go = resolve))
    const { closed, ...target } = villain(async (frames) => {
      await say(frames, { type: 'wait', reason: 'approval' })
      await wait
      for (let i = 0; i < 3_000; i++) await say(frames, { type: 'wait', reason: 'approval' })
    })
    expect(await anna.links.connect(target)).toMatchObject({ state: 'waiting' })
    clock.advance(10 * 3_600_000)
    expect(anna.links.statuses()).toMatchObject([{ state: 'waiting' }])
    go!()
    expect(await closed).toEqual({ by: 'peer', code: 'protocol' })
  })

  it('that asks before it has let us in is heard after hello, and only some of it', async () => {
    const anna = open(1)
    const few = villain(async (frames, connection) => {
      for (let i = 0; i < 3; i++) await new FrameStream(connection.openStream()).writeFrame(encodeRequest({ type: 'ping' }))
      await say(frames, hello)
    })
    expect(await anna.links.connect(few)).toMatchObject({ state: 'connected' })
    await anna.until(() => anna.served.length === 3)
  })

  it('that opens stream after stream before hello is sent away', async () => {
    const anna = open(1)
    const { closed, ...target } = villain(async (_, connection) => {
      for (let i = 0; i < 30; i++) await new FrameStream(connection.openStream()).writeFrame(encodeRequest({ type: 'ping' }))
    })
    await expect(anna.links.connect(target)).rejects.toMatchObject({ code: 'bad-request' })
    expect(await closed).toEqual({ by: 'peer', code: 'protocol' })
    expect(anna.served).toHaveLength(0)
  })
})
