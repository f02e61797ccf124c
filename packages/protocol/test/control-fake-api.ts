import { CONTROL_METHODS, type ControlApi, type ControlSnapshot, DEFAULT_LIMITS } from '../src/control/index.ts'
import type { PeerId } from '../src/index.ts'

/** A ControlApi whose every method notes its call and does nothing else, unless told otherwise. */
export function createFakeApi(methods: Partial<ControlApi> = {}): { api: ControlApi; calls: [string, unknown][] } {
  const calls: [string, unknown][] = []
  const noting = Object.fromEntries(CONTROL_METHODS.map((method) => [method, async (args?: unknown) => {
    calls.push([method, args])
    return undefined
  }]))
  return { api: { ...noting, ...methods } as ControlApi, calls }
}

export const ME = 'ee'.repeat(32) as PeerId

export function emptySnapshot(seq: number): ControlSnapshot {
  return {
    seq, role: 'admin',
    status: {
      version: '0', peerId: ME, name: 'Me', natKind: 'unknown', udp: { v4: null, v6: null }, addresses: [], network: 'ready', downloadDirectory: '/d', freeBytes: null, startedAt: 0,
    },
    peers: [], transfers: [], uploads: [], shares: [], topics: [], queue: { paused: false, pausedPeers: [] }, offers: { offers: [], rules: [] }, wishes: { revision: 0, matches: 0 }, uploadPeers: [],
    limits: { settings: DEFAULT_LIMITS, peers: [], now: { up: null, down: null, rule: null } }, access: { groups: [], audiences: [] },
    settings: { askBeforeAccepting: false, downloadDirectory: '/d', topics: [], localDiscovery: true, portMapping: true, passMeOn: true, introductions: true, mqttBrokers: [] },
  }
}
