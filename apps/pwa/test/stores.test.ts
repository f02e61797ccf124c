import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type PeerId, CodedError } from '@harddrive-party/protocol'
import { type PeerInfo, type TransferInfo, parsePairingFragment } from '@harddrive-party/protocol/control'
import { follow } from '../src/control.ts'
import { groupPeers, problemWithCode, usePeers } from '../src/features/peers/peers-store.ts'
import { progressWords, sortTransfers, troubleWords } from '../src/features/transfers/transfers-store.ts'
import { type MockControl, openMockControl } from '../src/mock/mock-control.ts'
import { MY_ID } from '../src/mock/mock-scenarios.ts'
import { useHelper } from '../src/state/helper-store.ts'
import { type Memory, memoryInRam } from '../src/state/memory.ts'
import { useSetup } from '../src/state/setup-store.ts'
import { useWishes } from '../src/state/wish-store.ts'

const peer = (name: string, state: PeerInfo['state']) => ({ name, state, peerId: name }) as unknown as PeerInfo
const transfer = (more: Partial<TransferInfo>): TransferInfo => ({
  transferId: 't', peerId: MY_ID, peerName: 'amber-otter', path: 'a' as TransferInfo['path'], isDirectory: false, state: 'running', reason: null, bytes: 500, total: 1000,
  files: { done: 0, failed: 0, total: 1 }, bytesPerSecond: 100, target: null, notices: [], addedAt: 0, endedAt: null,
  wait: null, order: 1, held: false, follow: false, skippedFiles: 0, ...more,
})

let mock: MockControl
let memory: Memory
let isOn: boolean
let drop: () => void

beforeEach(() => {
  setActivePinia(createPinia())
  mock = openMockControl('default')
  memory = memoryInRam()
  isOn = true
})
afterEach(() => mock.close())

const door = {
  pair: async () => MY_ID,
  sessions: () => async (listener: Parameters<typeof follow>[1]) => {
    if (!isOn) throw new CodedError('unreachable', 'nobody there')
    const closed = new Promise<void>((resolve) => {
      drop = resolve
    })
    return follow({ ...mock, close: () => undefined }, listener, closed)
  },
}

async function bootPaired() {
  await memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
  await useSetup().boot({ memory, door })
  await vi.waitFor(() => expect(useHelper().isOpen).toBe(true))
}

async function loseHelper() {
  isOn = false
  drop()
  await vi.waitFor(() => expect(useHelper().link).toBe('lost'))
}

describe('pairing', () => {
  const link = `http://127.0.0.1:3030/#/pair/${'5a'.repeat(16)}.${MY_ID.slice(0, 32)}`

  it('starts unpaired, pairs with a link, and remembers', async () => {
    const setup = useSetup()
    await setup.boot({ memory, door })
    expect(useHelper().link).toBe('unpaired')
    expect(await setup.pair('nonsense')).toBe(false)
    expect(setup.problem).not.toBe('')
    expect(await setup.pair(link)).toBe(true)
    await vi.waitFor(() => expect(useHelper().isOpen).toBe(true))
    expect((await memory.pairing())?.helperId).toBe(MY_ID)
  })

  it('does not use up a link of the helper it knows already', async () => {
    await bootPaired()
    expect(parsePairingFragment(link).ok).toBe(true)
    const pair = vi.spyOn(door, 'pair')
    expect(await useSetup().pair(link)).toBe(true)
    expect(pair).not.toHaveBeenCalled()
    pair.mockRestore()
  })

  it('says in words why a link does not work', async () => {
    const setup = useSetup()
    await setup.boot({ memory, door: { ...door, pair: async () => Promise.reject(new CodedError('not-allowed', 'used')) } })
    expect(await setup.pair(link)).toBe(false)
    expect(setup.problem).toContain('used already or has expired')
    expect(useHelper().link).toBe('unpaired')
  })
})

describe('the helper store', () => {
  it('follows the helper', async () => {
    await bootPaired()
    const helper = useHelper()
    const [peer] = helper.connectedPeers
    await helper.api.disconnect({ peerId: peer!.peerId })
    expect(helper.peers.get(peer!.peerId)?.state).toBe('away')
    await helper.api.forget({ peerId: peer!.peerId })
    expect(helper.peers.has(peer!.peerId)).toBe(false)
    mock.advance(10_000)
    expect([...helper.transfers.values()].some((transfer) => transfer.state === 'done')).toBe(true)
  })

  it('claims no connection once the helper is gone, and shows peers of an earlier visit', async () => {
    await bootPaired()
    await loseHelper()
    const helper = useHelper()
    expect(helper.connectedPeers).toEqual([])
    expect(helper.peers.size).toBe(5)
    setActivePinia(createPinia())
    await useSetup().boot({ memory, door })
    await vi.waitFor(() => expect(useHelper().peers.size).toBe(5))
    expect([...useHelper().peers.values()].map(({ state }) => state)).not.toContain('connected')
  })
})

