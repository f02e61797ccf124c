/** The real MQTT library against a broker on loopback that comes, goes and means harm. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { TOPIC_ANNOUNCEMENT_BYTES } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { type MqttCarrier, openMqttCarrier } from '../../src/adapters/reach/mqtt.ts'
import { FIRST_BROKER_RETRY_MS, LONGEST_BROKER_RETRY_MS, brokerRetryMs } from '../../src/core/reach/broker-retry.ts'
import { type TestBroker, openTestBroker, packetOf } from '../support/mqtt-broker.ts'

const NAME = 'ab'.repeat(16)
const payload = (fill: number): Buffer => Buffer.alloc(TOPIC_ANNOUNCEMENT_BYTES, fill)

const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close()
})

async function brokerOf(port = 0): Promise<TestBroker> {
  const broker = await openTestBroker({ port })
  opened.push(broker)
  return broker
}

/** What a carrier has heard and logged, and a way to wait for it. */
function carrierOf(url: string, checkMs = 60_000): { carrier: MqttCarrier; messages: { name: string; bytes: Uint8Array }[]; problems: string[]; opens: () => number; next(): Promise<void> } {
  const messages: { name: string; bytes: Uint8Array }[] = []
  const problems: string[] = []
  const waiting = new Set<() => void>()
  let opens = 0
  const happened = (): void => {
    for (const resolve of waiting) resolve()
    waiting.clear()
  }
  const carrier = openMqttCarrier({
    url,
    retryMs: () => 10,
    checkMs,
    log: (_message, details) => {
      problems.push(JSON.stringify(details))
      happened()
    },
    onMessage: (name, bytes) => {
      messages.push({ name, bytes })
      happened()
    },
    onOpen: () => {
      opens++
      happened()
    },
  })
  opened.push(carrier)
  return { carrier, messages, problems, opens: () => opens, next: () => new Promise((resolve) => waiting.add(resolve)) }
}

async function until(next: () => Promise<void>, isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await next()
}

