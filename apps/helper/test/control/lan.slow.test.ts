import { X509Certificate, randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request as plainRequest } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { type DeviceKey, type DeviceRole, deviceKeyFromSeed, openControlClient, parsePairingFragment } from '@harddrive-party/protocol/control'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { isLocalAddress } from '../../src/adapters/reach/lan-addresses.ts'
import { fingerprintOf, openLocalAuthority } from '../../src/adapters/identity/local-authority.ts'
import { createDevicesService } from '../../src/control/devices-service.ts'
import { type LanDoor, type LanOptions, openLan } from '../../src/control/lan.ts'
import { createFakeApi } from '../../../../packages/protocol/test/control-fake-api.ts'
import { type ControlWorld, openControlWorld } from '../support/control-world.ts'

/** The door to the local network on loopback addresses: whom it lets in, under which names, with which certificate. */

let world: ControlWorld
let door: LanDoor
let directory: string
let now: number
let addresses: string[]
const lanFiles: (readonly string[] | null)[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hdp-lan-'))
  now = Date.now()
  addresses = ['127.0.0.1']
  world = await openControlWorld()
  door = await open({ override: true })
})

afterEach(async () => {
  await door.close()
  await world.close()
  await rm(directory, { recursive: true, force: true })
})

function open(changes: Partial<LanOptions> = {}): Promise<LanDoor> {
  return openLan({
    identity: world.identity, devices: world.devices, hub: world.hub, pwaDirectory: world.pwaDirectory, log: () => {},
    service: (session) => createFakeApi({ snapshot: async () => ({ role: session.role(), door: session.door }) as never }).api,
    storage: directory, store: world.store, host: 'box', port: 0, now: () => now, elapsed: () => now, addresses: () => addresses,
    network: { setLanFiles: async (lan) => void lanFiles.push(lan === null ? null : lan.addresses) },
    ...changes,
  })
}

/** Whoever sends another Host does not mind which name is in the certificate. */
const ANY_NAME = () => undefined

interface Answer {
  readonly status: number
  readonly body: Buffer
  readonly headers: Record<string, string | string[] | undefined>
}

const url = () => new URL(door.info().urls[0] ?? 'https://nowhere.invalid')

async function ask(path: string, options: RequestOptions = {}): Promise<Answer> {
  const authority = await openLocalAuthority({ storage: directory, host: 'box', owner: 'nobody', now: () => now })
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, url()), { ca: authority.certificatePem, agent: false, ...(options.headers === undefined ? {} : { checkServerIdentity: ANY_NAME }), ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), headers: response.headers }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

async function socketTo(headers: Record<string, string> = {}) {
  const authority = await openLocalAuthority({ storage: directory, host: 'box', owner: 'nobody', now: () => now })
  return new WebSocket(`${url().origin.replace('http', 'ws')}/control`, { ca: authority.certificatePem, checkServerIdentity: ANY_NAME as never, headers: { origin: url().origin, ...headers } })
}

async function connectAs(device: DeviceKey, link?: string) {
  const invitation = link === undefined ? undefined : parsePairingFragment(link)
  if (invitation?.ok === false) throw new Error('no invitation')
  return openControlClient({
    socket: await socketTo(), device, deviceName: 'a phone', origin: url().origin,
    ...(invitation === undefined ? { helperKey: world.peerId } : { pairing: invitation.value }),
  })
}

const phone = () => deviceKeyFromSeed(randomBytes(32))
const link = (role: DeviceRole = 'control') => door.createPairingLink({ lan: true, role }).url

describe('the local authority', () => {
  it('vouches for local names and addresses only, and keeps its key to itself', async () => {
    const authority = await openLocalAuthority({ storage: directory, host: 'box', owner: 'Quiet Fox', now: () => now })
    const made = authority.issue({ names: ['box.local', 'BOX', 'bank.example'], addresses: ['192.168.1.5', 'fd00::5'] })
    const certificate = new X509Certificate(made.certificatePem)
    const root = new X509Certificate(authority.certificatePem)
    expect(certificate.verify(root.publicKey)).toBe(true)
    expect(certificate.checkIssued(root)).toBe(true)
    expect(certificate.subjectAltName).toBe('DNS:box.local, DNS:box, IP Address:192.168.1.5, IP Address:FD00:0:0:0:0:0:0:5')
    expect(certificate.ca).toBe(false)
    expect(root.ca).toBe(true)
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
    expect(Date.parse(certificate.validTo) - now).toBeLessThan(31 * 24 * 3600 * 1000)
    expect(authority.fingerprint).toBe(root.fingerprint256)
    if (process.platform !== 'win32') expect((await stat(join(directory, 'local-authority.json'))).mode & 0o777).toBe(0o600)
    const again = await openLocalAuthority({ storage: directory, host: 'renamed', owner: 'Quiet Fox', now: () => now })
    expect(again.fingerprint).toBe(authority.fingerprint)
    // The name of today is not one it was made for.
    expect(again.issue({ names: ['renamed', 'renamed.local'], addresses: [] }).names).toEqual(['renamed.local'])
  })

  it('says which file is damaged instead of making another one', async () => {
    await door.close()
    await writeFile(join(directory, 'local-authority.json'), '{"version":1}')
    door = await open({ override: true })
    expect(door.info().problem?.message).toMatch(/local-authority\.json is damaged/)
    expect(door.info().urls).toEqual([])
  })
})

