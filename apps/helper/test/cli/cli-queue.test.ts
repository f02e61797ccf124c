import type { PeerId, SharePath } from '@harddrive-party/protocol'
import type { ControlApi, DownloadPreview, PeerInfo, TransferInfo, TransferWait } from '@harddrive-party/protocol/control'
import { describe, expect, it } from 'vitest'
import { changeQueue, listQueue, moveInQueue, printPreview } from '../../src/cli/commands/queue.ts'
import type { HelperSession } from '../../src/cli/helper-session.ts'
import { waitWords } from '../../src/cli/wait-words.ts'

const ID = `ab12${'0'.repeat(60)}` as PeerId
const OTTER = { peerId: ID, name: 'Brave Otter', fingerprint: ID.slice(0, 16) } as PeerInfo

function transfer(transferId: string, path: string, order: number, more: Partial<TransferInfo> = {}): TransferInfo {
  return {
    transferId, peerId: ID, peerName: 'Brave Otter', path: path as SharePath, isDirectory: true, state: 'queued', reason: null, bytes: 10, total: 20, files: { done: 1, failed: 0, total: 2 },
    bytesPerSecond: 0, target: '/d/Blue', notices: [], addedAt: order, endedAt: null, wait: { cause: 'turn' }, order, held: false, follow: false, skippedFiles: 0, ...more,
  }
}

function open(transfers: readonly TransferInfo[], json = false) {
  const lines: string[] = []
  const calls: [string, unknown][] = []
  const api = new Proxy({}, {
    get: (_target, method: string) => async (args: unknown) => {
      if (method === 'snapshot') return { transfers, peers: [OTTER], queue: { paused: false, pausedPeers: [] } }
      calls.push([method, args])
      return undefined
    },
  }) as ControlApi
  const output = { json, showsProgress: false, line: async (text: string) => void lines.push(text), note: () => undefined, fail: () => undefined }
  return { session: { api, output } as unknown as HelperSession, lines, calls }
}

const BLUE = transfer('1b9d6bcd-1111', 'Music/Blue', 2)
const RED = transfer('2c000000-2222', 'Music/Red', 1, { state: 'waiting', wait: { cause: 'place', place: 4 } })
const OVER = transfer('3d000000-3333', 'Music/Blue', 0, { state: 'done', endedAt: 5 })

describe('hdp queue', () => {
  it('lists what has not ended, in order, with the reason in words', async () => {
    const { session, lines } = open([BLUE, RED, OVER])
    await listQueue(session, {})
    expect(lines.map((line) => line.replace(/ {2,}/g, ' | '))).toEqual([
      '# | ID | STATE | DONE | PATH', "1 | 2c000000 | waiting | 10 B of 20 B | brave-otter/Music/Red | place 4 in Brave Otter's queue", '2 | 1b9d6bcd | queued | 10 B of 20 B | brave-otter/Music/Blue | others come first',
    ])
    const scripts = open([BLUE, RED], true)
    await listQueue(scripts.session, {})
    expect(JSON.parse(scripts.lines[0]!)).toMatchObject({ paused: false, pausedPeers: [], transfers: [{ id: RED.transferId, position: 1, wait: { cause: 'place', place: 4 } }, { position: 2 }] })
  })

  it('takes all, a peer, an id, a path and a part of one', async () => {
    const { session, calls } = open([BLUE, RED, OVER])
    await changeQueue(session, 'pause', 'all', undefined)
    await changeQueue(session, 'resume', 'brave-otter', undefined)
    await changeQueue(session, 'cancel', '1b9d', undefined)
    await changeQueue(session, 'retry', 'brave-otter/Music/Blue', undefined)
    await changeQueue(session, 'cancel', 'brave-otter/Music/Blue/CD 2', undefined)
    await changeQueue(session, 'pause', '2c00', 'CD 1/a.flac')
    expect(calls).toEqual([
      ['pauseTransfers', { all: true }], ['resumeTransfers', { peerId: ID }], ['cancelTransfers', { transferId: BLUE.transferId }], ['retryTransfers', { transferId: BLUE.transferId }],
      ['cancelTransfers', { transferId: BLUE.transferId, path: 'CD 2' }], ['pauseTransfers', { transferId: RED.transferId, path: 'CD 1/a.flac' }],
    ])
    await expect(changeQueue(session, 'pause', 'nobody', undefined)).rejects.toMatchObject({ exitCode: 4 })
    await expect(changeQueue(session, 'pause', 'brave-otter/Films', undefined)).rejects.toMatchObject({ exitCode: 4 })
  })

  it('moves to a place or before another one, and wants exactly one of both', async () => {
    const { session, calls } = open([BLUE, RED])
    await moveInQueue(session, '1b9d', 'top', undefined)
    await moveInQueue(session, '1b9d', undefined, 'brave-otter/Music/Red')
    expect(calls).toEqual([['moveTransfer', { transferId: BLUE.transferId, to: 'top' }], ['moveTransfer', { transferId: BLUE.transferId, before: RED.transferId }]])
    await expect(moveInQueue(session, '1b9d', undefined, undefined)).rejects.toMatchObject({ exitCode: 2 })
  })

  it('says every reason, and escapes what strangers wrote', () => {
    const causes: TransferWait['cause'][] = ['turn', 'offline', 'place', 'limit', 'disk', 'source', 'peer', 'retry', 'paused', 'peer-paused', 'all-paused']
    for (const cause of causes) {
      const words = waitWords({ wait: { cause, until: 13_000 }, peerName: 'x\u001b[2J', reason: { code: 'timed-out', message: 'nothing\u001b[2J came' } }, 1_000)
      expect(words).not.toBe('')
      expect(words).not.toContain('\u001b')
    }
    expect(waitWords({ wait: { cause: 'retry', until: 13_000 }, peerName: 'x', reason: { code: 'timed-out', message: 'nothing came' } }, 1_000)).toBe('nothing came; tried again in 12 s')
  })
})

it('a dry run says how much, what is here and whether it fits', async () => {
  const { session, lines } = open([])
  const preview: DownloadPreview = {
    isDirectory: true, files: 5, bytes: 5_000_000, here: { files: 2, bytes: 2_000_000 }, clashes: 1, rejected: 0, target: '/d/Blue (2)', isRenamed: true, freeBytes: 1_000_000, fits: false,
    isComplete: false, transferId: null,
  }
  await printPreview(session, preview)
  expect(lines).toEqual([
    'at least 5 files, 5.00 MB', 'here already: 2 files, 2.00 MB; to fetch: at least 3, 3.00 MB', '1 would get another name, since theirs is taken', 'into /d/Blue (2) (its own name is taken)',
    '1.00 MB free: it does not fit',
  ])
})
