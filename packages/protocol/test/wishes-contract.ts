import { expect, it } from 'vitest'
import type { PeerId, SharePath } from '../src/index.ts'
import { type ControlApi, type ControlEvent, NEW_PLACE, WishCopy, valuesOf } from '../src/control/index.ts'

/** What every ControlApi must do with wishes, whoever implements it. Part of the control contract. */
export interface WishesFixture {
  readonly api: ControlApi
  onEvent(listener: (event: ControlEvent) => void): () => void
  readonly peerId: PeerId
  readonly file: SharePath
  readonly endlessFile: SharePath
}

const STRANGER = 'ab'.repeat(32) as PeerId

const search = (text: string) => ({ kind: 'search', text, peerId: null, peerName: null }) as const

let writers = 0
const newCopy = () => new WishCopy(() => (++writers).toString(16).padStart(16, '0'), { rows: [], place: NEW_PLACE })

async function sync(api: ControlApi, copy: WishCopy): Promise<void> {
  for (let again = true; again;) {
    const request = copy.request()
    again = copy.take(request, await api.syncWishes(request), Date.now()).again
  }
}

export function wishesContract(fixture: () => WishesFixture): void {
  /** Until a wish is as wanted: asked again whenever the helper says that something has changed. */
  const until = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        const unsubscribe = fixture().onEvent(() => {
          unsubscribe()
          resolve()
        })
      })
      const found = await look()
      if (found !== undefined) return found
      await changed
    }
  }
  const wish = async (wishId: string) => (await fixture().api.wishes({ limit: 1000 })).wishes.find((one) => one.wishId === wishId)

  it('keeps wishes for searches: adds once, edits, lists page by page, removes', async () => {
    const { api } = fixture()
    await api.snapshot()
    const { wishId } = await api.addWish({ id: 'contract-wish', what: search('nothing is called this') })
    expect(await api.addWish({ id: wishId, what: search('nothing is called this') })).toEqual({ wishId })
    expect(await wish(wishId)).toMatchObject({ what: search('nothing is called this'), paused: false, repeat: false, automatic: false, priority: 'normal' })
    const edited = await api.editWish({ wishId, paused: true, priority: 'high' })
    expect(edited).toMatchObject({ paused: true, priority: 'high', what: search('nothing is called this') })
    const second = await api.addWish({ what: search('nor this'), repeat: true })
    const first = await api.wishes({ limit: 1 })
    expect(first.wishes).toHaveLength(1)
    const rest = await api.wishes({ limit: 1000, ...(first.cursor === undefined ? {} : { cursor: first.cursor }) })
    expect([...first.wishes, ...rest.wishes].map((one) => one.wishId)).toEqual(expect.arrayContaining([wishId, second.wishId]))
    await api.removeWish({ wishId })
    expect(await wish(wishId)).toBeUndefined()
    await expect(api.editWish({ wishId, paused: false })).rejects.toMatchObject({ code: 'not-found' })
    await expect(api.removeWish({ wishId })).rejects.toMatchObject({ code: 'not-found' })
    await expect(api.wishMatches({ wishId, limit: 1 })).rejects.toMatchObject({ code: 'not-found' })
    await expect(api.answerMatches({ wishId, accept: true })).rejects.toMatchObject({ code: 'not-found' })
    await expect(api.wishes({ limit: 1, cursor: 'made up' })).rejects.toMatchObject({ code: 'bad-request' })
  })

  it('brings copies together that were changed apart from each other', async () => {
    const { api } = fixture()
    const [one, two] = [newCopy(), newCopy()]
    one.add('contract-synced', { what: search('together') }, Date.now())
    await sync(api, one)
    await sync(api, two)
    one.edit('contract-synced', { paused: true }, Date.now())
    two.edit('contract-synced', { priority: 'low' }, Date.now())
    two.add('contract-added', { what: search('also') }, Date.now())
    for (const copy of [one, two, one]) await sync(api, copy)
    for (const copy of [one, two]) {
      expect(valuesOf((copy.row('contract-synced') as { wish: Parameters<typeof valuesOf>[0] }).wish)).toMatchObject({ paused: true, priority: 'low' })
      expect(copy.row('contract-added')).toBeDefined()
      expect(copy.hasChanges).toBe(false)
    }
    expect(await wish('contract-synced')).toMatchObject({ paused: true, priority: 'low' })
    const { store } = one.place
    expect(await api.syncWishes({ store: store as string, since: 10_000_000 })).toMatchObject({ reset: true })
    expect(await api.syncWishes({ store: 'another', since: 0 })).toMatchObject({ reset: true, store })
  })

  it('says when there is something to sync', async () => {
    const { api } = fixture()
    const { wishes } = await api.snapshot()
    const told = new Promise<number>((resolve) => {
      const unsubscribe = fixture().onEvent((event) => {
        if (event.type !== 'wishes') return
        unsubscribe()
        resolve(event.wishes.revision)
      })
    })
    await api.addWish({ what: search('news') })
    expect(await told).toBeGreaterThan(wishes.revision)
  })

  it('makes a wish for a path a transfer with its id, and ends it with the wish', async () => {
    const { api, peerId, endlessFile } = fixture()
    const what = { kind: 'path', peerId, peerName: 'x', path: endlessFile, isDirectory: false, size: null } as const
    await api.addWish({ id: 'contract-path', what })
    const { transfers } = await api.snapshot()
    expect(transfers.map(({ transferId, path }) => [transferId, path])).toContainEqual(['contract-path', endlessFile])
    expect((await wish('contract-path'))?.status.state).toBe('transfer')
    await api.removeWish({ wishId: 'contract-path' })
    expect((await api.snapshot()).transfers.find(({ transferId }) => transferId === 'contract-path')?.state).toBe('cancelled')
    await api.addWish({ id: 'contract-nobody', what: { ...what, peerId: STRANGER } })
    expect((await wish('contract-nobody'))?.status).toMatchObject({ state: 'refused', reason: { code: 'not-found' } })
  })

  it('knows a download as a wish until it is done', async () => {
    const { api, peerId, file, endlessFile } = fixture()
    await api.snapshot()
    const { transferId } = await api.download({ peerId, path: endlessFile })
    await until(() => wish(transferId))
    const done = await api.download({ peerId, path: file })
    await until(async () => ((await api.snapshot()).transfers.some((one) => one.transferId === done.transferId && one.state === 'done') ? true : undefined))
    await until(async () => ((await wish(done.transferId)) === undefined ? true : undefined))
    await api.cancel({ transferId })
    await until(async () => ((await wish(transferId)) === undefined ? true : undefined))
  })

  it('finds what a search wishes for, and downloads it when told', async () => {
    const { api, file, peerId } = fixture()
    await api.snapshot()
    const name = file.slice(file.lastIndexOf('/') + 1)
    const { wishId } = await api.addWish({ what: { kind: 'search', text: name, peerId, peerName: 'x' } })
    const found = await until(async () => ((await wish(wishId))?.status.matches === 0 ? undefined : wish(wishId)))
    expect(found?.status).toMatchObject({ state: 'found', taken: 0 })
    expect((await api.snapshot()).wishes.matches).toBeGreaterThan(0)
    const { matches } = await api.wishMatches({ wishId, limit: 1000 })
    const match = matches.find(({ path }) => path.endsWith(name))
    expect(match).toMatchObject({ peerId, isDirectory: false, peerName: expect.any(String) })
    expect(await api.answerMatches({ wishId, accept: true, matchIds: [match?.matchId ?? '', 'no such match'] })).toEqual({ answered: 1 })
    expect((await wish(wishId))?.status).toMatchObject({ taken: 1, matches: matches.length - 1 })
    expect((await api.snapshot()).transfers.map(({ path }) => path)).toContain(match?.path)
    await api.answerMatches({ wishId, accept: false })
    expect(await api.wishMatches({ wishId, limit: 10 })).toEqual({ matches: [] })
  })

  it('downloads by itself what a search finds, when the wish says so', async () => {
    const { api, file, peerId } = fixture()
    await api.snapshot()
    const name = file.slice(file.lastIndexOf('/') + 1)
    const { wishId } = await api.addWish({ what: { kind: 'search', text: name, peerId, peerName: 'x' }, automatic: true, repeat: true })
    const fired = await until(async () => ((await wish(wishId))?.status.taken === 0 ? undefined : wish(wishId)))
    expect(fired?.status).toMatchObject({ state: 'watching', matches: 0 })
    expect((await api.snapshot()).transfers.some(({ path }) => path.endsWith(name))).toBe(true)
  })

  it('puts what a wish fetches into its folder', async () => {
    const { api, endlessFile, peerId } = fixture()
    await api.snapshot()
    const { wishId } = await api.addWish({ what: { kind: 'path', peerId, peerName: 'x', path: endlessFile, isDirectory: false, size: null }, folder: 'Found/Here' as SharePath, paused: true })
    expect(await wish(wishId)).toMatchObject({ folder: 'Found/Here', paused: true })
    expect((await api.editWish({ wishId, folder: null })).folder).toBeNull()
    await api.editWish({ wishId, folder: 'Found/There' as SharePath })
    await api.editWish({ wishId, paused: false })
    const target = await until(async () => (await api.snapshot()).transfers.find(({ transferId }) => transferId === wishId)?.target ?? undefined)
    expect(target.replaceAll('\\', '/')).toMatch(/\/Found\/There\/[^/]+$/)
    await api.removeWish({ wishId })
  })
}
