import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CodedError, type Entry, type ListRequest, type PeerId } from '@harddrive-party/protocol'
import type { NetworkApi, NetworkEvent, Policy, ReachReport } from '../../src/network/network-api.ts'

/** A network process in memory with one peer and its library, for tests of the control side. Files named in `endless` are never finished. */
export interface FakeNetwork extends NetworkApi {
  readonly policies: Policy[]
  readonly calls: string[]
  online(peerId: PeerId): void
}

export function createFakeNetwork(options: { peerId: PeerId; library: readonly Entry[]; endless: ReadonlySet<string>; emit: (event: NetworkEvent) => void }): FakeNetwork {
  const { library, endless, emit } = options
  const path = { transport: 'quic', kind: 'lan', address: '192.168.1.23:4433', rttMs: 2 } as const
  const policies: Policy[] = []
  const calls: string[] = []
  let connected = false
  const requireConnection = (peerId: PeerId) => {
    if (!connected || peerId !== options.peerId) throw new CodedError('offline', 'this peer is not connected')
  }
  const online = (peerId: PeerId) => {
    connected = true
    emit({ type: 'peer', peer: { peerId, state: 'connected', path, lastError: null } })
  }
  return {
    policies,
    calls,
    online,
    setOffers: async () => {},
    tellOffer: async ({ peerId }) => requireConnection(peerId),
    setPolicy: async (policy) => {
      policies.push(policy)
    },
    connect: async () => ({ peerId: options.peerId, state: 'connected' }),
    disconnect: async ({ peerId }) => {
      if (!connected) throw new CodedError('offline', 'this peer is not connected')
      connected = false
      emit({ type: 'peer', peer: { peerId, state: 'offline', path: null, lastError: null } })
    },
    reconnect: async ({ peerId }) => online(peerId),
    answerPeer: async ({ peerId, accept }) => {
      calls.push(`answer ${peerId} ${accept}`)
    },
    ping: async ({ peerId }) => {
      requireConnection(peerId)
      return { rttMs: 2, path, packets: { sent: 12, lost: 1 } }
    },
    list: async ({ peerId, request }) => {
      requireConnection(peerId)
      return page(library, request)
    },
    startFiles: async ({ jobs }) => {
      for (const { jobId, target, size, peerId } of jobs) {
        requireConnection(peerId)
        emit({ type: 'file-progress', jobId, bytes: 1, bytesPerSecond: 1000 })
        if (endless.has(target.slice(target.lastIndexOf('/') + 1))) continue
        await mkdir(dirname(target), { recursive: true })
        await writeFile(target, new Uint8Array(size))
        emit({ type: 'file-done', jobId, target, bytes: size })
      }
    },
    stopFile: async () => {},
    compareFile: async () => ({ differsAt: null }),
    grantFile: async (grant) => {
      calls.push(`grant ${grant.kind} ${grant.kind === 'thumbnails' ? grant.peerId : grant.path}`)
      return { url: `http://127.0.0.1:1/${'t'.repeat(43)}/file` }
    },
    readText: async ({ kind, path }) => ({ text: `${kind} ${path}`, encoding: 'utf-8', cut: false }),
    makesThumbnails: async ({ peerId }) => connected && peerId === options.peerId,
    revokeGrants: async ({ deviceId }) => {
      calls.push(`revoke ${deviceId}`)
    },
    setLanFiles: async (lan) => {
      calls.push(`lan files ${lan === null ? 'off' : lan.addresses.join(',')}`)
    },
    sharesChanged: async ({ shares }) => {
      calls.push(`shares ${shares.map(({ name, audience }) => (audience === undefined ? name : `${name} for ${audience.length}`)).join(',')}`)
    },
    setDownloadDirectory: async ({ directory }) => {
      calls.push(`directory ${directory}`)
    },
    setLimits: async (args) => {
      calls.push(`limits ${JSON.stringify(args)}`)
    },
    setReach: async (args) => {
      calls.push(`reach ${JSON.stringify(args)}`)
      emit({ type: 'topics', topics: args.topics.map((topic) => ({ topic, members: connected ? [options.peerId] : [] })) })
    },
    reachReport: async () => REACH,
    close: async () => {},
  }
}

const REACH: ReachReport = {
  own: {
    candidates: [{ endpoint: { host: '198.51.100.7', port: 4433 }, source: 'stun' }, { endpoint: { host: '192.168.1.20', port: 4433 }, source: 'interface' }],
    nat: { v4: 'consistent', v6: 'unknown' },
    stun: [{ server: 'stun.example:3478', family: 4, outcome: 'mapped', mapped: { host: '198.51.100.7', port: 4433 } }, { server: 'stun.example:3478', family: 6, outcome: 'no-address' }],
    mapping: { state: 'none', protocol: null, outside: null, pinholes: [] },
    interfaces: [],
  },
  discovery: { mdns: true, topics: [], brokers: [] },
  peers: [{
    peerId: null, keyHash: 'ab'.repeat(16),
    attempts: [{ at: 5, candidate: '203.0.113.9:4433', source: 'peer', method: 'punched', outcome: 'timed-out', message: 'no answer', ms: 6000, packets: 120 }],
  }],
}

function page(library: readonly Entry[], request: ListRequest): { entries: Entry[]; cursor?: string } {
  const { path, search, recursive, cursor, limit } = request
  const base = library.find((entry) => entry.path === path)
  if (path !== undefined && base === undefined) throw new CodedError('not-found', 'there is no such path')
  if (cursor !== undefined && !/^at:\d+$/.test(cursor)) throw new CodedError('bad-request', 'this is no cursor of ours')
  const below = path === undefined ? '' : `${path}/`
  const all = library.filter((entry) => {
    if (base?.isDirectory === false) return entry === base
    if (!entry.path.startsWith(below) || entry.path === path) return false
    return (recursive || !entry.path.slice(below.length).includes('/')) && (search === undefined || entry.path.split('/').at(-1)?.toLowerCase().includes(search.toLowerCase()))
  })
  const start = cursor === undefined ? 0 : Number(cursor.slice(3))
  const entries = all.slice(start, start + limit)
  return start + limit < all.length ? { entries, cursor: `at:${start + limit}` } : { entries }
}
