/**
 * Ties together the ways in which helpers find one another without a code: the local network and topics. What follows from who is found is decided in
 * core/reach/lan-neighbours.ts and core/reach/topic-meeting.ts, and by the session layer.
 */
import { type PeerId, type SignedPeerRecord, keyHashOf } from '@harddrive-party/protocol'
import type { BrokerInfo, DiscoveryReport, PeerState, TopicInfo } from '@harddrive-party/protocol/control'
import { peerName } from '@harddrive-party/protocol/peer-name'
import { LanNeighbours, type NeighboursEffect, type NeighboursInput } from '../../core/reach/lan-neighbours.ts'
import type { ConnectTarget, NetworkEvent, Policy, ReachSettings } from '../../network/network-api.ts'
import { type Driven, drive } from '../system/drive.ts'
import { ed25519Signer, verifyEd25519 } from '../identity/ed25519.ts'
import { type LanInterface, type Mdns, openMdns } from '../reach/mdns.ts'
import { type MqttCarrier, openMqttCarrier } from '../reach/mqtt.ts'
import type { TopicCarrierEvents } from '../reach/topic-carrier.ts'
import { type Topics, openTopics } from '../reach/topics.ts'

export interface MeetingOptions {
  readonly self: PeerId
  /** 32 bytes, our Ed25519 private key. */
  readonly seed: Uint8Array
  /** Where QUIC listens; null = nowhere that others on the network could reach. */
  readonly port: number | null
  /** 16 bytes: what anybody on the local network is told. */
  readonly lanSecret: Uint8Array
  readonly settings: MeetingSettings
  readonly policy: Policy
  /** How we can be reached now. */
  readonly ownRecord: () => SignedPeerRecord | undefined
  /** Somebody whom we know is on this network. */
  readonly connect: (target: ConnectTarget) => Promise<unknown>
  /** A member of a topic said where it is. */
  readonly learn: (signed: SignedPeerRecord, live: boolean) => void
  readonly isConnected: (peerId: PeerId) => boolean
  /** A connection was cut off: our own addresses may be others now. */
  readonly onLost: () => void
  readonly emit: (event: NetworkEvent) => void
  readonly log: (message: string, details?: object) => void
  readonly readInterfaces?: () => readonly LanInterface[]
}

export type MeetingSettings = Pick<ReachSettings, 'mdns' | 'topics' | 'mqttBrokers'>

export interface Meeting {
  set(settings: MeetingSettings): void
  setPolicy(policy: Policy): void
  /** Everything that the session layer says of peers. */
  heard(event: NetworkEvent): void
  /** How to connect to somebody unknown who is nearby. */
  neighbour(peerId: PeerId): ConnectTarget | undefined
  /** We can be reached in another way, or the network around us has changed. */
  changed(): void
  report(): DiscoveryReport
  /** Says goodbye on the local network. Idempotent. */
  close(): Promise<void>
}

/** Connections that are cut off within this time are so for one reason. */
const LOST_TOGETHER_MS = 2_000

