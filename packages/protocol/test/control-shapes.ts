import * as v from 'valibot'
import { ERROR_CODES, NAT_KINDS } from '../src/index.ts'
import { DEVICE_ROLES, LIMIT_FIELDS, PEER_LIMIT_FIELDS } from '../src/control/index.ts'
import { WAIT } from './queue-contract.ts'

/** What the control API's answers look like, field by field and with nothing else. Part of the control contract. */

export const nullable = v.nullable
export const count = v.pipe(v.number(), v.minValue(0))
const hex64 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
/** A name for which interfaces have words, and what is put into them. */
const saying = v.strictObject({ code: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/)), values: v.record(v.string(), v.union([v.string(), v.number(), v.array(v.string()), v.null()])) })
const detail = v.exactOptional(saying)
const reason = nullable(v.strictObject({ code: v.picklist(ERROR_CODES), message: v.pipe(v.string(), v.nonEmpty()), detail }))
const PATH = v.strictObject({ transport: v.picklist(['quic', 'tcp']), kind: v.picklist(['loopback', 'lan', 'ipv6', 'direct', 'mapped', 'punched']), address: v.string(), rttMs: nullable(count) })
const PEER = v.strictObject({
  peerId: hex64, name: v.pipe(v.string(), v.nonEmpty()), fingerprint: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  state: v.picklist(['offline', 'dialling', 'waiting', 'asks', 'connected', 'away', 'blocked', 'nearby']), path: nullable(PATH), lastError: reason, lastSeenAt: nullable(count), sharedBytes: nullable(count),
})
const TRANSFER = v.strictObject({
  transferId: v.pipe(v.string(), v.nonEmpty()), peerId: hex64, peerName: v.string(), path: v.string(), isDirectory: nullable(v.boolean()),
  state: v.picklist(['queued', 'listing', 'running', 'waiting', 'paused', 'done', 'failed', 'cancelled']), reason, bytes: count, total: nullable(count),
  files: v.strictObject({ done: count, failed: count, total: nullable(count) }), bytesPerSecond: count, target: nullable(v.string()), notices: v.array(v.strictObject({ code: v.picklist(['changed', 'restarted', 'renamed', 'rejected', 'skipped']), values: v.strictObject({ count }) })),
  addedAt: count, endedAt: nullable(count), order: v.number(), held: v.boolean(), follow: v.boolean(), skippedFiles: count,
  wait: WAIT,
})
export const SHARE = v.strictObject({
  shareId: v.pipe(v.string(), v.nonEmpty()), name: v.pipe(v.string(), v.nonEmpty()), directory: v.string(), state: v.picklist(['scanning', 'ready', 'missing']),
  files: count, directories: count, bytes: count, skipped: count, scannedAt: nullable(count),
  progress: v.exactOptional(nullable(v.strictObject({ files: count, directories: count, bytes: count }))), watching: v.exactOptional(v.picklist(['on', 'preparing', 'rescans'])),
})
const TOPIC = v.strictObject({ topic: v.pipe(v.string(), v.nonEmpty()), members: v.array(hex64) })
const endpoint = v.pipe(v.string(), v.regex(/:\d{1,5}$/))
const ports = v.strictObject({ v4: nullable(count), v6: nullable(count) })
export const REPORT = v.strictObject({
  addresses: v.array(v.strictObject({ address: endpoint, family: v.picklist([4, 6]), source: v.picklist(['interface', 'stun', 'mapping', 'peer', 'record', 'lan', 'worked']) })),
  nat: v.strictObject({ v4: v.picklist(NAT_KINDS), v6: v.picklist(NAT_KINDS) }),
  udp: ports,
  stun: v.array(v.strictObject({ server: v.string(), family: v.picklist([4, 6]), outcome: v.picklist(['asking', 'mapped', 'no-address', 'no-answer']), mapped: nullable(endpoint) })),
  mapping: nullable(v.strictObject({
    state: v.picklist(['searching', 'none', 'mapped', 'not-believed']), protocol: nullable(v.picklist(['pcp', 'nat-pmp', 'upnp'])), outside: nullable(endpoint), pinholes: v.array(endpoint),
  })),
  discovery: v.strictObject({
    mdns: v.boolean(), topics: v.array(TOPIC),
    brokers: v.array(v.strictObject({ url: v.string(), state: v.picklist(['connecting', 'connected', 'failed']), problem: nullable(v.string()) })),
  }),
  peers: v.array(v.strictObject({
    peerId: nullable(hex64), name: v.pipe(v.string(), v.nonEmpty()), state: PEER.entries.state, path: nullable(PATH),
    attempts: v.array(v.strictObject({
      at: count, candidate: v.string(), source: nullable(v.string()), method: PATH.entries.kind, outcome: v.picklist(['running', 'connected', 'given-up', ...ERROR_CODES]),
      message: v.string(), detail, ms: count, packets: count,
    })),
    advice: v.array(saying),
  })),
  advice: v.array(saying),
})
const OFFER = v.strictObject({
  offerId: v.string(), direction: v.picklist(['in', 'out']), peerId: hex64, peerName: v.string(), name: v.string(), files: count, bytes: count, isDirectory: v.boolean(),
  note: nullable(v.string()), state: v.string(), received: count, isDelivered: v.boolean(), transferId: nullable(v.string()),
  reason: nullable(v.strictObject({ code: v.picklist(ERROR_CODES), message: v.string(), detail })), at: count, expiresAt: count, endedAt: nullable(count),
})
export const SNAPSHOT = v.strictObject({
  seq: v.pipe(v.number(), v.integer(), v.minValue(0)),
  status: v.strictObject({
    version: v.string(), peerId: hex64, name: v.pipe(v.string(), v.nonEmpty()), natKind: v.picklist(NAT_KINDS), udp: v.strictObject({ v4: nullable(count), v6: nullable(count) }),
    addresses: v.array(v.string()), network: v.picklist(['ready', 'restarting', 'unavailable']), downloadDirectory: v.string(), freeBytes: nullable(count), startedAt: count,
  }),
  peers: v.array(PEER),
  transfers: v.array(TRANSFER),
  uploads: v.array(v.strictObject({ peerId: hex64, peerName: v.string(), path: v.string(), bytesPerSecond: count, bytes: count })),
  shares: v.array(SHARE),
  settings: v.strictObject({
    askBeforeAccepting: v.boolean(), downloadDirectory: v.string(), topics: v.array(v.string()), localDiscovery: v.boolean(), portMapping: v.boolean(), passMeOn: v.boolean(),
    introductions: v.boolean(), mqttBrokers: v.array(v.string()),
  }),
  topics: v.array(TOPIC),
  wishes: v.strictObject({ revision: count, matches: count }),
  uploadPeers: v.array(v.strictObject({
    peerId: hex64, peerName: v.string(), bytesPerSecond: count, sending: count, waiting: count, place: nullable(count), limit: nullable(count), isLimited: v.boolean(),
  })),
  limits: v.strictObject({
    settings: v.strictObject(LIMIT_FIELDS), peers: v.array(v.strictObject({ peerId: hex64, ...PEER_LIMIT_FIELDS })),
    now: v.strictObject({ up: nullable(count), down: nullable(count), rule: nullable(count) }),
  }),
  access: v.strictObject({
    groups: v.array(v.strictObject({ groupId: v.pipe(v.string(), v.nonEmpty()), name: v.pipe(v.string(), v.nonEmpty()), members: v.array(hex64) })),
    audiences: v.array(v.strictObject({ shareId: v.string(), audience: v.strictObject({ peers: v.array(hex64), groups: v.array(v.string()) }) })),
  }),
  queue: v.strictObject({ paused: v.boolean(), pausedPeers: v.array(hex64) }),
  offers: v.strictObject({ offers: v.array(OFFER), rules: v.array(v.strictObject({ peerId: hex64, autoAcceptBytes: nullable(count), muted: v.boolean() })) }),
  role: v.picklist(DEVICE_ROLES),
})
