import type { PeerId } from '@harddrive-party/protocol'
import type { PeerInfo } from '@harddrive-party/protocol/control'
import { type MockNode, filmShare, largeShare, musicShare, pictureShare } from './mock-library.ts'

/** The named worlds that the mock can be opened in: `?mock=<name>` while developing, and by name in tests. */
export const MOCK_SCENARIOS = ['default', 'empty', 'slow', 'large', 'errory', 'strict', 'offers', 'unpaired', 'down'] as const
export type MockScenario = (typeof MOCK_SCENARIOS)[number]

export interface MockPeer {
  readonly info: PeerInfo
  readonly shares: readonly MockNode[]
}

export interface MockWorld {
  readonly peers: readonly MockPeer[]
  readonly shares: readonly MockNode[]
  /** Whether some transfers are under way from the start. */
  readonly busy: boolean
  /** How long every answer takes, in milliseconds. */
  readonly latencyMs: number
  /** Whether listing, downloading and connecting fail. */
  readonly failing: boolean
  /** Whether our own network makes connections hard. */
  readonly strict: boolean
  readonly topics: readonly string[]
}

export function isMockScenario(name: string): name is MockScenario {
  return (MOCK_SCENARIOS as readonly string[]).includes(name)
}

function peerId(seed: number): PeerId {
  let hex = ''
  let state = Math.imul(seed + 7, 2654435761) >>> 0
  while (hex.length < 64) {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0
    hex += state.toString(16).padStart(8, '0')
  }
  return hex.slice(0, 64) as PeerId
}

export const MY_ID = peerId(1)
export const NEW_PEER_ID = peerId(99)

function peer(seed: number, name: string, shares: readonly MockNode[], more: Partial<PeerInfo>): MockPeer {
  const id = peerId(seed)
  const info: PeerInfo = {
    peerId: id, name, fingerprint: id.slice(0, 16), state: 'connected', lastError: null, lastSeenAt: Date.now() - 60_000,
    path: { transport: 'quic', kind: 'lan', address: '192.168.1.23:41641', rttMs: 2.1 },
    sharedBytes: shares.reduce((sum, share) => sum + share.size, 0), ...more,
  }
  return { info, shares }
}

export function makeWorld(scenario: MockScenario): MockWorld {
  const usual = [
    peer(2, 'Amber Otter', [musicShare(), filmShare(), pictureShare()], {}),
    peer(3, 'Quiet Heron', [filmShare()], { path: { transport: 'quic', kind: 'direct', address: '203.0.113.9:50112', rttMs: 38 } }),
    peer(4, 'Brave Lynx', [], { state: 'asks', path: null, sharedBytes: null }),
    peer(5, 'Mellow Badger', [musicShare()], { state: 'offline', path: null, lastSeenAt: Date.now() - 3 * 86_400_000, lastError: { code: 'timed-out', message: 'no answer' } }),
    peer(6, 'Rapid Finch', [], { state: 'dialling', path: null, sharedBytes: null, lastSeenAt: null }),
    peer(8, 'Hazel Newt', [], { state: 'nearby', path: null, sharedBytes: null, lastSeenAt: null }),
    peer(7, 'Dusty Walrus', [], { state: 'blocked', path: null, lastSeenAt: Date.now() - 40 * 86_400_000 }),
  ]
  const calm = { latencyMs: 0, failing: false, busy: false, strict: false, topics: [] }
  switch (scenario) {
    case 'empty':
      return { ...calm, peers: [], shares: [] }
    case 'large':
      return { ...calm, peers: [peer(2, 'Amber Otter', [largeShare(), musicShare()], {})], shares: [pictureShare()] }
    case 'slow':
      return { ...calm, peers: usual, shares: [pictureShare()], latencyMs: 1500, busy: true }
    case 'errory':
      return { ...calm, peers: usual, shares: [pictureShare()], failing: true, busy: true }
    case 'strict':
      return { ...calm, peers: usual.filter(({ info }) => info.path?.kind !== 'direct'), shares: [pictureShare()], strict: true, topics: ['film club'] }
    default:
      return { ...calm, peers: usual, shares: [pictureShare(), musicShare()], busy: true, topics: ['film club', 'allotments, north side'] }
  }
}