describe('a carrier over MQTT', () => {
  it('listens under its names, says when, and carries in both directions without keeping anything there', async () => {
    const broker = await brokerOf()
    const [anna, ben] = [carrierOf(broker.url), carrierOf(broker.url)]
    for (const { carrier } of [anna, ben]) carrier.setNames([NAME])
    await Promise.all([until(anna.next, () => anna.opens() === 1), until(ben.next, () => ben.opens() === 1)])
    expect(anna.carrier.info).toEqual({ url: broker.url, state: 'connected', problem: null })
    anna.carrier.publish(NAME, payload(7))
    await until(ben.next, () => ben.messages.length === 1)
    expect(ben.messages[0]).toEqual({ name: NAME, bytes: payload(7) })
    expect(broker.published).toEqual([{ name: NAME, payload: payload(7), retain: false }])
    expect(new Set(broker.clientIds).size).toBe(2)
    for (const id of broker.clientIds) expect(id).toMatch(/^[0-9a-f]{22}$/)
  })

  it('passes over what is not for it: other names, other sizes, and what was kept', async () => {
    const broker = await brokerOf()
    const { carrier, messages, next, opens } = carrierOf(broker.url)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    broker.send(NAME, payload(1), { retain: true })
    broker.send(NAME, payload(2).subarray(1))
    broker.send(NAME, Buffer.alloc(0))
    broker.sendRaw(packetOf(0x30, Buffer.concat([Buffer.from([0, 1, 0x78]), payload(3)])))
    broker.send(NAME, payload(4))
    await until(next, () => messages.length > 0)
    expect(messages.map(({ bytes }) => bytes[0])).toEqual([4])
  })

  it('changes its names while it is connected', async () => {
    const broker = await brokerOf()
    const { carrier, next, opens } = carrierOf(broker.url)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    carrier.setNames(['cd'.repeat(16)])
    await until(next, () => opens() === 2)
    expect(broker.names()).toEqual(['cd'.repeat(16)])
  })

  it('comes back when it was cut off, and listens again', async () => {
    const broker = await brokerOf()
    const { carrier, problems, next, opens } = carrierOf(broker.url)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    broker.drop()
    await until(next, () => opens() === 2)
    expect(problems).toHaveLength(1)
    expect(broker.clientIds).toHaveLength(2)
    expect(broker.clientIds[0]).not.toBe(broker.clientIds[1])
  })

  it('waits for a broker that is not there', async () => {
    const { port, close } = await openTestBroker()
    await close()
    const { carrier, problems, next, opens } = carrierOf(`mqtt://somebody:half@secret@127.0.0.1:${port}`)
    carrier.setNames([NAME])
    await until(next, () => problems.length >= 2)
    expect(carrier.info).toMatchObject({ url: `mqtt://127.0.0.1:${port}`, state: 'failed' })
    expect(problems.join()).not.toContain('secret')
    await brokerOf(port)
    await until(next, () => opens() === 1)
    expect(carrier.info.state).toBe('connected')
  })

  it('leaves a broker that sends too much, also when it is one packet that never ends', async () => {
    const broker = await brokerOf()
    const { carrier, problems, next, opens } = carrierOf(broker.url)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    // A quarter of a gigabyte is announced; the library would keep it all.
    broker.sendRaw(Buffer.concat([Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(400_000)]))
    await until(next, () => problems.length > 0)
    expect(problems[0]).toContain('more than anybody asked for')
  })

  it('survives a broker that does not speak MQTT', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(server)
    const { problems, next } = carrierOf(`mqtt://127.0.0.1:${(server.address() as { port: number }).port}`)
    await until(next, () => problems.length >= 2)
  })

  it('cannot be made to throw by an address that is none', async () => {
    const { carrier, problems, next } = carrierOf('gopher://127.0.0.1:1')
    await until(next, () => problems.length >= 1)
    expect(carrier.info.state).toBe('failed')
  })

  it('finds out at once when the network has changed that nobody hears it any more, and connects anew', async () => {
    const broker = await brokerOf()
    const { carrier, messages, problems, next, opens } = carrierOf(broker.url, 20)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    broker.deafen()
    carrier.check()
    carrier.check()
    await until(next, () => opens() === 2)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain('does not answer')
    carrier.publish(NAME, payload(5))
    await until(next, () => messages.length === 1)
  })

  it('keeps a connection that still answers', async () => {
    const broker = await brokerOf()
    const { carrier, messages, problems, next, opens } = carrierOf(broker.url)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    carrier.check()
    carrier.publish(NAME, payload(6))
    await until(next, () => messages.length === 1)
    expect([problems.length, opens(), broker.clientIds.length]).toEqual([0, 1, 1])
  })

  it('is silent once it is closed', async () => {
    const broker = await brokerOf()
    const { carrier, messages, next, opens } = carrierOf(broker.url)
    carrier.setNames([NAME])
    await until(next, () => opens() === 1)
    carrier.close()
    carrier.close()
    carrier.publish(NAME, payload(1))
    broker.send(NAME, payload(2))
    expect(broker.published).toEqual([])
    expect(messages).toEqual([])
  })
})

describe('waiting for a broker', () => {
  it('doubles up to a bound, and half of it is left to chance', () => {
    expect([1, 2, 3, 100].map((failures) => brokerRetryMs(failures, 1))).toEqual([FIRST_BROKER_RETRY_MS, 2 * FIRST_BROKER_RETRY_MS, 4 * FIRST_BROKER_RETRY_MS, LONGEST_BROKER_RETRY_MS])
    expect(brokerRetryMs(1, 0)).toBe(FIRST_BROKER_RETRY_MS / 2)
    expect(brokerRetryMs(5_000, 0)).toBe(LONGEST_BROKER_RETRY_MS / 2)
  })
})
