import { CodedError, parseTopic } from '@harddrive-party/protocol'
import type { Advice, ControlChange, DoctorPeer, DoctorReport, PeerInfo, ReachAttempt, Settings, StatusInfo, TopicInfo } from '@harddrive-party/protocol/control'

/** The mock's topics and its report of how people are reached. */
export interface MockReach {
  topics(): readonly TopicInfo[]
  join(text: string): { topic: string }
  leave(text: string): void
  report(): DoctorReport
}

export interface MockReachOptions {
  /** Whether the network here is one that makes it hard. */
  readonly strict: boolean
  readonly emit: (change: ControlChange) => void
  readonly status: () => StatusInfo
  readonly peers: () => readonly PeerInfo[]
  readonly settings: () => Settings
  readonly setTopics: (topics: readonly string[]) => void
}

const OPEN_A_PORT: Advice = { code: 'open-port', values: { ways: ['router', 'forward', 'ipv6'], port: 41641 } }

export function openMockReach(options: MockReachOptions): MockReach {
  const { strict, emit, status, peers, settings } = options
  const topics = (): TopicInfo[] =>
    settings().topics.map((topic) => ({ topic, members: topic === 'film club' ? peers().filter(({ state }) => state === 'connected').slice(0, 2).map(({ peerId }) => peerId) : [] }))
  const change = (next: readonly string[]) => {
    options.setTopics(next)
    emit({ type: 'settings', settings: settings() })
    emit({ type: 'topics', topics: topics() })
  }

  return {
    topics,
    join(text) {
      const topic = topicOf(text)
      if (!settings().topics.includes(topic)) change([...settings().topics, topic])
      return { topic }
    },
    leave(text) {
      const topic = topicOf(text)
      if (!settings().topics.includes(topic)) throw new CodedError('not-found', 'you are not in this topic')
      change(settings().topics.filter((other) => other !== topic))
    },
    report: () => ({
      addresses: [
        ...(strict ? [] : [{ address: '203.0.113.7:41641', family: 4, source: 'mapping' } as const]),
        { address: '203.0.113.7:41641', family: 4, source: 'stun' },
        ...(strict ? [] : [{ address: '[2001:db8:77:1::20]:41641', family: 6, source: 'interface' } as const]),
        { address: '192.168.1.20:41641', family: 4, source: 'interface' },
      ],
      nat: { v4: strict ? 'random' : 'consistent', v6: strict ? 'unknown' : 'open' },
      udp: status().udp,
      stun: [
        { server: 'stun.example:3478', family: 4, outcome: 'mapped', mapped: '203.0.113.7:41641' },
        { server: 'stun.elsewhere.example:3478', family: 4, outcome: strict ? 'no-answer' : 'mapped', mapped: strict ? null : '203.0.113.7:41641' },
      ],
      mapping: settings().portMapping
        ? { state: strict ? 'none' : 'mapped', protocol: strict ? null : 'upnp', outside: strict ? null : '203.0.113.7:41641', pinholes: [] }
        : null,
      discovery: {
        mdns: settings().localDiscovery,
        topics: topics(),
        brokers: settings().topics.length === 0 ? [] : settings().mqttBrokers.map((url, i) => ({ url, state: i === 0 ? 'connected' : 'failed', problem: i === 0 ? null : 'it does not answer' })),
      },
      peers: peers().map((peer) => reportPeer(peer, strict)),
      advice: strict ? [{ code: 'router-random', values: {} }, OPEN_A_PORT] : [],
    }),
  }
}

function topicOf(text: string): string {
  const parsed = parseTopic(text)
  if (!parsed.ok) throw new CodedError('bad-request', `topic: ${parsed.error.message}`)
  return parsed.value
}

function reportPeer({ peerId, name, state, path }: PeerInfo, strict: boolean): DoctorPeer {
  const at = Date.now() - 42_000
  const attempt = (candidate: string, method: ReachAttempt['method'], outcome: ReachAttempt['outcome'], more: Partial<ReachAttempt> = {}): ReachAttempt => ({
    at, candidate, source: 'peer', method, outcome, message: '', ms: 5000, packets: 9, ...more,
  })
  if (state === 'connected' && path !== null) {
    return { peerId, name, state, path, attempts: [attempt(path.address, path.kind, 'connected', { ms: 64, packets: 3 }), attempt('198.51.100.9:50112', 'direct', 'given-up', { ms: 64 })], advice: [] }
  }
  if (state === 'offline' || state === 'dialling') {
    return {
      peerId, name, state, path: null,
      attempts: [
        attempt('198.51.100.61:41641', 'punched', state === 'dialling' ? 'running' : 'timed-out', { message: 'no answer', packets: 118, ms: 6200, ...(strict ? { detail: { code: 'routers-random', values: { whose: 'both' } } as const } : {}) }),
        attempt('[2001:db8:9::61]:41641', 'ipv6', 'unreachable', { message: 'this network has no IPv6', ms: 1, packets: 0 }),
        attempt('192.168.7.61:41641', 'lan', 'timed-out', { message: 'no answer' }),
      ],
      advice: [
        { code: 'maybe-offline', values: {} },
        ...(strict ? [{ code: 'router-hard', values: {} } as const, OPEN_A_PORT] : []),
      ],
    }
  }
  const advice = {
    asks: 'they-ask', blocked: 'you-blocked', nearby: 'they-are-near', away: 'you-left', waiting: 'they-decide',
  } as const
  return { peerId, name, state, path: null, attempts: [], advice: state === 'connected' ? [] : [{ code: advice[state], values: {} }] }
}
