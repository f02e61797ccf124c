import { CodedError, type ListPage, type PeerId, type SharePath } from '@harddrive-party/protocol'
import type { ControlApi, ControlClient, ControlEvent, ControlSnapshot, DoctorReport, PeerInfo, ShareInfo, TransferInfo } from '@harddrive-party/protocol/control'
import { DEFAULT_LIMITS } from '@harddrive-party/protocol/control'
import { describe, expect, it, vi } from 'vitest'
import { listFiles, listShares, readFile } from '../../src/cli/commands/files.ts'
import { manageDevices } from '../../src/cli/commands/devices.ts'
import { removeShare, showCode, showStatus } from '../../src/cli/commands/own.ts'
import { showDoctor } from '../../src/cli/commands/doctor.ts'
import { joinTopic, leaveTopic, listTopics, showSettings } from '../../src/cli/commands/topics.ts'
import { connectPeer, decideAboutPeer, listPeers, pingPeer } from '../../src/cli/commands/peers.ts'
import { changeTransfer, download, listTransfers } from '../../src/cli/commands/transfers.ts'
import type { HelperSession } from '../../src/cli/helper-session.ts'
import { type GlobalOptions, type StartOptions, buildProgram } from '../../src/cli/program.ts'

const ID = `ab12${'0'.repeat(60)}` as PeerId
const PATH = { transport: 'quic', kind: 'lan', address: '192.168.1.2:4433', rttMs: 1.25 } as const
const OTTER: PeerInfo = { peerId: ID, name: 'Brave Otter', fingerprint: ID.slice(0, 16), state: 'connected', path: PATH, lastError: null, lastSeenAt: 5, sharedBytes: 7 }
const AWAY: PeerInfo = { ...OTTER, peerId: `cd34${'0'.repeat(60)}` as PeerId, name: 'Shy Bear', fingerprint: 'cd34000000000000', state: 'offline', path: null, lastError: { code: 'timed-out', message: 'it does not answer\u001b[2J' } }
const SHARE: ShareInfo = { shareId: 's1', name: 'Music', directory: '/home/me/Music', state: 'ready', files: 3, directories: 1, bytes: 2_500_000, skipped: 1, scannedAt: 1 }
const TRANSFER: TransferInfo = {
  transferId: 't-1', peerId: ID, peerName: 'Brave Otter', path: 'Music/Blue' as SharePath, isDirectory: true, state: 'waiting', reason: { code: 'offline', message: 'the peer is away' },
  bytes: 10, total: 20, files: { done: 1, failed: 0, total: 2 }, bytesPerSecond: 0, target: '/d/Blue', notices: [], addedAt: 1, endedAt: null,
  wait: { cause: 'offline' }, order: 1, held: false, follow: false, skippedFiles: 0,
}
const SNAPSHOT: ControlSnapshot = {
  seq: 0, role: 'admin',
  status: {
    version: '0.1.0', peerId: ID, name: 'Quiet Fox', natKind: 'consistent', udp: { v4: 4433, v6: null }, addresses: ['192.168.1.5:4433'], network: 'ready',
    downloadDirectory: '/d', freeBytes: 1e9, startedAt: 1,
  },
  peers: [OTTER, AWAY], transfers: [TRANSFER], uploads: [], shares: [SHARE], topics: [{ topic: 'book club', members: [ID] }], queue: { paused: false, pausedPeers: [] }, offers: { offers: [], rules: [] }, wishes: { revision: 0, matches: 0 },
  uploadPeers: [], limits: { settings: DEFAULT_LIMITS, peers: [], now: { up: null, down: null, rule: null } }, access: { groups: [], audiences: [] },
  settings: { askBeforeAccepting: false, downloadDirectory: '/d', topics: ['book club'], localDiscovery: true, portMapping: true, passMeOn: true, introductions: true, mqttBrokers: [] },
}

