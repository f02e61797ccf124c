import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { NETWORK_METHODS, decodeFromNetwork, decodeToNetwork, forwardCalls } from '../../src/network/ipc.ts'
import type { FileJob, NetworkApi, NetworkConfig, NetworkEvent, Policy } from '../../src/network/network-api.ts'
import { type NetworkProcess, openNetworkProcess } from '../../src/network/network-process.ts'

const ENTRY = fileURLToPath(new URL('../support/fake-network-main.mjs', import.meta.url))
const POLICY: Policy = { codeSecret: '00', knownSecret: '11', askBeforeAccepting: false, peers: [] }
const CONFIG: NetworkConfig = {
  identitySeed: '', udpPort: 0, loopbackOnly: true, stunServers: [], indexDirectory: '/index', downloadDirectory: '/downloads', shares: [], policy: POLICY,
  uiOrigins: [], verbose: false, mdns: false, mqttBrokers: [], topics: [], portMapping: false, passMeOn: false, introductions: true,
}

interface Watched {
  readonly network: NetworkProcess
  readonly events: NetworkEvent[]
  readonly notes: string[]
  /** Resolves when something matching happens, or has happened since the last wait. */
  until(matches: (note: string) => boolean): Promise<void>
  misbehave(how: string): Promise<unknown>
  toldConfig(): Promise<NetworkConfig>
}

const opened: NetworkProcess[] = []
afterEach(async () => {
  for (const network of opened.splice(0)) await network.close()
})