export function openMeeting(options: MeetingOptions): Meeting {
  const { self, emit, log } = options
  const neighbours = new LanNeighbours(self)
  const driven: Driven<NeighboursInput> = drive(neighbours, performNeighbours)
  const topics: Topics = openTopics({
    self, ownRecord: options.ownRecord, sign: ed25519Signer(options.seed), verify: verifyEd25519, log,
    onMet: (signed, live) => {
      options.learn(signed, live)
      tellTopics()
    },
  })
  const brokers = new Map<string, { readonly carrier: MqttCarrier; remove(): void }>()
  let settings: MeetingSettings = { mdns: false, topics: [], mqttBrokers: [] }
  let lan: { readonly mdns: Mdns; remove(): void } | undefined
  let told = JSON.stringify([])
  const connected = new Set<PeerId>()
  let lostAt = -Infinity
  let closing: Promise<void> | undefined

  function performNeighbours(effect: NeighboursEffect): void {
    if (effect.type === 'nearby') {
      const state: PeerState = effect.isNearby ? 'nearby' : 'offline'
      return emit({ type: 'peer', peer: { peerId: effect.peerId, state, path: null, lastError: null } })
    }
    const { peerId } = effect.neighbour
    options.connect(targetOf(effect.neighbour)).catch((error: unknown) => log('somebody known is nearby and cannot be reached', { peerId, error: String(error) }))
  }

  function openLan(): typeof lan {
    if (options.port === null) return undefined
    const service = { peerId: self, knockSecret: options.lanSecret, label: peerName(self), port: options.port }
    let events: TopicCarrierEvents | undefined
    let names = new Set<string>()
    const mdns = openMdns({
      service, log,
      onSighting: (sighting) => driven.input({ type: 'sighted', sighting }),
      onTopic: (name, bytes) => {
        if (names.has(name)) events?.onMessage(name, bytes)
      },
      onLinkUp: () => events?.onOpen(),
      ...(options.readInterfaces === undefined ? {} : { readInterfaces: options.readInterfaces }),
    })
    const { remove } = topics.add((given) => {
      events = given
      return { setNames: (wanted) => void (names = new Set(wanted)), publish: mdns.publish, close: () => void (events = undefined) }
    })
    return { mdns, remove }
  }

  function openBroker(url: string): { carrier: MqttCarrier; remove(): void } {
    const opened: { carrier?: MqttCarrier } = {}
    const { remove } = topics.add((events) => (opened.carrier = openMqttCarrier({ url, log, ...events })))
    // `add` has called us.
    return { carrier: opened.carrier as MqttCarrier, remove }
  }

  function set(next: MeetingSettings): void {
    if (closing !== undefined) return
    settings = next
    if (next.mdns) lan ??= openLan()
    else if (lan !== undefined) {
      lan.remove()
      void lan.mdns.close()
      lan = undefined
    }
    topics.set(next.topics)
    // Nobody is told that we are here while there is nothing to meet for.
    const wanted = new Set(next.topics.length > 0 ? next.mqttBrokers : [])
    for (const [url, broker] of brokers) {
      if (wanted.has(url)) continue
      brokers.delete(url)
      broker.remove()
    }
    for (const url of wanted) if (!brokers.has(url)) brokers.set(url, openBroker(url))
    tellTopics()
  }

  function topicInfos(): TopicInfo[] {
    const met = new Map(topics.members().map(({ topic, members }) => [topic, members]))
    return settings.topics.map((topic) => ({ topic, members: (met.get(topic) ?? []).filter(options.isConnected) }))
  }

  function tellTopics(): void {
    const infos = topicInfos()
    const text = JSON.stringify(infos)
    if (text === told) return
    told = text
    emit({ type: 'topics', topics: infos })
  }

  /** Cut off without a word: one of us may have another address now, and the other has to hear of it. */
  function lose(peerId: PeerId): void {
    const now = performance.now()
    if (now - lostAt >= LOST_TOGETHER_MS) {
      options.onLost()
      checkBrokers()
    }
    lostAt = now
    if (topics.members().some(({ members }) => members.includes(peerId))) topics.announce()
  }

  /** What is announced over a connection of the old network is heard by nobody. */
  function checkBrokers(): void {
    for (const { carrier } of brokers.values()) carrier.check()
  }

  async function close(): Promise<void> {
    driven.close()
    topics.close()
    brokers.clear()
    await lan?.mdns.close()
  }

  const meeting: Meeting = {
    set,
    setPolicy: ({ peers }) => driven.input({ type: 'known', peers }),
    heard: (event) => {
      if (event.type !== 'peer' || event.peer.state === 'nearby') return
      const { peerId, state, lastError } = event.peer
      driven.input({ type: 'status', peerId, state })
      const isLost = connected.delete(peerId) && state !== 'connected' && lastError?.code === 'connection-lost'
      if (state === 'connected') connected.add(peerId)
      if (isLost) lose(peerId)
      tellTopics()
    },
    neighbour: (peerId) => {
      const found = neighbours.find(peerId)
      return found === undefined ? undefined : targetOf(found)
    },
    changed: () => {
      lan?.mdns.refresh()
      checkBrokers()
      topics.announce()
    },
    report: () => ({ mdns: lan !== undefined, topics: topicInfos(), brokers: [...brokers.values()].map(({ carrier }): BrokerInfo => carrier.info) }),
    close: () => (closing ??= close()),
  }
  meeting.setPolicy(options.policy)
  set(options.settings)
  return meeting
}

function targetOf({ peerId, knockSecret, endpoints }: { readonly peerId: PeerId; readonly knockSecret: Uint8Array; readonly endpoints: ConnectTarget['addresses'] }): ConnectTarget {
  return { keyHash: Buffer.from(keyHashOf(peerId)).toString('hex'), knockSecret: Buffer.from(knockSecret).toString('hex'), addresses: endpoints }
}