const REPORT: DoctorReport = {
  addresses: [{ address: '198.51.100.7:4433', family: 4, source: 'stun' }],
  nat: { v4: 'random', v6: 'unknown' },
  udp: { v4: 4433, v6: null },
  stun: [{ server: 'stun.example:3478', family: 4, outcome: 'mapped', mapped: '198.51.100.7:4433' }],
  mapping: { state: 'not-believed', protocol: 'upnp', outside: '100.64.1.1:4433', pinholes: [] },
  discovery: { mdns: true, topics: [{ topic: 'book club', members: [ID] }], brokers: [{ url: 'mqtts://me:secret@broker.example:8883', state: 'failed', problem: 'it does not answer' }] },
  peers: [
    { peerId: ID, name: 'Brave Otter', state: 'connected', path: PATH, attempts: [], advice: [] },
    {
      peerId: AWAY.peerId, name: 'Shy Bear', state: 'offline', path: null, advice: [{ code: 'no-address', values: {} }],
      attempts: [{ at: 1, candidate: '203.0.113.9:4433', source: 'peer', method: 'punched', outcome: 'timed-out', message: 'no answer\u001b', ms: 6000, packets: 120 }],
    },
  ],
  advice: [{ code: 'open-port', values: { ways: ['forward'], port: 4433 } }],
}

interface Fake extends HelperSession {
  readonly lines: string[]
  readonly notes: string[]
  emit(event: ControlEvent): void
}

