import * as v from 'valibot'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry, ErrorCode, PeerId, SharePath } from '../src/index.ts'
import { type ActivityEntry, CONTROL_METHODS, MAX_ACTIVITY, type ControlApi, type ControlEvent, type ControlSnapshot, openControlMirror, parsePairingFragment } from '../src/control/index.ts'
import { BAD_ARGUMENTS } from './bad-control-arguments.ts'
import { REPORT, SHARE, SNAPSHOT, count, nullable } from './control-shapes.ts'
import { queueContract } from './queue-contract.ts'
import { wishesContract } from './wishes-contract.ts'

/** What every ControlApi must do, whoever implements it: run on the real helper behind its door, and on the app's mock. */

export interface ControlFixture {
  readonly api: ControlApi
  onEvent(listener: (event: ControlEvent) => void): () => void
  /** Known and connected; `reconnect` after `disconnect` connects it again. */
  readonly peerId: PeerId
  /** A directory of the peer with at least three entries directly below it, two of them files. */
  readonly directory: SharePath
  /** A file directly in it that is fetched within a second. */
  readonly file: SharePath
  /** A file anywhere that is not fetched before the test ends. */
  readonly endlessFile: SharePath
  /** Absolute path of a directory that can be shared and is not yet. */
  readonly shareDirectory: string
  /** Absolute path at which nothing is. */
  readonly missingDirectory: string
  close(): Promise<void> | void
}

const STRANGER = 'ab'.repeat(32) as PeerId