describe('wishes', () => {
  const wish = { peerName: 'amber-otter', path: 'Music/Mixtape for the long drive.mp3', isDirectory: false, size: 5 }

  it('go straight to the helper while it is there', async () => {
    await bootPaired()
    const [peer] = useHelper().connectedPeers
    expect(await useWishes().want({ ...wish, peerId: peer!.peerId })).toBe('sent')
    expect(useWishes().unsent).toBe(0)
    expect([...useHelper().transfers.values()].some(({ path, peerId }) => path === wish.path && peerId === peer!.peerId)).toBe(true)
  })

  it('wait while it is away, survive a reload, and are sent once when it is back', async () => {
    await bootPaired()
    const peerId = useHelper().connectedPeers[0]!.peerId
    await loseHelper()
    expect(await useWishes().want({ ...wish, peerId })).toBe('queued')
    expect(await useWishes().want({ ...wish, peerId })).toBe('queued')
    const wanted = () => useWishes().queued.filter((one) => one.peerId === peerId && one.path === wish.path)
    expect(wanted()).toHaveLength(1)

    setActivePinia(createPinia())
    await useSetup().boot({ memory, door })
    expect(wanted()).toHaveLength(1)
    isOn = true
    useHelper().wake()
    await vi.waitFor(() => expect(useWishes().queued).toEqual([]))
    const kept = useWishes().paths.find(({ what }) => what.kind === 'path' && what.peerId === peerId && what.path === wish.path)
    expect([...useHelper().transfers.values()].filter((one) => one.peerId === peerId && one.path === wish.path).map(({ transferId }) => transferId)).toEqual([kept?.id])
    expect(useWishes().unsent).toBe(0)
  })

  it('stay with a reason when the helper will not have them, and can be tried again or dropped', async () => {
    await bootPaired()
    await loseHelper()
    expect(await useWishes().want({ ...wish, peerId: 'f'.repeat(64) as PeerId })).toBe('queued')
    isOn = true
    useHelper().wake()
    await vi.waitFor(() => expect(useWishes().queued[0]?.error).toBe('There is no such peer.'))
    const { id } = useWishes().queued[0]!
    await useWishes().retry(id)
    await vi.waitFor(() => expect(useWishes().queued[0]?.error).toBe('There is no such peer.'))
    expect(useWishes().queued[0]!.id).not.toBe(id)
    await useWishes().remove(useWishes().queued[0]!.id)
    expect(useWishes().all.filter(({ what }) => what.kind === 'path' && what.peerId === 'f'.repeat(64))).toEqual([])
    await expect(useWishes().want({ ...wish, peerId: 'f'.repeat(64) as PeerId })).rejects.toMatchObject({ code: 'not-found' })
  })

  it('are kept when the helper goes away in the middle', async () => {
    await bootPaired()
    vi.spyOn(mock.api, 'syncWishes').mockRejectedValue(new CodedError('closed', 'gone'))
    expect(await useWishes().want({ ...wish, peerId: useHelper().connectedPeers[0]!.peerId })).toBe('queued')
    expect((await memory.wishCopy()).rows.some((row) => row.changed)).toBe(true)
  })

  it('changed in two browsers while the helper was away come together', async () => {
    await bootPaired()
    const first = { wishes: useWishes(), helper: useHelper() }
    const id = await first.wishes.wantSearch({ kind: 'search', text: 'nobody has this', peerId: null, peerName: null }, {})
    setActivePinia(createPinia())
    const other = memoryInRam()
    await other.putPairing({ helperId: MY_ID, pairedAt: 0 })
    const dropFirst = drop
    await useSetup().boot({ memory: other, door })
    const second = { wishes: useWishes(), helper: useHelper() }
    await vi.waitFor(() => expect(second.wishes.searches.map((one) => one.id)).toContain(id))
    isOn = false
    dropFirst()
    drop()
    await vi.waitFor(() => expect([first.helper.link, second.helper.link]).toEqual(['lost', 'lost']))
    await first.wishes.change(id, { paused: true })
    await second.wishes.change(id, { priority: 'high', what: { kind: 'search', text: 'or this', peerId: null, peerName: null } })
    await second.wishes.wantSearch({ kind: 'search', text: 'another', peerId: null, peerName: null }, { repeat: true })
    expect([first.wishes.unsent, second.wishes.unsent]).toEqual([1, 2])
    isOn = true
    first.helper.wake()
    second.helper.wake()
    for (const { wishes } of [first, second]) {
      await vi.waitFor(() => expect(wishes.searches.find((one) => one.id === id)).toMatchObject({ paused: true, priority: 'high', what: { text: 'or this' } }))
      await vi.waitFor(() => expect(wishes.searches.map(({ what }) => what.kind === 'search' && what.text)).toContain('another'))
      expect(wishes.unsent).toBe(0)
    }
  })

  it('wait for an answer to what their search has found', async () => {
    await bootPaired()
    const id = await useWishes().wantSearch({ kind: 'search', text: 'Mixtape for the long drive', peerId: null, peerName: null }, {})
    await vi.waitFor(() => expect(useWishes().searches.find((one) => one.id === id)?.status).toMatchObject({ state: 'found' }))
    expect(useHelper().wishes!.matches).toBeGreaterThan(0)
    await useHelper().api.answerMatches({ wishId: id, accept: true })
    await vi.waitFor(() => expect(useWishes().searches.find((one) => one.id === id)?.status).toMatchObject({ matches: 0 }))
  })
})