function session(api: Partial<ControlApi>, { json = false }: { json?: boolean } = {}): Fake {
  const lines: string[] = []
  const notes: string[] = []
  const listeners = new Set<(event: ControlEvent) => void>()
  const full = { snapshot: async () => SNAPSHOT, announceCode: async () => ({ code: 'fox-hdp1x', link: 'http://x/#/add/fox-hdp1x' }), ...api } as ControlApi
  const client = {
    api: full,
    onEvent: (listener: (event: ControlEvent) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onClose: () => () => {},
    close: () => {},
  } as unknown as ControlClient
  return {
    api: full, client, lines, notes, pid: 42, ui: 'http://127.0.0.1:3030',
    output: { json, showsProgress: false, line: async (text) => void lines.push(text), note: (text) => void notes.push(text), fail: () => {} },
    emit: (event) => {
      for (const listener of listeners) listener(event)
    },
  }
}

const parsed = ({ lines }: Fake) => lines.map((line) => JSON.parse(line) as unknown)

describe('--json', () => {
  it('peers: an array of id, name, state and path', async () => {
    const fake = session({}, { json: true })
    await listPeers(fake)
    expect(parsed(fake)).toEqual([[{ id: ID, name: 'Brave Otter', state: 'connected', path: PATH }, { id: AWAY.peerId, name: 'Shy Bear', state: 'offline', path: null }]])
  })

  it('code: the code alone', async () => {
    const fake = session({ renewCode: async () => ({ code: 'new', link: '' }) }, { json: true })
    await showCode(fake, { renew: false })
    await showCode(fake, { renew: true })
    expect(parsed(fake)).toEqual([{ code: 'fox-hdp1x' }, { code: 'new' }])
  })

  it('status: the facts and the counts', async () => {
    const fake = session({}, { json: true })
    await showStatus(fake)
    expect(parsed(fake)).toEqual([{
      ui: 'http://127.0.0.1:3030', code: 'fox-hdp1x', peerId: ID, name: 'Quiet Fox', udp: { v4: 4433, v6: null }, natKind: 'consistent', network: 'ready',
      addresses: ['192.168.1.5:4433'], downloadDirectory: '/d', version: '0.1.0', pid: 42,
      counts: { peers: 2, connected: 1, shares: 1, files: 3, bytes: 2_500_000, transfers: 1, uploads: 0 },
    }])
  })

  it('status: without a network there is no code, and still a status', async () => {
    const fake = session({ announceCode: async () => Promise.reject(new CodedError('no-transport', 'none')) }, { json: true })
    await showStatus(fake)
    expect(parsed(fake)).toMatchObject([{ code: null, peerId: ID }])
  })

  it('transfers: an array, with a reason only where there is one', async () => {
    const fake = session({ snapshot: async () => ({ ...SNAPSHOT, transfers: [TRANSFER, { ...TRANSFER, transferId: 't-2', reason: null, total: null }] }) }, { json: true })
    await listTransfers(fake)
    const common = { peer: ID, peerName: 'Brave Otter', path: 'Music/Blue', state: 'waiting', bytes: 10, target: '/d/Blue' }
    expect(parsed(fake)).toEqual([[{ id: 't-1', ...common, total: 20, reason: 'offline: the peer is away' }, { id: 't-2', ...common, total: null }]])
  })

  it('ls: an object per line, over all pages', async () => {
    const pages: ListPage[] = [
      { entries: [{ path: 'Music' as SharePath, size: 3, mtime: 1.5, isDirectory: true }], cursor: 'next' },
      { entries: [], cursor: 'more' },
      { entries: [{ path: 'Music/a.flac' as SharePath, size: 3, mtime: 1.5, isDirectory: false }] },
    ]
    const list = vi.fn(async () => pages.shift() ?? { entries: [] })
    const fake = session({ list }, { json: true })
    await listFiles(fake, 'brave-otter', { recursive: true })
    expect(parsed(fake)).toEqual([{ path: 'Music', size: 3, isDirectory: true, mtime: 1.5 }, { path: 'Music/a.flac', size: 3, isDirectory: false, mtime: 1.5 }])
    expect(list.mock.calls).toEqual([
      [{ peerId: ID, recursive: true, limit: 1000 }], [{ peerId: ID, recursive: true, limit: 1000, cursor: 'next' }], [{ peerId: ID, recursive: true, limit: 1000, cursor: 'more' }],
    ])
  })

  it('ls without a peer: the peers as directories', async () => {
    const fake = session({}, { json: true })
    await listFiles(fake, undefined, {})
    expect(parsed(fake)).toEqual([{ path: 'brave-otter', size: 7, isDirectory: true, mtime: 5 }, { path: 'shy-bear', size: 7, isDirectory: true, mtime: 5 }])
  })

  it('ls --search without a peer: all who are connected', async () => {
    const list = vi.fn(async () => ({ entries: [{ path: 'Music/blue' as SharePath, size: 1, mtime: 2, isDirectory: false }] }))
    const fake = session({ list }, { json: true })
    await listFiles(fake, undefined, { search: 'blue' })
    expect(parsed(fake)).toMatchObject([{ path: 'brave-otter/Music/blue' }])
    expect(list.mock.calls).toEqual([[{ peerId: ID, recursive: true, limit: 1000, search: 'blue' }]])
  })

  it('shares: my own entries', async () => {
    const list = vi.fn(async () => ({ entries: [{ path: 'Music' as SharePath, size: 1, mtime: 2, isDirectory: true }] }))
    const fake = session({ list }, { json: true })
    await listShares(fake, undefined, {})
    expect(parsed(fake)).toEqual([{ path: 'Music', size: 1, isDirectory: true, mtime: 2 }])
    expect(list.mock.calls).toEqual([[{ peerId: null, recursive: false, limit: 1000 }]])
  })

  it('connect and ping', async () => {
    const fake = session({ connect: async () => ({ peerId: ID, state: 'connected' }), ping: async () => ({ rttMs: 2, path: PATH, packets: null }) }, { json: true })
    await connectPeer(fake, 'code')
    await pingPeer(fake, 'brave-otter', { count: 1 })
    expect(parsed(fake)).toEqual([
      { id: ID, name: 'Brave Otter', state: 'connected' },
      { rttMs: 2, path: PATH, sent: 1, answered: 1, lossPercent: 0, rtt: { min: 2, average: 2, max: 2 }, packets: null },
    ])
  })

  it('ping: several, with what was lost', async () => {
    const answers = [10, null, 30, 20]
    const fake = session({
      ping: async () => {
        const rttMs = answers.shift()
        if (typeof rttMs !== 'number') throw new CodedError('timed-out', 'no answer')
        return { rttMs, path: PATH, packets: { sent: 10 * rttMs, lost: rttMs / 10 } }
      },
    }, { json: true })
    await pingPeer(fake, 'brave-otter', { count: 4, intervalMs: 0 })
    expect(parsed(fake)).toEqual([{ rttMs: 20, path: PATH, sent: 4, answered: 3, lossPercent: 25, rtt: { min: 10, average: 20, max: 30 }, packets: { sent: 100, lost: 1 } }])
  })

  it('ping: fails when nobody answers, and at once when there is nobody to ask', async () => {
    const silent = session({ ping: async () => Promise.reject(new CodedError('timed-out', 'no answer')) })
    await expect(pingPeer(silent, 'brave-otter', { count: 2, intervalMs: 0 })).rejects.toMatchObject({ code: 'timed-out' })
    expect(silent.notes).toHaveLength(2)
    const ping = vi.fn(async () => Promise.reject(new CodedError('offline', 'not connected')))
    await expect(pingPeer(session({ ping }), 'brave-otter', { count: 3, intervalMs: 0 })).rejects.toMatchObject({ code: 'offline' })
    expect(ping).toHaveBeenCalledTimes(1)
  })

  it('doctor: the report, whole or of one peer', async () => {
    const fake = session({ doctor: async () => REPORT }, { json: true })
    await showDoctor(fake, undefined)
    await showDoctor(fake, 'shy')
    expect(parsed(fake)).toEqual([REPORT, { ...REPORT, peers: [REPORT.peers[1]] }])
  })

  it('topics and settings', async () => {
    const updateSettings = vi.fn(async () => SNAPSHOT.settings)
    const fake = session({ joinTopic: async ({ topic }) => ({ topic: topic.toLowerCase() }), leaveTopic: async () => {}, updateSettings }, { json: true })
    await listTopics(fake)
    await joinTopic(fake, 'Book Club')
    await leaveTopic(fake, 'book club')
    await showSettings(fake, undefined, undefined)
    await showSettings(fake, 'pass-me-on', 'off')
    await showSettings(fake, 'brokers', 'mqtts://a.example, mqtt://b.example')
    await showSettings(fake, 'brokers', 'none')
    expect(parsed(fake).slice(0, 4)).toEqual([[{ topic: 'book club', members: [ID] }], { topic: 'book club' }, { topic: 'book club' }, SNAPSHOT.settings])
    expect(updateSettings.mock.calls).toEqual([[{ passMeOn: false }], [{ mqttBrokers: ['mqtts://a.example', 'mqtt://b.example'] }], [{ mqttBrokers: [] }]])
    for (const [name, value] of [['pass-me-on', 'maybe'], ['colour', 'on'], ['pass-me-on']]) await expect(showSettings(fake, name, value)).rejects.toMatchObject({ exitCode: 2 })
  })
})

describe('for people', () => {
  it('doctor: what was tried, in words, without control characters or passwords of others', async () => {
    const fake = session({ doctor: async () => REPORT })
    await showDoctor(fake, undefined)
    const text = fake.lines.join('\n')
    expect(text).toMatch(/^Addresses: {2}198\.51\.100\.7:4433 {2}\(seen by a server\)$/m)
    expect(text).toMatch(/^brave-otter +same network, 192\.168\.1\.2:4433, 1\.3 ms$/m)
    expect(text).toMatch(/203\.0\.113\.9:4433 +through NATs, opened from both sides +no answer\\u\{1b\} +6000 ms +120$/m)
    expect(text).toContain('! No address is known at which they could be reached. Ask them for a fresh code.')
    expect(text).toContain('! What helps: forward UDP port 4433 in your router to this computer.')
    expect(text).toContain('mqtts://broker.example:8883: failed, it does not answer')
    expect(text).not.toContain('secret')
  })

  it('ping: the path and the times', async () => {
    let sent = 0
    const fake = session({ ping: async () => ({ rttMs: 2, path: { ...PATH, kind: 'punched' }, packets: { sent: (sent += 7), lost: 1 } }) })
    await pingPeer(fake, 'brave-otter', { count: 2, intervalMs: 0 })
    expect(fake.lines.at(-1)).toBe('0 of 7 packets were lost on the way and said again')
    expect(fake.lines.at(-3)).toBe('through NATs, opened from both sides (quic, 192.168.1.2:4433)')
    expect(fake.lines.at(-2)).toBe('2 of 2 answered, 0 % lost; 2.0 / 2.0 / 2.0 ms (shortest, average, longest)')
  })

  it('says how to connect to somebody nearby', async () => {
    const fake = session({ snapshot: async () => ({ ...SNAPSHOT, peers: [{ ...AWAY, state: 'nearby', lastError: null }] }) })
    await listPeers(fake)
    expect(fake.lines[1]).toMatch(/nearby .*"hdp reconnect shy-bear"/)
  })

  it('aligns peers and shows no control characters of others', async () => {
    const fake = session({})
    await listPeers(fake)
    expect(fake.lines).toHaveLength(3)
    expect(fake.lines[1]).toMatch(/^brave-otter +ab12000000000000 +connected +quic lan, 1\.3 ms +7 B$/)
    expect(fake.lines[2]).toContain('it does not answer\\u{1b}[2J')
  })

  it('says what to do when there is nothing', async () => {
    const fake = session({ snapshot: async () => ({ ...SNAPSHOT, peers: [], transfers: [], shares: [] }) })
    await listPeers(fake)
    await listTransfers(fake)
    await listShares(fake, undefined, {})
    expect(fake.lines).toEqual([])
    expect(fake.notes).toHaveLength(3)
  })

  it('escapes names in listings', async () => {
    const fake = session({ list: async () => ({ entries: [{ path: 'a\u009bb' as SharePath, size: 1, mtime: 0, isDirectory: true }] }) })
    await listFiles(fake, ID, {})
    expect(fake.lines).toEqual(['     1 B  -                 a\\u{9b}b/'])
  })
})

describe('downloads', () => {
  it('asks for a path, and says when it is not there', async () => {
    const ask = vi.fn(async () => ({ transferId: 't-1' }))
    const fake = session({ download: ask, list: async () => ({ entries: [] }) }, { json: true })
    await download(fake, 'brave-otter/Music/Blue/', { wait: false })
    expect(ask).toHaveBeenCalledWith({ peerId: ID, path: 'Music/Blue' })
    expect(parsed(fake)).toEqual([{ id: 't-1' }])
    const gone = session({ download: ask, list: async () => Promise.reject(new CodedError('not-found', 'no such file')) })
    await expect(download(gone, 'brave-otter/x', { wait: false })).rejects.toMatchObject({ code: 'not-found' })
    await expect(download(fake, 'brave-otter', { wait: false })).rejects.toMatchObject({ exitCode: 2 })
    await expect(download(fake, 'brave-otter/../x', { wait: false })).rejects.toMatchObject({ exitCode: 4, code: 'bad-path' })
    expect(ask).toHaveBeenCalledTimes(1)
  })

  it('does not ask a peer that is away', async () => {
    const list = vi.fn()
    const fake = session({ download: async () => ({ transferId: 't-9' }), list }, { json: true })
    await download(fake, 'shy-bear/x', { wait: false })
    expect(list).not.toHaveBeenCalled()
    expect(parsed(fake)).toEqual([{ id: 't-9' }])
  })

  it.each([
    ['done', { state: 'done', reason: null, bytes: 20, endedAt: 2 }, undefined],
    ['failed', { state: 'failed', reason: { code: 'hash-mismatch', message: 'not what was sent' }, endedAt: 2 }, { exitCode: 5, code: 'hash-mismatch' }],
    ['cancelled', { state: 'cancelled', reason: null, endedAt: 2 }, { exitCode: 5 }],
  ] as const)('waits until one is %s', async (_name, end, failure) => {
    const fake = session({ download: async () => ({ transferId: 't-1' }), list: async () => ({ entries: [] }) }, { json: true })
    const waiting = download(fake, 'brave-otter/Music/Blue', { wait: true }).then(() => undefined, (error: unknown) => error)
    await vi.waitFor(() => expect(fake.lines).toEqual([]))
    await new Promise(setImmediate)
    fake.emit({ seq: 1, type: 'transfer', transfer: { ...TRANSFER, state: 'running', reason: null } })
    fake.emit({ seq: 2, type: 'transfer', transfer: { ...TRANSFER, ...end } })
    const error = await waiting
    if (failure === undefined) expect(error).toBeUndefined()
    else expect(error).toMatchObject(failure)
    expect(parsed(fake)).toMatchObject([{ id: 't-1', state: end.state }])
  })

  it('changes one by the beginning of its id', async () => {
    const cancel = vi.fn(async () => {})
    const fake = session({ cancel })
    await changeTransfer(fake, 'cancel', 't-')
    expect(cancel).toHaveBeenCalledWith({ transferId: 't-1' })
    await expect(changeTransfer(fake, 'cancel', 'x')).rejects.toMatchObject({ exitCode: 4 })
  })

  it('reads no further than the file', async () => {
    const fake = session({ remoteFileUrl: async () => ({ url: 'http://127.0.0.1:1/x', size: 10, mtime: 1 }) })
    await expect(readFile(fake, 'brave-otter/a', { start: 11 })).rejects.toMatchObject({ code: 'bad-request' })
    await expect(readFile(fake, 'brave-otter/a', { start: 10 })).resolves.toBeUndefined()
    await expect(readFile(fake, 'brave-otter/a', { start: 3, end: 3 })).resolves.toBeUndefined()
    await expect(readFile(fake, 'brave-otter/a', {})).rejects.toMatchObject({ code: 'connection-lost' })
  })
})

describe('decisions', () => {
  it('accepts and blocks by name', async () => {
    const answerPeer = vi.fn(async () => {})
    const block = vi.fn(async () => {})
    const fake = session({ answerPeer, block })
    await decideAboutPeer(fake, 'accept', 'brave-otter')
    await decideAboutPeer(fake, 'reject', 'brave-otter')
    await decideAboutPeer(fake, 'block', 'shy')
    expect(answerPeer.mock.calls).toEqual([[{ peerId: ID, accept: true }], [{ peerId: ID, accept: false }]])
    expect(block).toHaveBeenCalledWith({ peerId: AWAY.peerId })
  })

  it('removes a share by directory or name', async () => {
    const remove = vi.fn(async () => {})
    const fake = session({ removeShare: remove })
    await removeShare(fake, '/home/me/Music')
    await removeShare(fake, 'Music')
    expect(remove.mock.calls).toEqual([[{ shareId: 's1' }], [{ shareId: 's1' }]])
    await expect(removeShare(fake, '/elsewhere')).rejects.toMatchObject({ exitCode: 4 })
  })

  it('revokes only a device that is meant clearly', async () => {
    const revokeDevice = vi.fn(async () => {})
    const device = { name: 'Firefox', kind: 'browser', role: 'admin', pairedAt: 1, lastUsedAt: null, current: false } as const
    const fake = session({ revokeDevice, devices: async () => [{ ...device, deviceId: 'aa1' }, { ...device, deviceId: 'aa2' }] })
    await expect(manageDevices(fake, { revoke: 'aa' })).rejects.toMatchObject({ code: 'ambiguous' })
    await manageDevices(fake, { revoke: 'aa2' })
    expect(revokeDevice.mock.calls).toEqual([[{ deviceId: 'aa2' }]])
  })
})

interface Outcome {
  start?: StartOptions
  helper?: GlobalOptions
  autostart?: { wish: string; options: GlobalOptions }
  failed?: unknown
}

async function run(...args: string[]): Promise<Outcome> {
  const outcome: Outcome = {}
  const program = buildProgram({
    start: async (options) => void (outcome.start = options),
    autostart: async (wish, options) => void (outcome.autostart = { wish, options }),
    withHelper: async (options) => void (outcome.helper = options),
  })
  for (const command of [program, ...program.commands, ...program.commands.flatMap((sub) => sub.commands)]) command.configureOutput({ writeOut: () => {}, writeErr: () => {} })
  await program.parseAsync(args, { from: 'user' }).catch((error: unknown) => (outcome.failed = error))
  return outcome
}

describe('program', () => {
  it('takes every option of start', async () => {
    const { start } = await run('start', '--share-dir', 'a', '--share-dir', 'b', '--storage', 's', '--download-dir', 'd', '--no-mdns', '--stun-server', 'h:1', '--stun-server', 'i:2', '--ui-address', 'http://127.0.0.1:0', '--no-open', '--verbose', '--json', '--loopback-only', '--udp-port', '5', '--no-port-mapping', '--no-introductions', '--no-mqtt', '--topic', ' Book  Club', '--mqtt-broker', 'mqtt://127.0.0.1:1883')
    expect(start).toMatchObject({ shareDir: ['a', 'b'], storage: 's', downloadDir: 'd', mdns: false, stun: true, stunServer: ['h:1', 'i:2'], open: false, verbose: true, json: true, loopbackOnly: true, udpPort: 5, portMapping: false, introductions: false, mqtt: false, topic: ['book club'], mqttBroker: ['mqtt://127.0.0.1:1883'] })
    expect(start?.uiAddress?.origin).toBe('http://127.0.0.1:0')
    expect((await run('start', '--no-stun')).start).toMatchObject({ stun: false, stunServer: [], open: true, mdns: true, shareDir: [], portMapping: true, introductions: true, mqtt: true, topic: [], mqttBroker: [] })
  })

  it('says what is to be done about starting at login, for which storage', async () => {
    for (const wish of ['enable', 'disable', 'status']) expect((await run('autostart', wish, '--storage', 's')).autostart).toMatchObject({ wish, options: { storage: 's' } })
  })

  it('takes global options before and after the command', async () => {
    expect((await run('--json', '--storage', 's', 'peers')).helper).toMatchObject({ json: true, storage: 's' })
    expect((await run('peers', '--json', '--storage', 's')).helper).toMatchObject({ json: true, storage: 's' })
    expect((await run('share', 'add', 'x', '--json')).helper).toMatchObject({ json: true })
  })

  it.each([
    [[]], [['frob']], [['connect']], [['ls', 'a', 'b']], [['read', 'a/b', '--start', '-1']], [['read', 'a/b', '--start', '1e3']], [['ls', '--recursive', 'maybe']],
    [['start', '--ui-address', 'http://192.168.1.1:80']], [['start', '--ui-address', 'https://127.0.0.1']], [['start', '--ui-address', 'x y']],
    [['start', '--stun-server', 'a b']], [['start', '--udp-port', '70000']], [['peers', '--nope']],
    [['start', '--topic', ' ']], [['start', '--mqtt-broker', 'http://a']], [['ping', 'x', '--count', '0']], [['topic']], [['topic', 'join']], [['settings', 'a', 'b', 'c']], [['autostart', 'maybe']],
  ])('refuses %j', async (args) => {
    const { failed, helper, start } = await run(...args)
    expect(failed).toMatchObject({ name: 'CommanderError', exitCode: 1 })
    expect(helper ?? start).toBeUndefined()
  })

  it('shows help with examples and exit codes', async () => {
    const program = buildProgram({ start: async () => {}, autostart: async () => {}, withHelper: async () => {} })
    let help = ''
    program.configureOutput({ writeOut: (text) => (help += text) })
    await program.parseAsync(['--help'], { from: 'user' }).catch(() => {})
    for (const word of ['start', 'stop', 'connect', 'disconnect', 'peers', 'ls', 'shares', 'share', 'download', 'read', 'transfers', 'code', 'status', 'ping', 'doctor', 'topics', 'topic', 'settings', 'Exit codes', 'Examples']) expect(help).toContain(word)
  })
})
