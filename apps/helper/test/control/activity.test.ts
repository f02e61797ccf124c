import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { type PeerId, type SharePath } from '@harddrive-party/protocol'
import { type ActivityEntry, type ControlChange, MAX_ACTIVITY, type PeerInfo, type PeerState, type ShareInfo, type TransferInfo, type TransferState } from '@harddrive-party/protocol/control'
import { openStore } from '../../src/adapters/system/store.ts'
import { createActivityBook } from '../../src/control/activity-book.ts'
import { ActivityLog } from '../../src/control/activity-log.ts'

const ADA = 'aa'.repeat(32) as PeerId

const peer = (state: PeerState, more: Partial<PeerInfo> = {}): PeerInfo => ({
  peerId: ADA, name: 'Ada', fingerprint: 'aaaaaaaaaaaaaaaa', state, path: null, lastError: null, lastSeenAt: null, sharedBytes: null, ...more,
})
const transfer = (state: TransferState, more: Partial<TransferInfo> = {}): TransferInfo => ({
  transferId: 't1', peerId: ADA, peerName: 'Ada', path: 'Music/a.flac' as SharePath, isDirectory: false, state, reason: null, bytes: 7, total: 7,
  files: { done: 1, failed: 0, total: 1 }, bytesPerSecond: 0, target: null, notices: [], addedAt: 1, endedAt: null, ...more,
} as TransferInfo)
const share = (state: ShareInfo['state']): ShareInfo => ({ shareId: 's1', name: 'Music', directory: '/m', state, files: 0, directories: 0, bytes: 0, skipped: 0, scannedAt: null } as ShareInfo)

function feed(log: ActivityLog, ...changes: ControlChange[]): ActivityEntry[] {
  return changes.flatMap((change, index) => log.step(100 + index, change))
}

describe('what is worth telling', () => {
  it('is the end of a download, once', () => {
    const steps = (['queued', 'running', 'running', 'done', 'done'] as const).map((state): ControlChange => ({ type: 'transfer', transfer: transfer(state) }))
    expect(feed(new ActivityLog(), ...steps)).toEqual([{ id: 1, at: 103, type: 'download-done', peerId: ADA, peerName: 'Ada', transferId: 't1', path: 'Music/a.flac', bytes: 7, failed: 0 }])
  })

  it('is why a download failed, and that it went well when tried again', () => {
    const reason = { code: 'not-found', message: 'it is gone' } as const
    const entries = feed(new ActivityLog(), { type: 'transfer', transfer: transfer('running') }, { type: 'transfer', transfer: transfer('failed', { reason }) }, { type: 'transfer', transfer: transfer('queued') }, { type: 'transfer', transfer: transfer('done') })
    expect(entries.map(({ type }) => type)).toEqual(['download-failed', 'download-done'])
    expect(entries[0]).toMatchObject({ reason })
  })

  it('is not what had ended before the helper was started', () => {
    const log = new ActivityLog()
    log.seed({ peers: [peer('offline', { lastSeenAt: 5 })], transfers: [transfer('done')], shares: [share('missing')] })
    expect(feed(log, { type: 'transfer', transfer: transfer('done') }, { type: 'peer', peer: peer('connected', { lastSeenAt: 5 }) }, { type: 'share', share: share('missing') })).toEqual([])
  })

  it('is somebody new, at the door and inside, and nobody twice', () => {
    const entries = feed(new ActivityLog(), ...(['asks', 'asks', 'connected', 'offline', 'dialling', 'connected'] as const).map((state): ControlChange => ({ type: 'peer', peer: peer(state) })))
    expect(entries.map(({ type }) => type)).toEqual(['peer-asks', 'peer-new'])
  })

  it('is a share whose folder has gone, each time', () => {
    const entries = feed(new ActivityLog(), ...(['ready', 'missing', 'missing', 'ready', 'missing'] as const).map((state): ControlChange => ({ type: 'share', share: share(state) })))
    expect(entries.map(({ type }) => type)).toEqual(['share-missing', 'share-missing'])
  })
})

describe('the log', () => {
  it('keeps the newest, and pages through them without a gap', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: MAX_ACTIVITY + 40 }), fc.integer({ min: 1, max: 70 }), (count, limit) => {
      const log = new ActivityLog()
      for (let n = 0; n < count; n++) log.note(n, { type: 'peer-new', peerId: ADA, peerName: 'Ada' })
      const ids: number[] = []
      for (let before: number | undefined; ;) {
        const page = log.page({ limit, ...(before === undefined ? {} : { before }) })
        if (page.length === 0) break
        ids.push(...page.map(({ id }) => id))
        before = ids.at(-1)
      }
      expect(ids).toEqual(Array.from({ length: Math.min(count, MAX_ACTIVITY) }, (_none, index) => count - index))
    }))
  })

  it('goes on counting after it was cleared', () => {
    const log = new ActivityLog()
    log.note(1, { type: 'peer-new', peerId: ADA, peerName: 'Ada' })
    log.clear()
    expect(log.page({ limit: 10 })).toEqual([])
    expect(log.note(2, { type: 'peer-new', peerId: ADA, peerName: 'Ada' }).id).toBe(2)
  })
})

describe('the book', () => {
  let directory: string
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('survives restarts, clearing included, and tells every entry', async () => {
    directory = await mkdtemp(join(tmpdir(), 'hdp-activity-'))
    const told: ControlChange[] = []
    const open = () => {
      const store = openStore(join(directory, 'database'))
      const book = createActivityBook({ store, now: () => 9, onChange: (change) => told.push(change), onError: (error) => expect.fail(String(error)) })
      return { store, book }
    }
    const first = open()
    for (let n = 0; n < MAX_ACTIVITY + 3; n++) first.book.note({ type: 'peer-new', peerId: ADA, peerName: `Ada ${n}` })
    await first.store.close()
    expect(told).toHaveLength(MAX_ACTIVITY + 3)

    const second = open()
    const { entries } = await second.book.activity({ limit: MAX_ACTIVITY })
    expect(entries).toHaveLength(MAX_ACTIVITY)
    expect(entries[0]).toMatchObject({ id: MAX_ACTIVITY + 3, peerName: `Ada ${MAX_ACTIVITY + 2}` })
    await second.book.clearActivity()
    expect(told.at(-1)).toEqual({ type: 'activity-cleared' })
    await second.store.close()

    const third = open()
    expect(await third.book.activity({ limit: 10 })).toEqual({ entries: [] })
    third.book.note({ type: 'peer-new', peerId: ADA, peerName: 'Ada' })
    expect((await third.book.activity({ limit: 10 })).entries[0]?.id).toBe(MAX_ACTIVITY + 4)
    await third.store.close()
  })
})