/** @param connect a fresh world each time */
export function controlContract(name: string, connect: () => Promise<ControlFixture>): void {
  describe(`control contract: ${name}`, () => {
    let fixture: ControlFixture
    let api: ControlApi
    beforeEach(async () => {
      fixture = await connect()
      api = fixture.api
    })
    afterEach(async () => {
      await fixture.close()
    })

    const until = async (holds: (state: ControlSnapshot) => boolean): Promise<ControlSnapshot> => {
      const mirror = openControlMirror(fixture)
      try {
        return await new Promise((resolve, reject) => {
          mirror.subscribe((state) => {
            if (holds(state)) resolve(state)
          })
          mirror.ready.catch(reject)
        })
      } finally {
        mirror.close()
      }
    }
    const peerState = async (peerId: PeerId) => (await api.snapshot()).peers.find((peer) => peer.peerId === peerId)?.state
    const everyPage = async (request: { path?: SharePath; search?: string; recursive: boolean; limit: number }): Promise<Entry[]> => {
      const entries: Entry[] = []
      let cursor: string | undefined
      do {
        const page = await api.list({ peerId: fixture.peerId, ...request, ...(cursor === undefined ? {} : { cursor }) })
        expect(page.entries.length).toBeLessThanOrEqual(request.limit)
        entries.push(...page.entries)
        cursor = page.cursor
      } while (cursor !== undefined)
      return entries
    }

    it('has every method and nothing unknown', () => {
      for (const method of CONTROL_METHODS) expect(api[method], method).toBeTypeOf('function')
    })

    it('gives snapshots of the promised shape', async () => {
      await api.download({ peerId: fixture.peerId, path: fixture.endlessFile })
      const snapshot = await api.snapshot()
      const checked = v.safeParse(SNAPSHOT, snapshot)
      expect(checked.issues?.map((issue) => `${v.getDotPath(issue) ?? ''}: ${issue.message}`)).toBeUndefined()
      expect(snapshot.peers.map((peer) => peer.peerId)).toContain(fixture.peerId)
    })

    it('refuses bad arguments and names the field', async () => {
      for (const [method, args, field] of BAD_ARGUMENTS) {
        const call = api[method] as (args: unknown) => Promise<unknown>
        const error = await failsWith('bad-request', call(args))
        expect(error.message, `${method} ${JSON.stringify(args)}`).toContain(field)
      }
    })

    it('says not-found for ids that nobody has', async () => {
      const peer = { peerId: STRANGER }
      for (const method of ['disconnect', 'reconnect', 'forget', 'block', 'unblock', 'ping'] as const) await failsWith('not-found', api[method](peer))
      await failsWith('not-found', api.answerPeer({ ...peer, accept: true }))
      await failsWith('not-found', api.list({ ...peer, recursive: false, limit: 1 }))
      await failsWith('not-found', api.download({ ...peer, path: fixture.file }))
      await failsWith('not-found', api.remoteFileUrl({ ...peer, path: fixture.file }))
      await failsWith('not-found', api.previewText({ ...peer, path: fixture.file }))
      await failsWith('not-found', api.thumbnailsUrl(peer))
      const transfer = { transferId: 'nothing' }
      for (const method of ['cancel', 'retry', 'downloadedFileUrl', 'previewText'] as const) await failsWith('not-found', api[method](transfer))
      await failsWith('not-found', api.transferFiles({ ...transfer, limit: 1 }))
      for (const method of ['removeShare', 'rescanShare', 'cancelScan'] as const) await failsWith('not-found', api[method]({ shareId: 'nothing' }))
      await failsWith('not-found', api.revokeDevice({ deviceId: STRANGER }))
    })

    it('lists page by page what one page lists at once', async () => {
      const whole = await everyPage({ path: fixture.directory, recursive: false, limit: 1000 })
      expect(whole.length).toBeGreaterThanOrEqual(3)
      expect(whole.map((entry) => entry.path)).toContain(fixture.file)
      expect(await everyPage({ path: fixture.directory, recursive: false, limit: 1 })).toEqual(whole)
      for (const { path } of whole) expect(path.slice(0, path.lastIndexOf('/'))).toBe(fixture.directory)
    })

    it('lists everything below, and the shares at the root', async () => {
      const root = await everyPage({ recursive: false, limit: 100 })
      expect(root.length).toBeGreaterThan(0)
      for (const entry of root) expect(entry).toMatchObject({ isDirectory: true })
      const all = await everyPage({ recursive: true, limit: 1000 })
      expect(all.map((entry) => entry.path)).toEqual(expect.arrayContaining([fixture.file, fixture.endlessFile, fixture.directory]))
      expect(new Set(all.map((entry) => entry.path)).size).toBe(all.length)
    })

    it('searches names without regard to case', async () => {
      const name = fixture.file.slice(fixture.file.lastIndexOf('/') + 1)
      for (const search of [name, name.toUpperCase(), name.slice(1, -1)]) {
        const found = await everyPage({ search, recursive: true, limit: 100 })
        expect(found.map((entry) => entry.path)).toContain(fixture.file)
      }
    })

    it('lists a file as itself', async () => {
      const { entries } = await api.list({ peerId: fixture.peerId, path: fixture.file, recursive: false, limit: 10 })
      expect(entries.map((entry) => [entry.path, entry.isDirectory])).toEqual([[fixture.file, false]])
    })

    it('refuses cursors that are not its own, and paths that are not there', async () => {
      await failsWith('bad-request', api.list({ peerId: fixture.peerId, recursive: true, limit: 1, cursor: 'made up' }))
      await failsWith('not-found', api.list({ peerId: fixture.peerId, path: `${fixture.directory}/is not there`, recursive: false, limit: 1 }))
    })

    it('downloads a file to its end, shows its files, opens and clears it', async () => {
      const { transferId } = await api.download({ peerId: fixture.peerId, path: fixture.file })
      const state = await until(({ transfers }) => transfers.some((transfer) => transfer.transferId === transferId && transfer.state === 'done'))
      const transfer = state.transfers.find((one) => one.transferId === transferId)
      expect(transfer).toMatchObject({ peerId: fixture.peerId, path: fixture.file, isDirectory: false, reason: null, files: { done: 1, failed: 0, total: 1 } })
      expect(transfer?.bytes).toBe(transfer?.total)
      expect(transfer?.endedAt).not.toBeNull()
      const { files, cursor } = await api.transferFiles({ transferId, limit: 10 })
      expect(cursor).toBeUndefined()
      expect(files).toEqual([expect.objectContaining({ size: transfer?.total, bytes: transfer?.total, state: 'done', reason: null })])
      expect((await api.downloadedFileUrl({ transferId })).url).toBeTypeOf('string')
      await api.clearFinished()
      expect((await api.snapshot()).transfers.map((one) => one.transferId)).not.toContain(transferId)
      await failsWith('not-found', api.retry({ transferId }))
    })

    it('takes the same wish once', async () => {
      const wish = { peerId: fixture.peerId, path: fixture.endlessFile }
      const first = await api.download(wish)
      expect(await api.download(wish)).toEqual(first)
      const offline = { peerId: fixture.peerId, path: fixture.file, id: 'taken-offline' }
      const named = await api.download(offline)
      expect(await api.download(offline)).toEqual(named)
      expect(named).not.toEqual(first)
    })

    wishesContract(() => fixture)
    queueContract(() => ({ api, fixture, until, failsWith }))

    it('cancels and retries a transfer', async () => {
      const { transferId } = await api.download({ peerId: fixture.peerId, path: fixture.endlessFile })
      const is = (state: string) => (snapshot: ControlSnapshot) => snapshot.transfers.some((one) => one.transferId === transferId && one.state === state)
      await until(is('running'))
      await failsWith('not-found', api.downloadedFileUrl({ transferId }))
      await api.cancel({ transferId })
      const cancelled = await until(is('cancelled'))
      expect(cancelled.transfers.find((one) => one.transferId === transferId)).toMatchObject({ bytesPerSecond: 0, endedAt: expect.any(Number) })
      await api.cancel({ transferId }) // twice is once
      await api.retry({ transferId })
      await until(is('running'))
    })

    it("gives an address for reading a peer's file, and none for a directory", async () => {
      const { entries } = await api.list({ peerId: fixture.peerId, path: fixture.file, recursive: false, limit: 1 })
      const { url, size, mtime } = await api.remoteFileUrl({ peerId: fixture.peerId, path: fixture.file })
      expect(url).toBeTypeOf('string')
      expect({ size, mtime }).toEqual({ size: entries[0]?.size, mtime: entries[0]?.mtime })
      await failsWith('not-found', api.remoteFileUrl({ peerId: fixture.peerId, path: fixture.directory }))
    })

    it('lets files be looked at: pictures where the peer makes them, the start of a text, and nothing of a directory', async () => {
      expect(Object.keys(await api.thumbnailsUrl({ peerId: fixture.peerId }))).toEqual(['url'])
      const { text, encoding, cut } = await api.previewText({ peerId: fixture.peerId, path: fixture.file })
      expect([typeof text, typeof encoding, typeof cut]).toEqual(['string', 'string', 'boolean'])
      await failsWith('not-found', api.previewText({ peerId: fixture.peerId, path: fixture.directory }))
    })

    it('reports how it can be reached', async () => {
      const checked = v.safeParse(REPORT, await api.doctor())
      expect(checked.issues?.map((issue) => `${v.getDotPath(issue) ?? ''}: ${issue.message}`)).toBeUndefined()
      const own = (await api.doctor()).peers.find((peer) => peer.peerId === fixture.peerId)
      expect(own).toMatchObject({ state: 'connected', advice: [] })
    })

    it('joins and leaves topics, written in any way', async () => {
      const { topic } = await api.joinTopic({ topic: ' Book  Club ' })
      expect(topic).toBe('book club')
      expect(await api.joinTopic({ topic: 'BOOK CLUB' })).toEqual({ topic })
      const { topics, settings } = await until((state) => state.topics.some((one) => one.topic === topic))
      expect(topics.filter((one) => one.topic === topic)).toHaveLength(1)
      expect(settings.topics).toContain(topic)
      await api.leaveTopic({ topic: 'Book club' })
      await until((state) => !state.settings.topics.includes(topic) && !state.topics.some((one) => one.topic === topic))
      await failsWith('not-found', api.leaveTopic({ topic }))
    })

    it('switches ways of meeting on and off', async () => {
      const { settings } = await api.snapshot()
      for (const name of ['localDiscovery', 'portMapping', 'passMeOn', 'introductions'] as const) {
        expect(await api.updateSettings({ [name]: !settings[name] })).toMatchObject({ [name]: !settings[name] })
      }
      expect(await api.updateSettings({ mqttBrokers: ['mqtts://broker.example:8883'] })).toMatchObject({ mqttBrokers: ['mqtts://broker.example:8883'] })
    })

    it('keeps limits, for all and for one peer', async () => {
      const { peerId } = fixture
      const rule = { days: [1, 2], from: '22:00', to: '06:00', up: null, down: 20_000 }
      const { settings } = await api.setLimits({ up: 100_000, rules: [rule], slots: 3 })
      expect(settings).toMatchObject({ up: 100_000, down: null, rules: [rule], slots: 3, localIsFree: true })
      await api.setPeerLimits({ peerId, up: 'none', priority: 'high' })
      const { limits } = await until((state) => state.limits.peers.length > 0 && state.limits.settings.slots === 3)
      expect(limits.peers).toEqual([{ peerId, up: 'none', down: null, priority: 'high' }])
      expect(v.safeParse(SNAPSHOT, await api.snapshot()).issues).toBeUndefined()
      expect((await api.setPeerLimits({ peerId, up: null, priority: 'normal' })).peers).toEqual([])
      await failsWith('not-found', api.setPeerLimits({ peerId: STRANGER, up: null }))
    })

    it('keeps groups and audiences', async () => {
      const { peerId } = fixture
      const before = (await api.snapshot()).access.groups
      const { groupId } = await api.addGroup({ name: 'Contract group' })
      await failsWith('conflict', api.addGroup({ name: 'contract GROUP' }))
      await failsWith('not-found', api.addGroup({ name: 'Strangers', members: [STRANGER] }))
      expect(await api.changeGroup({ groupId, members: [peerId] })).toEqual({ groupId, name: 'Contract group', members: [peerId] })
      expect(await api.changeGroup({ groupId, name: 'Renamed' })).toEqual({ groupId, name: 'Renamed', members: [peerId] })
      const audience = { peers: [peerId], groups: [groupId] }
      const { shareId } = await api.addShare({ directory: fixture.shareDirectory, audience })
      await until(({ access }) => access.audiences.some((one) => one.shareId === shareId && one.audience.groups.length === 1))
      await api.removeGroup({ groupId })
      await until(({ access }) => access.audiences.some((one) => one.shareId === shareId && one.audience.groups.length === 0))
      await failsWith('not-found', api.setAudience({ shareId, audience }))
      await failsWith('not-found', api.setAudience({ shareId: 'nothing', audience: 'everyone' }))
      expect((await api.setAudience({ shareId, audience: 'everyone' })).audiences).toEqual([])
      await api.setAudience({ shareId, audience: { peers: [peerId], groups: [] } })
      await api.forget({ peerId })
      const { access } = await until((state) => state.access.audiences.every((one) => one.audience.peers.length === 0))
      expect(access.audiences).toEqual([{ shareId, audience: { peers: [], groups: [] } }])
      expect(access.groups.map((one) => one.name)).toEqual(before.map((one) => one.name))
    })

    it('disconnects, reconnects, blocks, unblocks and forgets a peer', async () => {
      const { peerId } = fixture
      const becomes = (...states: string[]) => until(({ peers }) => peers.some((peer) => peer.peerId === peerId && states.includes(peer.state)))
      expect(await api.ping({ peerId })).toEqual({ rttMs: expect.any(Number), path: expect.objectContaining({ address: expect.any(String) }), packets: { sent: expect.any(Number), lost: expect.any(Number) } })
      await api.disconnect({ peerId })
      await becomes('away')
      await failsWith('offline', api.list({ peerId, recursive: false, limit: 1 }))
      await failsWith('offline', api.ping({ peerId }))
      await api.reconnect({ peerId })
      await becomes('connected')
      await failsWith('conflict', api.answerPeer({ peerId, accept: true }))
      await api.block({ peerId })
      await becomes('blocked')
      await failsWith('blocked', api.reconnect({ peerId }))
      await api.unblock({ peerId })
      expect(await peerState(peerId)).not.toBe('blocked')
      await api.forget({ peerId })
      await until(({ peers }) => peers.every((peer) => peer.peerId !== peerId))
      await failsWith('not-found', api.list({ peerId, recursive: false, limit: 1 }))
    })

    it('has a code of its own, which it does not dial, and makes a new one', async () => {
      const first = await api.announceCode()
      expect(first.link).toContain(first.code)
      await failsWith('bad-request', api.connect({ code: first.code }))
      const second = await api.renewCode()
      expect(second.code).not.toBe(first.code)
      expect(await api.announceCode()).toEqual(second)
    })

    it('shares, rescans and stops sharing a directory', async () => {
      const share = await api.addShare({ directory: fixture.shareDirectory, name: 'Contract' })
      expect(v.safeParse(SHARE, share).issues).toBeUndefined()
      expect(share.name).toBe('Contract')
      const { shareId } = share
      await failsWith('conflict', api.addShare({ directory: fixture.shareDirectory }))
      await until(({ shares }) => shares.some((one) => one.shareId === shareId && one.state === 'ready'))
      const { entries } = await api.list({ peerId: null, recursive: false, limit: 100 })
      expect(entries.map((entry) => entry.path)).toContain('Contract')
      const own = (await api.list({ peerId: null, path: 'Contract' as SharePath, recursive: true, limit: 1000 })).entries.find((entry) => !entry.isDirectory)
      if (own === undefined) throw new Error('the fixture shares no file')
      const { url, size, mtime } = await api.remoteFileUrl({ peerId: null, path: own.path })
      expect(url).not.toBe('')
      expect({ size, mtime }).toEqual({ size: own.size, mtime: own.mtime })
      expect(Object.keys(await api.thumbnailsUrl({ peerId: null }))).toEqual(['url'])
      await failsWith('not-found', api.remoteFileUrl({ peerId: null, path: 'Contract' as SharePath }))
      await failsWith('not-found', api.previewText({ peerId: null, path: 'Contract/is not there' as SharePath }))
      await api.rescanShare({ shareId })
      await api.removeShare({ shareId })
      await until(({ shares }) => shares.every((one) => one.shareId !== shareId))
      expect((await api.list({ peerId: null, recursive: false, limit: 100 })).entries.map((entry) => entry.path)).not.toContain('Contract')
      await failsWith('not-found', api.removeShare({ shareId }))
    })

    it('shows folders to choose from', async () => {
      const home = await api.browseFolders({})
      expect(home.path).not.toBe('')
      for (const folder of home.folders) expect(folder).toEqual({ name: expect.any(String), path: expect.stringContaining(folder.name) })
      expect(home.parent).toBeTypeOf('string')
      await failsWith('not-found', api.browseFolders({ path: fixture.missingDirectory }))
    })

    it('keeps settings', async () => {
      const before = (await api.snapshot()).settings
      const next = await api.updateSettings({ askBeforeAccepting: !before.askBeforeAccepting })
      expect(next).toEqual({ ...before, askBeforeAccepting: !before.askBeforeAccepting })
      expect((await api.snapshot()).settings).toEqual(next)
      expect(await api.updateSettings({})).toEqual(next)
    })

    it('knows its devices and invites others', async () => {
      const devices = await api.devices()
      expect(devices.filter((device) => device.current)).toHaveLength(1)
      const { url, expiresAt } = await api.createPairingLink()
      const invitation = parsePairingFragment(url)
      expect(invitation.ok).toBe(true)
      const { peerId, startedAt } = (await api.snapshot()).status
      expect(invitation.ok && peerId.startsWith(invitation.value.fingerprint)).toBe(true)
      expect(expiresAt).toBeGreaterThan(startedAt)
      const other = devices.find((device) => !device.current)
      if (other === undefined) return
      await api.revokeDevice({ deviceId: other.deviceId })
      expect(await api.devices()).toEqual(devices.filter((device) => device !== other))
    })

    it('tells what happened, newest first, and forgets it when asked', async () => {
      // Listening first: a small file is here before the answer to the call.
      const entry = await new Promise<ActivityEntry>((resolve, reject) => {
        const unsubscribe = fixture.onEvent((event) => {
          if (event.type !== 'activity' || event.entry.type !== 'download-done') return
          unsubscribe()
          resolve(event.entry)
        })
        api.snapshot().then(() => api.download({ peerId: fixture.peerId, path: fixture.file })).catch(reject)
      })
      expect(entry).toMatchObject({ type: 'download-done', peerId: fixture.peerId, path: fixture.file, failed: 0 })
      const { entries } = await api.activity({ limit: MAX_ACTIVITY })
      expect(entries).toContainEqual(entry)
      expect(entries.map(({ id }) => id)).toEqual(entries.map(({ id }) => id).sort((a, b) => b - a))
      expect((await api.activity({ before: entry.id, limit: MAX_ACTIVITY })).entries).not.toContainEqual(entry)
      await api.clearActivity()
      expect(await api.activity({ limit: MAX_ACTIVITY })).toEqual({ entries: [] })
    })

    it('is started at login, or not', async () => {
      const info = v.strictObject({ kind: nullable(v.picklist(['systemd', 'desktop', 'launchd', 'windows'])), enabled: v.boolean(), file: nullable(v.string()), note: nullable(v.string()) })
      for (const enabled of [true, false]) {
        const after = await api.setAutostart({ enabled })
        expect(v.safeParse(info, after).issues).toBeUndefined()
        expect(after.enabled).toBe(enabled)
        expect(await api.autostart()).toEqual(after)
      }
    })

    it('says how it is doing', async () => {
      const figures = v.strictObject({ pid: count, rssBytes: count, eventLoopP99Ms: count })
      expect(v.safeParse(v.strictObject({ control: figures, network: nullable(figures) }), await api.diagnostics()).issues).toBeUndefined()
      const bytes = v.pipe(v.number(), v.minValue(0))
      const use = v.strictObject({ freeBytes: nullable(bytes), downloads: v.strictObject({ bytes, files: bytes }), unfinishedBytes: bytes, indexBytes: bytes, thumbnailBytes: bytes, stagedBytes: bytes, isComplete: v.boolean() })
      expect(v.safeParse(use, await api.storage()).issues).toBeUndefined()
    })

    it('numbers events without gaps, and they lead to what a new snapshot says', async () => {
      const seen: ControlEvent[] = []
      const unsubscribe = fixture.onEvent((event) => seen.push(event))
      const mirror = openControlMirror(fixture)
      const start = await mirror.ready
      seen.length = 0
      await api.updateSettings({ askBeforeAccepting: !start.settings.askBeforeAccepting })
      await api.disconnect({ peerId: fixture.peerId })
      const share = await api.addShare({ directory: fixture.shareDirectory })
      const settled = new Promise<ControlSnapshot>((resolve) => {
        const look = (state: ControlSnapshot) => {
          const shared = state.shares.some((one) => one.shareId === share.shareId && one.state === 'ready')
          const away = state.peers.some((peer) => peer.peerId === fixture.peerId && peer.state === 'away')
          if (shared && away && state.settings.askBeforeAccepting !== start.settings.askBeforeAccepting) resolve(state)
        }
        mirror.subscribe(look)
        if (mirror.state !== null) look(mirror.state)
      })
      const state = await settled
      mirror.close()
      unsubscribe()
      expect(seen.map((event) => event.seq)).toEqual(seen.map((_event, index) => start.seq + 1 + index))
      const fresh = await api.snapshot()
      expect(fresh.seq).toBeGreaterThanOrEqual(state.seq)
      expect(fresh.settings).toEqual(state.settings)
      expect(fresh.shares).toEqual(state.shares)
    })
  })
}

async function failsWith(code: ErrorCode, call: Promise<unknown>): Promise<Error> {
  const error = await call.then(() => expect.fail(`must fail with ${code}`), (error: unknown) => error)
  expect(error).toMatchObject({ name: 'CodedError', code })
  return error as Error
}