describe('peers', () => {
  it('shows my code, renews it, and connects with another', async () => {
    await bootPaired()
    const peers = usePeers()
    await peers.loadCode()
    const mine = peers.myCode!.code
    expect(problemWithCode(mine)).toBeNull()
    await peers.renewCode()
    expect(peers.myCode!.code).not.toBe(mine)
    expect(await peers.connect(mine)).toMatchObject({ state: 'connected' })
    expect(await peers.connect(peers.myCode!.code)).toBeNull()
    expect(peers.connectProblem).toBe('This is your own code.')
  })

  it('says precisely what is wrong with a code while it is typed', async () => {
    const { code, link } = await mock.api.announceCode()
    expect(problemWithCode('')).toBeNull()
    expect(problemWithCode(link)).toBeNull()
    expect(problemWithCode('hello')).toMatch(/not an announce code/)
    expect(problemWithCode(`${code.slice(0, -1)}${code.endsWith('q') ? 'p' : 'q'}`)).not.toBeNull()
    expect(problemWithCode(`http://127.0.0.1:3030/#/pair/${'5a'.repeat(16)}.${'5a'.repeat(16)}`)).toMatch(/pairs a browser/)
  })

  it('groups peers by what can be done about them', () => {
    const groups = groupPeers([peer('d', 'offline'), peer('c', 'dialling'), peer('b', 'connected'), peer('a', 'connected'), peer('e', 'asks'), peer('f', 'blocked'), peer('g', 'away'), peer('h', 'nearby')])
    expect(Object.fromEntries(Object.entries(groups).map(([group, list]) => [group, (list as PeerInfo[]).map(({ name }) => name).join('')]))).toEqual({ asking: 'e', nearby: 'h', connected: 'ab', known: 'cdg', blocked: 'f' })
  })
})

describe('transfers in words', () => {
  it('say how far and how long', () => {
    expect(progressWords(transfer({}))).toBe('500 B of 1.0 KB · 50% · 100 B/s · 5 s left')
    expect(progressWords(transfer({ state: 'waiting', bytesPerSecond: 0 }))).toBe('500 B of 1.0 KB · 50%')
    expect(progressWords(transfer({ state: 'done', isDirectory: true, files: { done: 3, failed: 0, total: 3 } }))).toBe('1.0 KB · 3 files')
    expect(progressWords(transfer({ state: 'listing', total: null, bytes: 0 }))).toBe('Reading the folder…')
  })

  it('say why something waits', () => {
    expect(troubleWords(transfer({ state: 'waiting', wait: { cause: 'offline' }, reason: { code: 'offline', message: '' } }))).toBe('Waiting for amber-otter to come online.')
    expect(troubleWords(transfer({ state: 'waiting', wait: { cause: 'disk' }, reason: { code: 'disk-full', message: '' } }))).toContain('disk is full')
    expect(troubleWords(transfer({ state: 'waiting', wait: { cause: 'place', place: 4 }, reason: { code: 'busy', message: '' } }))).toBe('Place 4 in amber-otter’s queue.')
    expect(troubleWords(transfer({ state: 'waiting', wait: { cause: 'retry', until: Date.now() + 90_000 }, reason: { code: 'timed-out', message: '' } }))).toMatch(/^No answer.* Tried again in /)
    expect(troubleWords(transfer({ state: 'paused', wait: { cause: 'peer-paused' } }))).toBe('Everything from amber-otter is paused.')
    for (const cause of ['turn', 'limit', 'source', 'paused', 'all-paused'] as const) expect(troubleWords(transfer({ state: 'queued', wait: { cause } }))).toMatch(/\.$/)
    expect(troubleWords(transfer({ state: 'done', files: { done: 1, failed: 2, total: 3 } }))).toBe('2 files could not be fetched.')
    expect(troubleWords(transfer({}))).toBe('')
  })

  it('keep the order of the line, and put what ended last first', () => {
    const { active, ended } = sortTransfers([transfer({ transferId: 'w', state: 'waiting', order: 2 }), transfer({ transferId: 'r', order: 1.5 }), transfer({ transferId: 'd1', state: 'done', endedAt: 1 }), transfer({ transferId: 'd2', state: 'failed', endedAt: 2 })])
    expect([active.map((one) => one.transferId), ended.map((one) => one.transferId)]).toEqual([['r', 'w'], ['d2', 'd1']])
  })
})
