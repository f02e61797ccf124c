import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type PeerId, keyHashOf, parseAnnounceCode } from '@harddrive-party/protocol'
import type { ControlChange } from '@harddrive-party/protocol/control'
import { openDevices } from '../../src/adapters/identity/devices-store.ts'
import { type Store, openStore } from '../../src/adapters/system/store.ts'
import { createAnnounceCodes } from '../../src/control/announce-codes.ts'
import { browseFolders } from '../../src/control/browse-folders.ts'
import { openApiToken, openCliDevice, readHelperFile, removeHelperFile, writeHelperFile } from '../../src/control/helper-file.ts'
import { createPeerBook } from '../../src/control/peer-book.ts'
import { createSettings, defaultSettings } from '../../src/control/settings.ts'
import type { PeerStatus } from '../../src/network/network-api.ts'

const A = 'a1'.repeat(32) as PeerId
const B = 'b2'.repeat(32) as PeerId
const SECRET = '0a'.repeat(16)

let base: string
let store: Store
let changes: ControlChange[]
let errors: unknown[]
let now: number
beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'parts-')))
  store = openStore(join(base, 'db'))
  changes = []
  errors = []
  now = 1000
})
afterEach(async () => {
  await store.close()
  await rm(base, { recursive: true, force: true })
  expect(errors).toEqual([])
})

async function reopen() {
  await store.flushed()
  await store.close()
  store = openStore(join(base, 'db'))
}
const onChange = (change: ControlChange) => void changes.push(change)
const onError = (error: unknown) => void errors.push(error)
const openBook = () => createPeerBook({ store, now: () => now, onChange, onError })
const status = (peerId: PeerId, state: PeerStatus['state'], lastError: PeerStatus['lastError'] = null) => ({ type: 'peer', peer: { peerId, state, path: null, lastError } }) as const
const known = (peerId: PeerId, addresses = ['192.0.2.1:4433']) => ({ type: 'peer-known', peerId, knockSecret: SECRET, addresses }) as const

