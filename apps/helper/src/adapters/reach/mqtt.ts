/**
 * Carries topic announcements through one MQTT broker. The broker is a stranger: it sees random-looking names and sealed bytes, and what it sends is
 * bounded here and opened elsewhere. Nothing is retained there.
 */
import { randomBytes } from 'node:crypto'
import { TOPIC_ANNOUNCEMENT_BYTES } from '@harddrive-party/protocol'
import type { BrokerInfo } from '@harddrive-party/protocol/control'
import type { IClientOptions, MqttClient } from 'mqtt'
import { brokerRetryMs } from '../../core/reach/broker-retry.ts'
import type { TopicCarrier, TopicCarrierEvents } from './topic-carrier.ts'

export interface MqttCarrier extends TopicCarrier {
  readonly info: BrokerInfo
  /** The network may be another one: a connection that was made on the old one says nothing and hears nothing, and is made anew unless the broker answers. */
  check(): void
}

export interface MqttCarrierOptions extends TopicCarrierEvents {
  readonly url: string
  readonly log: (message: string, details?: object) => void
  /** Replaced in tests. */
  readonly connect?: (url: string, options: IClientOptions) => MqttClient | Promise<MqttClient>
  readonly retryMs?: (failures: number) => number
  readonly checkMs?: number
}

const CONNECT_TIMEOUT_MS = 15_000
/** Below what NATs and brokers cut off for silence. */
const KEEP_ALIVE_S = 45
/** For an answer when the network has changed: the keep-alive would find out after a minute. A broker that is slower than this costs one connection. */
const CHECK_MS = 2_000
/** What a broker may send us per second, and at once: hundreds of times what topics need. It is cut off beyond that, before packets are put together. */
const BYTES_PER_SECOND = 64 * 1024
const BURST_BYTES = 256 * 1024
/** A connection that held so long starts the count of failures anew. */
const STEADY_MS = 60_000
/** A name and password may be part of the address; they are nobody's business but the broker's. */
const CREDENTIALS = /\/\/[^/?#]*@/

/** Connects, and again whenever it has to; never rejects. */
export function openMqttCarrier(options: MqttCarrierOptions): MqttCarrier {
  const { url, log, onMessage, onOpen } = options
  const connect = options.connect ?? connectMqtt
  const retryMs = options.retryMs ?? ((failures: number) => brokerRetryMs(failures, Math.random()))
  const shownUrl = url.replace(CREDENTIALS, '//')
  let info: BrokerInfo = { url: shownUrl, state: 'connecting', problem: null }
  let names: ReadonlySet<string> = new Set()
  let client: MqttClient | undefined
  let isOpen = false
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  /** Ends the connection that is there. */
  let giveUp: ((why: string) => void) | undefined
  let checking: NodeJS.Timeout | undefined
  let closed = false

  async function open(): Promise<void> {
    let opened: MqttClient
    try {
      opened = await connect(url, {
        protocolVersion: 4,
        clientId: randomBytes(11).toString('hex'),
        clean: true,
        keepalive: KEEP_ALIVE_S,
        connectTimeout: CONNECT_TIMEOUT_MS,
        reconnectPeriod: 0,
        resubscribe: false,
        queueQoSZero: false,
      })
    } catch (error) {
      return fail(error instanceof Error ? error.message : String(error))
    }
    if (closed) return void opened.end(true)
    client = opened
    let connectedAt: number | undefined
    let problem = 'the connection was lost'
    let gone = false
    giveUp = (why) => {
      problem = why
      opened.end(true)
    }
    limitBytes(opened, () => giveUp?.('it sends more than anybody asked for'))
    opened.on('connect', () => {
      connectedAt = performance.now()
      info = { url: shownUrl, state: 'connected', problem: null }
      isOpen = true
      subscribe([...names], onOpen)
    })
    opened.on('message', (name, payload, packet) => {
      // What was kept for us was said to somebody else, some other time.
      if (packet.retain !== true && payload.length === TOPIC_ANNOUNCEMENT_BYTES && names.has(name)) onMessage(name, payload)
    })
    opened.on('error', (error) => {
      problem = error.message === '' ? problem : error.message
      opened.end(true)
    })
    opened.on('close', () => {
      if (gone) return
      gone = true
      if (client === opened) client = undefined
      isOpen = false
      stopChecking()
      opened.removeAllListeners()
      // A late error of a connection that we have given up is no news.
      opened.on('error', () => {})
      opened.end(true)
      if (connectedAt !== undefined && performance.now() - connectedAt >= STEADY_MS) failures = 0
      fail(problem)
    })
  }

  function fail(problem: string): void {
    if (closed) return
    failures++
    info = { url: shownUrl, state: 'failed', problem }
    const delayMs = retryMs(failures)
    log('a broker cannot be reached', { broker: shownUrl, problem, againInMs: Math.round(delayMs) })
    timer = setTimeout(begin, delayMs)
  }

  function begin(): void {
    if (info.state !== 'failed') info = { url: shownUrl, state: 'connecting', problem: null }
    void open()
  }

  function subscribe(added: readonly string[], done: () => void): void {
    const to = client
    if (to === undefined || !isOpen || added.length === 0) return
    to.subscribe([...added], { qos: 0 }, (error) => {
      if (client !== to || !isOpen) return
      if (error == null) done()
      else log('a broker does not let us listen', { broker: shownUrl, error: error.message })
    })
  }

  function stopChecking(): void {
    clearTimeout(checking)
    checking = undefined
  }

  /** Asks for what we have already, which is always answered. */
  function check(): void {
    const to = client
    if (to === undefined || !isOpen || checking !== undefined || names.size === 0) return
    checking = setTimeout(() => {
      checking = undefined
      giveUp?.('it does not answer any more')
    }, options.checkMs ?? CHECK_MS)
    to.subscribe([...names], { qos: 0 }, () => {
      if (client === to) stopChecking()
    })
  }

  begin()
  return {
    get info() {
      return info
    },
    check,
    setNames: (wanted) => {
      const added = wanted.filter((name) => !names.has(name))
      const removed = [...names].filter((name) => !wanted.includes(name))
      names = new Set(wanted)
      if (removed.length > 0 && isOpen) client?.unsubscribe(removed, () => {})
      subscribe(added, onOpen)
    },
    publish: (name, bytes) => {
      if (isOpen) client?.publish(name, Buffer.from(bytes), { qos: 0, retain: false }, () => {})
    },
    close: () => {
      if (closed) return
      closed = true
      clearTimeout(timer)
      stopChecking()
      const open = client
      client = undefined
      isOpen = false
      open?.removeAllListeners()
      open?.on('error', () => {})
      open?.end(true)
    },
  }
}

/** The library comes with a second of loading, which only those pay who join a topic. */
async function connectMqtt(url: string, options: IClientOptions): Promise<MqttClient> {
  const { default: mqtt } = await import('mqtt')
  return mqtt.connect(url, options)
}

/** The library keeps whatever a packet claims to be long, up to a quarter of a gigabyte: so the stream is watched beside it. */
function limitBytes(client: MqttClient, onTooMuch: () => void): void {
  let tokens = BURST_BYTES
  let filledAt = performance.now()
  client.stream.on('data', (chunk: Uint8Array) => {
    const now = performance.now()
    tokens = Math.min(BURST_BYTES, tokens + ((now - filledAt) * BYTES_PER_SECOND) / 1000) - chunk.length
    filledAt = now
    if (tokens < 0) onTooMuch()
  })
}