describe('the door to the local network', () => {
  it('speaks TLS and nothing else, with a certificate for its names that the authority has signed', async () => {
    expect((await ask('/healthz')).status).toBe(204)
    expect((await ask('/healthz', { servername: 'box.local', headers: { host: `box.local:${url().port}` } })).status).toBe(204)
    const authority = await openLocalAuthority({ storage: directory, host: 'box', owner: 'nobody', now: () => now })
    const presented = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: Number(url().port), ca: authority.certificatePem }, () => {
        resolve(fingerprintOf(socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0)))
        socket.destroy()
      })
      socket.on('error', reject)
    })
    expect(presented).not.toBe(authority.fingerprint)
    // A browser that does not trust the authority, and one that speaks plainly.
    await expect(ask('/healthz', { ca: [] })).rejects.toMatchObject({ code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO/) })
    const plain = await new Promise<string>((resolve) => {
      const sent = plainRequest({ host: '127.0.0.1', port: url().port, path: '/' }, (response) => resolve(String(response.statusCode)))
      sent.on('error', () => resolve('refused'))
      sent.end()
    })
    expect(plain).toBe('refused')
  })

  it.each([
    ['a rebound name', { host: 'evil.example' }],
    ['another port', { host: '127.0.0.1:1' }],
    ['an address that is not listened at', { host: '192.168.1.77' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['the app on loopback', { origin: 'http://127.0.0.1:3030' }],
    ['a plain origin of the same name', { origin: 'http://127.0.0.1' }],
    ['a cross-site request', { 'sec-fetch-site': 'cross-site' }],
    ['another port of the same machine', { 'sec-fetch-site': 'same-site' }],
  ])('refuses %s, pages and sockets alike', async (_what, wrong: Record<string, string>) => {
    const host = wrong['host']
    const headers = host === undefined || host.includes(':') ? wrong : { host: `${host}:${url().port}` }
    expect((await ask('/', { headers })).status).toBe(403)
    const socket = await socketTo(headers)
    const outcome = await new Promise((resolve) => {
      socket.on('open', () => resolve('opened'))
      socket.on('error', (error) => resolve(error.message))
    })
    expect(outcome).toMatch(/403/)
  })

  it('has no API for scripts', async () => {
    expect((await ask('/api/status', { headers: { authorization: `Bearer ${'f0'.repeat(32)}` } })).status).toBe(404)
  })

  it('shows anybody how to trust it, and nothing else', async () => {
    const page = await ask('/trust', { headers: { 'accept-language': 'de-DE,de;q=0.9' } })
    expect(page.status).toBe(200)
    const { authority } = door.info()
    expect(page.body.toString()).toContain(authority?.fingerprint ?? 'none')
    expect(page.body.toString()).toContain('lang="de"')
    expect(page.body.toString()).not.toContain('<script')
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-/)
    const file = await ask('/trust/harddrive-party.crt')
    expect(file.headers['content-type']).toBe('application/x-x509-ca-cert')
    expect(fingerprintOf(file.body)).toBe(authority?.fingerprint)
  })

  it('follows the machine to other addresses with a new certificate, and renews an old one', async () => {
    const before = door.info().urls
    addresses = ['127.0.0.1', '127.0.0.2']
    await door.refresh()
    expect(door.info().urls.slice(0, 2)).toEqual([before[0], before[0]?.replace('127.0.0.1', '127.0.0.2')])
    expect((await ask('/healthz')).status).toBe(204)
    expect((await ask(`https://127.0.0.2:${url().port}/healthz`)).status).toBe(204)
    expect(lanFiles.at(-1)).toEqual(['127.0.0.1', '127.0.0.2'])
    // A phone on an address that goes is cut off, and holds nothing up.
    addresses = ['127.0.0.2', '127.0.0.1']
    await door.refresh()
    const client = await connectAs(phone(), link())
    const ended = new Promise<string>((resolve) => client.onClose(({ code }) => resolve(code)))
    addresses = addresses.filter((address) => address !== url().hostname)
    await door.refresh()
    expect(await ended).toBe('closed')
    const serialNow = () => new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: Number(url().port), rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
        socket.destroy()
      })
      socket.on('error', reject)
    })
    const serial = await serialNow()
    await door.refresh()
    expect(await serialNow()).toBe(serial)
    now += 25 * 24 * 3600 * 1000
    await door.refresh()
    expect(await serialNow()).not.toBe(serial)
    addresses = []
    await door.refresh()
    expect(door.info()).toMatchObject({ enabled: true, urls: [], problem: { detail: { code: 'lan-none' } } })
    expect(lanFiles.at(-1)).toBeNull()
  })

  it('is opened and shut while the helper runs, remembers it, and keeps its port', async () => {
    const { port } = url()
    expect((await door.set(false)).urls).toEqual([])
    expect(() => link()).toThrow(/switch that on/)
    await door.set(true)
    expect(url().port).toBe(port)
    await door.close()
    door = await open()
    expect(url().port).toBe(port)
    expect(door.info().enabled).toBe(true)
  })

  it('serves a certificate of the person under its names only, and reads it again when it changes', async () => {
    await door.close()
    const other = await openLocalAuthority({ storage: join(directory, 'other'), host: 'nas', owner: 'somebody', now: () => now })
    const files = { certificate: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
    const write = async () => {
      const made = other.issue({ names: ['nas.home.arpa'], addresses: ['127.0.0.1'] })
      await Promise.all([writeFile(files.certificate, made.certificatePem), writeFile(files.key, made.keyPem)])
      return new X509Certificate(made.certificatePem).serialNumber
    }
    await write()
    door = await open({ override: true, certificate: files })
    expect(door.info()).toMatchObject({ problem: null, authority: null })
    expect(url().hostname).toBe('nas.home.arpa')
    const at = (host: string) => ask(`https://127.0.0.1:${url().port}/healthz`, { ca: other.certificatePem, headers: { host: `${host}:${url().port}` } })
    expect((await at('nas.home.arpa')).status).toBe(204)
    expect((await at('box.local')).status).toBe(403)
    expect((await ask(`https://127.0.0.1:${url().port}/trust`, { ca: other.certificatePem })).status).toBe(404)
    const serial = await write()
    await door.refresh()
    const presented = await new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: Number(url().port), rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
        socket.destroy()
      })
    })
    expect(presented).toBe(serial)
    // Half written: the one before goes on.
    await writeFile(files.key, 'nonsense')
    await door.refresh()
    expect((await at('nas.home.arpa')).status).toBe(204)
    await cp(files.key, files.certificate)
    await expect(open({ override: true, certificate: files })).rejects.toMatchObject({ code: 'bad-request' })
  })

  it('lets in what is local, and nothing from the internet', () => {
    for (const address of ['192.168.1.9', '10.1.2.3', '172.31.0.1', '169.254.3.4', '100.100.1.1', '::ffff:192.168.1.9', 'fe80::1%eth0', 'fd12::1', '127.0.0.1', '::1']) expect(isLocalAddress(address), address).toBe(true)
    for (const address of ['8.8.8.8', '172.32.0.1', '192.169.0.1', '2001:db8::1', '::ffff:8.8.8.8', '', 'nonsense']) expect(isLocalAddress(address), address).toBe(false)
  })
})