describe('the peer book', () => {
  it('remembers known peers and what was decided about them', async () => {
    const book = openBook()
    book.onNetworkEvent(known(A))
    book.onNetworkEvent(known(B))
    book.setWanted(A, false)
    book.setBlocked(B, true)
    book.heardSharedBytes(A, 123)
    await reopen()
    const again = openBook()
    expect(again.infos()).toMatchObject([{ peerId: A, state: 'away', sharedBytes: 123, lastSeenAt: 1000 }, { peerId: B, state: 'blocked' }])
    expect(again.known()).toEqual([
      { peerId: A, blocked: false, wanted: false, addresses: ['192.0.2.1:4433'], knockSecret: SECRET },
      { peerId: B, blocked: true, wanted: true, addresses: ['192.0.2.1:4433'], knockSecret: SECRET },
    ])
  })

  it('shows what the network says, unless the person decided otherwise', () => {
    const book = openBook()
    book.onNetworkEvent(known(A))
    for (const state of ['dialling', 'waiting', 'connected', 'offline'] as const) {
      book.onNetworkEvent(status(A, state))
      expect(book.info(A)?.state).toBe(state)
    }
    book.onNetworkEvent(status(A, 'connected'))
    book.setBlocked(A, true)
    expect(book.info(A)?.state).toBe('blocked')
    book.setBlocked(A, false)
    expect(book.info(A)?.state).toBe('connected')
    expect(changes.at(-1)).toMatchObject({ type: 'peer', peer: { peerId: A, state: 'connected' } })
  })

  it('forgets strangers when they leave, and keeps why a known peer did not answer', () => {
    const book = openBook()
    book.onNetworkEvent(status(B, 'asks'))
    expect(book.infos()).toMatchObject([{ peerId: B, state: 'asks' }])
    book.onNetworkEvent(status(B, 'offline'))
    expect(book.infos()).toEqual([])
    expect(changes.at(-1)).toEqual({ type: 'peer-removed', peerId: B })
    book.onNetworkEvent(known(A))
    book.onNetworkEvent(status(A, 'offline', { code: 'timed-out', message: 'no answer' }))
    expect(book.info(A)).toMatchObject({ state: 'offline', lastError: { code: 'timed-out' } })
  })

  it('blocks somebody who only asked, and lets go of them when unblocked', async () => {
    const book = openBook()
    book.onNetworkEvent(status(B, 'asks'))
    book.setBlocked(B, true)
    book.onNetworkEvent(status(B, 'offline'))
    expect(book.known()).toEqual([{ peerId: B, blocked: true, wanted: false, addresses: [], knockSecret: null }])
    await reopen()
    const again = openBook()
    expect(again.info(B)?.state).toBe('blocked')
    again.setBlocked(B, false)
    expect(again.infos()).toEqual([])
  })

  it('notes when a peer was last here', () => {
    const book = openBook()
    book.onNetworkEvent(known(A))
    now = 2000
    book.onNetworkEvent(status(A, 'connected'))
    now = 3000
    book.onNetworkEvent(status(A, 'offline'))
    now = 4000
    book.onNetworkEvent(status(A, 'dialling'))
    expect(book.info(A)?.lastSeenAt).toBe(3000)
  })

  it('keeps old addresses when a peer names none, and few of those it names', () => {
    const book = openBook()
    book.onNetworkEvent(known(A))
    book.onNetworkEvent(known(A, []))
    expect(book.known()[0]?.addresses).toEqual(['192.0.2.1:4433'])
    book.onNetworkEvent(known(A, [...Array.from({ length: 100 }, (_, i) => `192.0.2.${i}:1`), 'x'.repeat(1000)]))
    expect(book.known()[0]?.addresses).toHaveLength(16)
  })

  it('reads nothing that it would not write', async () => {
    const raw = store.table<object>('peers', (value) => value as object)
    await raw.put(A, { peerId: A, blocked: 'yes' })
    await raw.put(B, { peerId: '../../x', blocked: false, wanted: true, met: true, addresses: [], knockSecret: null, lastSeenAt: null, sharedBytes: null })
    expect(openBook().infos()).toEqual([])
  })

  it('makes room for new peers and never at the cost of a block', () => {
    const book = openBook()
    book.onNetworkEvent(known(A))
    book.setBlocked(A, true)
    for (let i = 0; i < 5001; i++) {
      now += 1
      book.onNetworkEvent(known(i.toString(16).padStart(64, '0') as PeerId))
    }
    expect(book.infos()).toHaveLength(5000)
    expect(book.info(A)?.state).toBe('blocked')
    expect(book.info('0'.repeat(64) as PeerId)).toBeUndefined()
  })
})

const openCodes = () => createAnnounceCodes({ store, peerId: A, appUrl: () => 'http://127.0.0.1:3030' })
const readCode = (code: string) => {
  const parsed = parseAnnounceCode(code)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}