function open(): Watched {
  const events: NetworkEvent[] = []
  const notes: string[] = []
  const waiting = new Set<() => void>()
  const note = (text: string) => {
    notes.push(text)
    for (const look of waiting) look()
  }
  const network = openNetworkProcess({
    config: CONFIG,
    entry: ENTRY,
    onEvent: (event) => {
      events.push(event)
      note(event.type === 'peer' ? `peer ${event.peer.state}` : event.type)
    },
    onDown: () => note('down'),
    onRestart: () => note('restart'),
    log: (_level, message) => note(`log: ${message}`),
    // The silence of a hung process shall not take the test's time; the first sign of life may on a loaded machine.
    limits: { heartbeatMs: 50, silenceMs: 1_000, firstSilenceMs: 20_000 },
  })
  opened.push(network)
  let seen = 0
  return {
    network, events, notes,
    until: (matches) =>
      new Promise((resolve) => {
        const look = () => {
          const found = notes.findIndex((text, i) => i >= seen && matches(text))
          if (found === -1) return
          seen = found + 1
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    misbehave: (how) => network.ping({ peerId: how as PeerId }),
    toldConfig: async () => ((await network.list({ peerId: '' as PeerId, request: { recursive: false, limit: 1 } })) as unknown as { config: NetworkConfig }).config,
  }
}

const is = (text: string) => (note: string) => note === text
const codeOf = (call: Promise<unknown>) => call.then(() => 'resolved', (error: unknown) => (error instanceof CodedError ? error.code : error))

describe('network process', () => {
  it('starts with its config, answers calls, and carries bytes and errors', async () => {
    const { network, until, misbehave } = open()
    await until(is('ready'))
    const { bytes } = (await network.list({ peerId: '' as PeerId, request: { recursive: false, limit: 1 } })) as unknown as { bytes: Uint8Array }
    expect([...bytes]).toEqual([1, 2, 3])
    expect(await codeOf(misbehave('refuse'))).toBe('offline')
    expect(await codeOf(misbehave('invent a code'))).toBe('internal')
    expect(network.stats.restarts).toBe(0)
  })

  it('starts again after a crash, on the same port, with what it was told since', async () => {
    const { network, events, notes, until, misbehave, toldConfig } = open()
    await until(is('ready'))
    const first = network.pid
    const port = events.flatMap((event) => (event.type === 'ready' ? [event.udp.v4] : []))[0]
    await network.setPolicy({ ...POLICY, askBeforeAccepting: true })
    await network.sharesChanged({ shares: [{ shareId: 's', name: 'Music', directory: '/music' }] })
    await network.setDownloadDirectory({ directory: '/elsewhere' })
    await network.startFiles({ jobs: [{ peerId: 'ab' as PeerId } as FileJob] })
    const held = codeOf(misbehave('hold'))
    expect(await codeOf(misbehave('crash'))).toBe('connection-lost')
    expect(await held).toBe('connection-lost')
    await until(is('restart'))
    expect(network.pid).not.toBe(first)
    expect(await toldConfig()).toMatchObject({
      udpPort: port, policy: { askBeforeAccepting: true }, shares: [{ name: 'Music' }], downloadDirectory: '/elsewhere',
    })
    // Peers are gone before the new one is up, and only then is anything asked for again.
    expect(notes.filter((note) => !note.startsWith('log'))).toEqual(['ready', 'peer connected', 'down', 'peer offline', 'uploads', 'upload-peers', 'ready', 'restart'])
    expect(network.stats.restarts).toBe(1)
  })

  it('rejects calls between two processes so that they are tried again, but takes what the next one is told anyway', async () => {
    const { network, until, toldConfig } = open()
    await until(is('ready'))
    process.kill(network.pid ?? 0, 'SIGKILL')
    await until(is('down'))
    expect(network.pid).toBeUndefined()
    expect(await codeOf(network.startFiles({ jobs: [] }))).toBe('connection-lost')
    await network.setPolicy({ ...POLICY, codeSecret: '22' })
    await until(is('restart'))
    expect((await toldConfig()).policy.codeSecret).toBe('22')
  })

  it.each(['SIGSTOP', 'block'] as const)('kills one that hangs (%s) and starts another', async (how) => {
    const { network, notes, until, misbehave } = open()
    await until(is('ready'))
    const first = network.pid ?? 0
    const call = how === 'block' ? codeOf(misbehave('block')) : codeOf(misbehave('hold'))
    if (how === 'SIGSTOP') process.kill(first, 'SIGSTOP')
    expect(await call).toBe('connection-lost')
    await until(is('restart'))
    expect(notes).toContain('log: killing the network process')
    expect(network.pid).not.toBe(first)
    expect(() => process.kill(first, 0)).toThrow('ESRCH')
  })

  it('restarts one that grows too large', async () => {
    const { until, misbehave } = open()
    await until(is('ready'))
    expect(await codeOf(misbehave('grow'))).toBe('connection-lost')
    await until(is('restart'))
  })

  it('is not disturbed by nonsense', async () => {
    const { network, notes, until, misbehave } = open()
    await until(is('ready'))
    const { pid } = network
    expect(await misbehave('garbage')).toEqual({ rttMs: 1 })
    expect(notes.filter((note) => note.includes('makes no sense'))).toHaveLength(8)
    expect(network.pid).toBe(pid)
  })

  it('closes for good, even one that is stopped', async () => {
    const { network, notes, until } = open()
    await until(is('ready'))
    const pid = network.pid ?? 0
    process.kill(pid, 'SIGSTOP')
    await Promise.all([network.close(), network.close()])
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    expect(await codeOf(network.startFiles({ jobs: [] }))).toBe('closed')
    expect(notes).not.toContain('down')
  })

  it('ends when its parent is gone', async () => {
    const parent = fork(fileURLToPath(new URL('../support/fake-parent.mjs', import.meta.url)), [ENTRY], { execArgv: [] })
    const [pid] = (await once(parent, 'message')) as [number]
    parent.kill('SIGKILL')
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false)
  })
})

describe('IPC', () => {
  it('knows every method of the network side', () => {
    const everyMethod = { ...forwardCalls(() => ({}) as NetworkApi) }
    const names: Record<keyof NetworkApi, true> = {
      setPolicy: true, connect: true, disconnect: true, reconnect: true, answerPeer: true, ping: true, list: true, startFiles: true, stopFile: true, compareFile: true,
      grantFile: true, readText: true, makesThumbnails: true, revokeGrants: true, setLanFiles: true, sharesChanged: true, setOffers: true, tellOffer: true, setLimits: true, setDownloadDirectory: true, setReach: true, reachReport: true, close: true,
    }
    expect(Object.keys(everyMethod).sort()).toEqual(Object.keys(names).sort())
    expect([...NETWORK_METHODS].sort()).toEqual(Object.keys(names).sort())
  })

  it('refuses envelopes without sense', () => {
    for (const raw of [undefined, null, 1, 'x', [], {}, { kind: 'call', id: 1, method: 'toString' }, { kind: 'call', id: -1, method: 'list' }, { kind: 'config', config: 1 }]) {
      expect(decodeToNetwork(raw)).toBeUndefined()
      expect(decodeFromNetwork(raw)).toBeUndefined()
    }
    expect(decodeToNetwork({ kind: 'call', id: 1, method: 'list', args: 2 })).toEqual({ kind: 'call', id: 1, method: 'list', args: 2 })
  })
})

/** A zombie that its new parent has not yet collected is as good as gone. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