describe('pairing a phone', () => {
  it('works once, with the role that was chosen', async () => {
    const invitation = link('control')
    const device = phone()
    const client = await connectAs(device, invitation)
    expect(await client.api.snapshot()).toEqual({ role: 'control', door: { host: '127.0.0.1', uiOrigin: url().origin } })
    await expect(client.api.shutdown()).rejects.toMatchObject({ code: 'not-allowed' })
    await expect(client.api.changeDevice({ deviceId: device.deviceId, role: 'admin' })).rejects.toMatchObject({ code: 'not-allowed' })
    client.close()
    expect(world.devices.find(device.deviceId)).toMatchObject({ role: 'control', name: 'a phone' })
    // Stolen afterwards.
    await expect(connectAs(phone(), invitation)).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('gives a known device nothing more by another link, and leaves that link to its owner', async () => {
    const device = phone()
    ;(await connectAs(device, link('view'))).close()
    const better = link('admin')
    const again = await connectAs(device, better)
    expect(await again.api.snapshot()).toMatchObject({ role: 'view' })
    again.close()
    ;(await connectAs(phone(), better)).close()
  })

  it('ends with time', async () => {
    const invitation = link()
    now += 11 * 60 * 1000
    await expect(connectAs(phone(), invitation)).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('takes no link of loopback, and has tries of its own', async () => {
    await expect(connectAs(phone(), world.server.pairUrl())).rejects.toMatchObject({ code: 'not-allowed' })
    const invitation = link()
    const wrong = `${url().origin}/#/pair/${'0'.repeat(32)}.${world.peerId.slice(0, 32)}`
    for (let i = 0; i < 4; i++) await expect(connectAs(phone(), wrong)).rejects.toMatchObject({ code: 'not-allowed' })
    // Whoever guesses ends every invitation here, and none on the machine itself.
    await expect(connectAs(phone(), invitation)).rejects.toMatchObject({ code: 'busy' })
    const local = world.server.pairUrl()
    const found = parsePairingFragment(local)
    if (!found.ok) throw new Error('no invitation')
    const client = await openControlClient({ socket: world.openSocket({ origin: world.server.url }), device: phone(), deviceName: 'a browser', origin: world.server.url, pairing: found.value })
    client.close()
  })

  it('refuses a proof that was heard before, and one made for another origin', async () => {
    const device = phone()
    ;(await connectAs(device, link())).close()
    const proofs: string[] = []
    const recording = await socketTo()
    const send = recording.send.bind(recording)
    recording.send = (data: unknown) => {
      proofs.push(String(data))
      send(data as string)
    }
    const client = await openControlClient({ socket: recording as never, device, deviceName: 'a phone', origin: url().origin, helperKey: world.peerId })
    client.close()
    const replay = await socketTo()
    const answer = await new Promise<string>((resolve) => {
      replay.on('message', (data) => {
        const text = String(data)
        if (text.includes('"hello"')) replay.send(proofs[0] ?? '')
        else resolve(text)
      })
    })
    expect(JSON.parse(answer)).toMatchObject({ kind: 'refused', code: 'not-allowed' })
    await expect(openControlClient({ socket: await socketTo(), device, deviceName: 'a phone', origin: world.server.url, helperKey: world.peerId })).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('is undone at once: the connection ends, and does not come back', async () => {
    const device = phone()
    const client = await connectAs(device, link())
    const ended = new Promise<string>((resolve) => client.onClose(({ code }) => resolve(code)))
    await world.devices.remove(device.deviceId)
    expect(await ended).toBe('not-allowed')
    await expect(connectAs(device)).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('gives another role at the next word, by a connection that starts anew', async () => {
    const device = phone()
    const client = await connectAs(device, link('admin'))
    const ended = new Promise<string>((resolve) => client.onClose(({ code }) => resolve(code)))
    await world.devices.change(device.deviceId, { role: 'view' })
    expect(await ended).toBe('closed')
    const again = await connectAs(device)
    expect(await again.api.snapshot()).toMatchObject({ role: 'view' })
    await expect(again.api.download({ peerId: world.peerId, path: 'a' as never })).rejects.toMatchObject({ code: 'not-allowed' })
    again.close()
  })
})

describe('the last admin', () => {
  it('does not lock itself out without knowing it', async () => {
    const { devices } = world
    const self = await world.addDevice()
    const api = createDevicesService({ devices, lan: door, createPairingLink: door.createPairingLink }, self.deviceId)
    await world.addDevice('cli')
    await world.addDevice('browser', 'control')
    await expect(api.changeDevice({ deviceId: self.deviceId, role: 'control' })).rejects.toMatchObject({ code: 'conflict' })
    await expect(api.revokeDevice({ deviceId: self.deviceId })).rejects.toMatchObject({ code: 'conflict' })
    await api.changeDevice({ deviceId: self.deviceId, name: 'Kitchen' })
    expect(devices.find(self.deviceId)).toMatchObject({ name: 'Kitchen', role: 'admin' })
    const other = await world.addDevice()
    await api.changeDevice({ deviceId: self.deviceId, role: 'control' })
    await api.changeDevice({ deviceId: self.deviceId, role: 'admin' })
    await api.revokeDevice({ deviceId: other.deviceId })
    await api.revokeDevice({ deviceId: self.deviceId, lastAdmin: true })
    expect(devices.find(self.deviceId)).toBeUndefined()
    const [cli] = devices.list().filter(({ kind }) => kind === 'cli')
    await expect(api.changeDevice({ deviceId: cli?.deviceId ?? '', role: 'view' })).rejects.toMatchObject({ code: 'conflict' })
  })
})