describe('announce codes', () => {
  const ready = { type: 'ready', udp: { v4: 4433, v6: 4434 }, filesOrigin: '' } as const

  it('carry loopback when there is no other address, and only then', async () => {
    const codes = await openCodes()
    expect(() => codes.current()).toThrow(expect.objectContaining({ code: 'busy' }) as Error)
    codes.onNetworkEvent(ready)
    expect(readCode(codes.current().code).addresses).toEqual([{ host: '127.0.0.1', port: 4433 }, { host: '::1', port: 4434 }])
    codes.onNetworkEvent({ type: 'addresses', addresses: ['127.0.0.1:4433', '[fe80::1]:4434', 'nonsense'], natKind: 'unknown' })
    expect(readCode(codes.current().code).addresses).toEqual([{ host: '127.0.0.1', port: 4433 }, { host: '::1', port: 4434 }])
    codes.onNetworkEvent({ type: 'addresses', addresses: ['192.168.1.20:4433', '127.0.0.1:4433', '8.8.4.4:1'], natKind: 'consistent' })
    const code = readCode(codes.current().code)
    expect(code.addresses).toEqual([{ host: '192.168.1.20', port: 4433 }, { host: '8.8.4.4', port: 1 }])
    expect(code.natKind).toBe('consistent')
    expect(Buffer.from(code.keyHash)).toEqual(Buffer.from(keyHashOf(A)))
    expect(codes.current().link).toBe(`http://127.0.0.1:3030/#/add/${codes.current().code}`)
  })

  it('never carry more addresses than a code holds', async () => {
    const codes = await openCodes()
    codes.onNetworkEvent({ type: 'addresses', addresses: Array.from({ length: 30 }, (_, i) => `10.0.0.${i + 1}:5`), natKind: 'unknown' })
    expect(readCode(codes.current().code).addresses).toHaveLength(8)
  })

  it('carry the ports of the router while they are known', async () => {
    const codes = await openCodes()
    const event = { type: 'addresses', addresses: ['8.8.4.4:40100'], natKind: 'block' } as const
    codes.onNetworkEvent({ ...event, nat: { block: { low: 40_000, high: 40_511 } } })
    expect(readCode(codes.current().code)).toMatchObject({ natKind: 'block', nat: { block: { low: 40_000, high: 40_511 } } })
    codes.onNetworkEvent(event)
    expect(readCode(codes.current().code)).not.toHaveProperty('nat')
  })

  it('keep their secrets over a restart; a new code changes only its own', async () => {
    const codes = await openCodes()
    codes.onNetworkEvent(ready)
    const before = codes.secrets()
    expect(Buffer.from(readCode(codes.current().code).knockSecret).toString('hex')).toBe(before.codeSecret)
    expect(before.codeSecret).not.toBe(before.knownSecret)
    await reopen()
    const again = await openCodes()
    again.onNetworkEvent(ready)
    expect(again.secrets()).toEqual(before)
    await again.renew()
    expect(again.secrets().codeSecret).not.toBe(before.codeSecret)
    expect(again.secrets().knownSecret).toBe(before.knownSecret)
    await reopen()
    expect((await openCodes()).secrets()).toEqual(again.secrets())
  })

  it('say so where there is no transport', async () => {
    const codes = await openCodes()
    codes.onNetworkEvent({ type: 'no-transport', reason: 'x' })
    expect(() => codes.current()).toThrow(expect.objectContaining({ code: 'no-transport' }) as Error)
    const before = codes.secrets()
    await expect(codes.renew()).rejects.toMatchObject({ code: 'no-transport' })
    expect(codes.secrets()).toEqual(before)
  })
})

describe('settings', () => {
  const defaults = defaultSettings('/default')
  it('survive a restart; what the command line says does not', async () => {
    const settings = createSettings({ store, defaults, override: { downloadDirectory: '/this time' }, onChange })
    expect(settings.current().downloadDirectory).toBe('/this time')
    await settings.update({ askBeforeAccepting: true })
    expect(changes).toEqual([{ type: 'settings', settings: { ...defaults, askBeforeAccepting: true, downloadDirectory: '/this time' } }])
    await reopen()
    expect(createSettings({ store, defaults, onChange }).current()).toEqual({ ...defaults, askBeforeAccepting: true })
  })

  it('take a change while they are overridden', async () => {
    const settings = createSettings({ store, defaults, override: { downloadDirectory: '/this time' }, onChange })
    expect(await settings.update({ downloadDirectory: '/chosen' })).toMatchObject({ downloadDirectory: '/chosen' })
  })
})

describe('devices', () => {
  it('survive a restart, are bounded, and tell when they go', async () => {
    const open = () => openDevices({ store, now: () => now, onError })
    const devices = open()
    const device = { deviceId: '01'.repeat(32), name: 'Firefox', kind: 'browser', role: 'admin' } as const
    await devices.add(device)
    now += 120_000
    devices.touch(device.deviceId)
    devices.touch('02'.repeat(32))
    await reopen()
    const again = open()
    expect(again.list()).toEqual([{ ...device, pairedAt: 1000, lastUsedAt: 121_000 }])
    const gone: string[] = []
    const unsubscribe = again.onRemoved((deviceId) => gone.push(deviceId))
    expect(await again.remove(device.deviceId)).toBe(true)
    expect(await again.remove(device.deviceId)).toBe(false)
    unsubscribe()
    expect(gone).toEqual([device.deviceId])
    for (let i = 0; i < 100; i++) await again.add({ ...device, deviceId: i.toString(16).padStart(64, '0') })
    await expect(again.add(device)).rejects.toMatchObject({ code: 'busy' })
  })
})

