import * as v from 'valibot'
import { expect, it } from 'vitest'
import type { ErrorCode, PeerId, SharePath } from '../src/index.ts'
import type { ControlApi, ControlSnapshot } from '../src/control/index.ts'

/** What every ControlApi must do about the order and the pace of downloads: part of the control contract. */

interface QueueWorld {
  readonly api: ControlApi
  readonly fixture: { readonly peerId: PeerId; readonly directory: SharePath; readonly file: SharePath; readonly endlessFile: SharePath }
  readonly until: (holds: (state: ControlSnapshot) => boolean) => Promise<ControlSnapshot>
  readonly failsWith: (code: ErrorCode, call: Promise<unknown>) => Promise<Error>
}

const STRANGER = 'ab'.repeat(32) as PeerId

const count = v.pipe(v.number(), v.minValue(0))
export const WAIT = v.nullable(v.strictObject({
  cause: v.picklist(['turn', 'offline', 'place', 'limit', 'disk', 'source', 'peer', 'retry', 'paused', 'peer-paused', 'all-paused']),
  place: v.exactOptional(count), until: v.exactOptional(count),
}))

export const BAD_QUEUE_ARGUMENTS = [
  ['pauseTransfers', {}, 'transferId'],
  ['resumeTransfers', { all: false }, 'all'],
  ['cancelTransfers', { all: true, peerId: STRANGER }, 'peerId'],
  ['retryTransfers', { peerId: STRANGER, path: 'a' }, 'path'],
  ['pauseTransfers', { transferId: 'x', path: '../a' }, 'path'],
  ['moveTransfer', { transferId: 'x', to: 'left' }, 'to'],
  ['moveTransfer', { transferId: 'x' }, 'before'],
  ['followTransfer', { transferId: 'x', follow: 1 }, 'follow'],
  ['previewDownload', { peerId: STRANGER, path: '/' }, 'path'],
] as const

/** @param world that of the running test */
export function queueContract(world: () => QueueWorld): void {
  it('pauses and resumes a transfer, its peer, and everything, and says which it is', async () => {
    const { api, fixture, until, failsWith } = world()
    const { transferId } = await api.download({ peerId: fixture.peerId, path: fixture.endlessFile })
    const shows = (state: string, cause: string | null) => until(({ transfers }) => transfers.some((one) => one.transferId === transferId && one.state === state && (one.wait?.cause ?? null) === cause))
    await shows('running', null)
    const scopes = [[{ transferId }, 'paused'], [{ peerId: fixture.peerId }, 'peer-paused'], [{ all: true }, 'all-paused']] as const
    for (const [scope, cause] of scopes) {
      await api.pauseTransfers(scope)
      await api.pauseTransfers(scope) // twice is once
      const paused = await shows('paused', cause)
      expect(paused.queue).toEqual({ paused: cause === 'all-paused', pausedPeers: cause === 'peer-paused' ? [fixture.peerId] : [] })
      await api.resumeTransfers(scope)
      await shows('running', null)
    }
    for (const method of ['pauseTransfers', 'resumeTransfers', 'cancelTransfers', 'retryTransfers'] as const) {
      await failsWith('not-found', api[method]({ transferId: 'nothing' }))
      await failsWith('not-found', api[method]({ peerId: STRANGER }))
      await failsWith('not-found', api[method]({ transferId, path: 'no/such/part' as SharePath }))
    }
    await api.cancelTransfers({ all: true })
    await until(({ transfers }) => transfers.some((one) => one.transferId === transferId && one.state === 'cancelled'))
  })

  it('moves transfers in line', async () => {
    const { api, fixture, until, failsWith } = world()
    await api.pauseTransfers({ all: true })
    const first = (await api.download({ peerId: fixture.peerId, path: fixture.endlessFile })).transferId
    const second = (await api.download({ peerId: fixture.peerId, path: fixture.file })).transferId
    const line = (snapshot: ControlSnapshot) => snapshot.transfers.filter(({ transferId }) => transferId === first || transferId === second).sort((a, b) => a.order - b.order).map(({ transferId }) => transferId)
    const is = (wanted: readonly string[]) => until((snapshot) => line(snapshot).join() === wanted.join())
    await is([first, second])
    await api.moveTransfer({ transferId: second, to: 'up' })
    await is([second, first])
    await api.moveTransfer({ transferId: second, to: 'bottom' })
    await is([first, second])
    await api.moveTransfer({ transferId: second, before: first })
    await is([second, first])
    await failsWith('not-found', api.moveTransfer({ transferId: 'nothing', to: 'top' }))
    await failsWith('not-found', api.moveTransfer({ transferId: first, before: 'nothing' }))
    await api.cancel({ transferId: first })
    await failsWith('conflict', api.moveTransfer({ transferId: first, to: 'top' }))
  })

  it('says what a download would fetch', async () => {
    const { api, fixture, failsWith } = world()
    const preview = await api.previewDownload({ peerId: fixture.peerId, path: fixture.file })
    expect(preview).toMatchObject({ isDirectory: false, files: 1, here: { files: 0, bytes: 0 }, clashes: 0, rejected: 0, isRenamed: false, isComplete: true, transferId: null })
    expect(preview.bytes).toBeGreaterThan(0)
    expect(preview.target).toMatch(/[/\\]/)
    expect((await api.previewDownload({ peerId: fixture.peerId, path: fixture.directory })).isDirectory).toBe(true)
    await failsWith('not-found', api.previewDownload({ peerId: fixture.peerId, path: 'no/such/thing' as SharePath }))
    await failsWith('not-found', api.previewDownload({ peerId: STRANGER, path: fixture.file }))
  })
}