describe('the files of a running helper', () => {
  it.skipIf(process.platform === 'win32')('are for their owner only, and made once', async () => {
    const storage = join(base, 'storage')
    const [device, same] = await Promise.all([openCliDevice(storage), openCliDevice(storage)])
    expect(same.deviceId).toBe(device.deviceId)
    const token = await openApiToken(storage)
    expect(token).toMatch(/^[0-9a-f]{64}$/)
    expect(await openApiToken(storage)).toBe(token)
    await writeHelperFile(storage, { pid: 12, url: 'http://127.0.0.1:3030', peerId: A, startedAt: 5 })
    for (const name of ['cli-device.key', 'api-token', 'helper.json']) expect((await stat(join(storage, name))).mode & 0o777, name).toBe(0o600)
    await chmod(join(storage, 'api-token'), 0o644)
    await openApiToken(storage)
    expect((await stat(join(storage, 'api-token'))).mode & 0o777).toBe(0o600)
  })

  it('say who is running, until that helper is gone', async () => {
    const file = { pid: 12, url: 'http://127.0.0.1:3030', peerId: A, startedAt: 5 }
    expect(await readHelperFile(base)).toBeUndefined()
    await writeHelperFile(base, file)
    expect(await readHelperFile(base)).toEqual(file)
    await removeHelperFile(base, 13)
    expect(await readHelperFile(base)).toEqual(file)
    await removeHelperFile(base, 12)
    expect(await readHelperFile(base)).toBeUndefined()
    for (const text of ['', '{', '{"pid":1}', '[]']) {
      await writeFile(join(base, 'helper.json'), text)
      expect(await readHelperFile(base)).toBeUndefined()
    }
  })

  it('that are damaged are not replaced', async () => {
    await writeFile(join(base, 'cli-device.key'), 'not a key')
    await expect(openCliDevice(base)).rejects.toMatchObject({ code: 'disk-error' })
    expect(await readFile(join(base, 'cli-device.key'), 'utf8')).toBe('not a key')
  })
})

describe('folders to choose from', () => {
  it('are directories that are not hidden, and links to such', async () => {
    const root = join(base, 'root')
    for (const name of ['b 10', 'b 2', '.hidden', 'Ä']) await mkdir(join(root, name), { recursive: true })
    await writeFile(join(root, 'file.txt'), '')
    await symlink(join(root, 'Ä'), join(root, 'link'))
    await symlink(join(root, 'file.txt'), join(root, 'link to file'))
    await symlink(join(root, 'nothing'), join(root, 'broken'))
    const listing = await browseFolders(join(root, 'b 2', '..'))
    expect(listing).toMatchObject({ path: root, parent: base })
    expect(listing.folders.map((folder) => folder.name)).toEqual(['Ä', 'b 2', 'b 10', 'link'])
    expect(listing.folders[0]?.path).toBe(join(root, 'Ä'))
  })

  it('begin at home, end at the root, and are bounded', async () => {
    expect((await browseFolders(undefined)).path).toBe(await realpath(homedir()))
    expect((await browseFolders('/')).parent).toBeNull()
    for (let i = 0; i < 2100; i++) await mkdir(join(base, `many/${i}`), { recursive: true })
    expect((await browseFolders(join(base, 'many'))).folders).toHaveLength(2000)
  })

  it('are refused where there are none', async () => {
    await writeFile(join(base, 'file.txt'), '')
    for (const path of [join(base, 'nothing'), join(base, 'file.txt')]) await expect(browseFolders(path)).rejects.toMatchObject({ code: 'not-found' })
    await expect(browseFolders('relative')).rejects.toMatchObject({ code: 'bad-request' })
  })
})
