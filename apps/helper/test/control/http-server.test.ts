import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openControlServer } from '../../src/control/http-server.ts'
import { defaultSettings } from '../../src/control/settings.ts'
import { API_TOKEN, type ControlWorld, PEER, openControlWorld } from '../support/control-world.ts'
import { rawRequest } from '../support/http-raw.ts'

let world: ControlWorld
let url: string
let host: string
beforeAll(async () => {
  world = await openControlWorld()
  url = world.server.url
  host = new URL(url).host
})
afterAll(() => world.close())

const bearer = { authorization: `Bearer ${API_TOKEN}` }
const json = { 'content-type': 'application/json' }
const post = (path: string, headers: Record<string, string>, body = '{}') => rawRequest(url, path, { method: 'POST', headers, body })
const upgrade = (headers: Record<string, string>, path = '/control') =>
  rawRequest(url, path, {
    headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16).toString('base64'), ...headers },
  })

const get = async (name: string): Promise<unknown> => JSON.parse((await rawRequest(url, `/api/${name}`, { headers: bearer })).body.toString())
async function call(method: string, body: string, headers: Record<string, string> = json) {
  const answer = await post(`/api/${method}`, { ...bearer, ...headers }, body)
  return [answer.status, JSON.parse(answer.body.toString())] as const
}
const open = (uiAddress: string) => openControlServer({
  uiAddress, identity: world.identity, devices: world.devices, hub: world.hub, apiToken: API_TOKEN, pwaDirectory: world.pwaDirectory, log: () => {}, service: () => ({}) as never,
})

describe('the app', () => {
  it('is served with headers that let nothing else run or frame it', async () => {
    const page = await rawRequest(url, '/')
    expect(page).toMatchObject({ status: 200 })
    expect(page.body.toString()).toContain('<title>app</title>')
    const policy = String(page.headers['content-security-policy'])
    expect(policy.split('; ')).toEqual([
      "default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'", `connect-src 'self' ws://${host}`, "img-src 'self' data: blob: http://127.0.0.1:*",
      'media-src http://127.0.0.1:*', 'frame-src http://127.0.0.1:*', "manifest-src 'self'", "worker-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ])
    expect(page.headers).toMatchObject({
      'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-cache',
    })
    expect(Object.keys(page.headers).filter((name) => name.startsWith('access-control') || name === 'x-powered-by')).toEqual([])
  })

  it('keeps hashed files for ever and asks again for the rest', async () => {
    expect((await rawRequest(url, '/assets/app-1a2b3c.js')).headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect((await rawRequest(url, '/index.html')).headers['cache-control']).toBe('no-cache')
    expect(await rawRequest(url, '/assets/none.js')).toMatchObject({ status: 404 })
  })

  it.each(['/../secret.txt', '/assets/../../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/assets/..%2f..%2fsecret.txt', '/..%5csecret.txt', '//secret.txt', '/%00', '/%', '/.hidden', '/assets'])(
    'serves nothing outside its directory: %s', async (path) => {
      const answer = await rawRequest(url, path)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
      expect(answer.body.toString()).not.toContain('secret')
    })

  it('says only that it is there', async () => {
    const answer = await rawRequest(url, '/healthz')
    expect(answer.status).toBe(204)
    expect(JSON.stringify(answer.headers)).not.toContain(world.peerId.slice(0, 8))
  })
})

describe('a hostile page', () => {
  const EVIL = 'http://evil.example'
  it.each([
    ['a rebound name', { host: 'evil.example' }],
    ['a rebound name with our port', { host: 'evil.example:80' }],
    ['another port', { host: '127.0.0.1:1' }],
    ['an address that only looks like ours', { host: '127.0.0.1.evil.example' }],
    ['our name as user', { host: '127.0.0.1@evil.example' }],
  ])('gets nothing under %s', async (_what, headers) => {
    for (const path of ['/', '/assets/app-1a2b3c.js', '/api/status', '/healthz']) {
      const answer = await rawRequest(url, path, { headers: { ...headers, ...bearer } })
      expect(answer.status).toBe(403)
      expect(answer.body.toString()).not.toContain('app')
    }
    expect((await post('/api/shutdown', { ...headers, ...json, ...bearer })).status).toBe(403)
    expect((await upgrade(headers)).status).toBe(403)
  })

  it.each([
    ['another origin', { origin: EVIL }],
    ['no origin to speak of', { origin: 'null' }],
    ['our address on another port', { origin: 'http://127.0.0.1:1' }],
    ['our address over https', () => ({ origin: `https://${host}` })],
    ['our other name', () => ({ origin: `http://${host.replace('127.0.0.1', 'localhost')}` })],
    ['our address as a prefix', () => ({ origin: `${url}.evil.example` })],
    ['a request that the browser marks as cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['a request from a sibling origin', { 'sec-fetch-site': 'same-site' }],
  ])('gets nothing from %s, token or not', async (_what, given) => {
    const headers = typeof given === 'function' ? given() : given
    for (const token of [{}, bearer]) {
      expect((await post('/api/shutdown', { ...headers, ...token, ...json })).status).toBe(403)
      expect((await post('/api/connect', { ...headers, ...token, 'content-type': 'text/plain' }, '{"code":"x"}')).status).toBe(403)
      const answer = await rawRequest(url, '/api/status', { headers: { ...headers, ...token } })
      expect(answer.status).toBe(403)
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
    expect((await upgrade(headers)).status).toBe(403)
    expect((await rawRequest(url, '/api/status', { method: 'OPTIONS', headers: { ...headers, 'access-control-request-method': 'POST' } })).headers['access-control-allow-origin']).toBeUndefined()
    expect(world.isStopped()).toBe(false)
  })

  it('may be left by a link to the app, but cannot load it as a part', async () => {
    const crossSite = { 'sec-fetch-site': 'cross-site' }
    expect((await rawRequest(url, '/', { headers: { ...crossSite, 'sec-fetch-mode': 'navigate' } })).status).toBe(200)
    expect((await rawRequest(url, '/assets/app-1a2b3c.js', { headers: { ...crossSite, 'sec-fetch-mode': 'no-cors' } })).status).toBe(403)
    expect((await rawRequest(url, '/api/status', { headers: { ...crossSite, ...bearer, 'sec-fetch-mode': 'navigate' } })).status).toBe(403)
  })

  it('finds the door open only for the app itself, at the right address', async () => {
    expect((await upgrade({ origin: url, 'sec-fetch-site': 'same-origin' })).status).toBe(101)
    expect((await upgrade({ host: host.replace('127.0.0.1', 'localhost'), origin: url.replace('127.0.0.1', 'localhost') })).status).toBe(101)
    expect((await upgrade({ origin: url }, '/other')).status).toBe(403)
    expect((await upgrade({ origin: url }, '/control/../control')).status).toBe(403)
  })
})

describe('the JSON API', () => {
  it('wants its token, exactly', async () => {
    for (const authorization of [undefined, '', 'Bearer', `Bearer ${API_TOKEN.slice(1)}`, `Bearer ${API_TOKEN}0`, `bearer ${API_TOKEN}`, `Basic ${API_TOKEN}`]) {
      const headers = authorization === undefined ? {} : { authorization }
      for (const answer of [await rawRequest(url, '/api/status', { headers }), await post('/api/shutdown', { ...headers, ...json }), await rawRequest(url, '/api/nothing', { headers })]) {
        expect(answer.status).toBe(401)
        expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { code: 'not-allowed' } })
      }
    }
    expect(world.isStopped()).toBe(false)
  })

  it('shows parts of the snapshot', async () => {
    expect(await get('status')).toMatchObject({ peerId: world.peerId, network: 'ready' })
    expect(await get('peers')).toMatchObject([{ peerId: PEER, state: 'connected' }])
    for (const name of ['transfers', 'uploads', 'shares']) expect(await get(name)).toEqual([])
    expect(await get('settings')).toEqual(defaultSettings(world.downloadDirectory))
    expect(await get('topics')).toEqual([])
  })

  it('calls methods and maps errors', async () => {
    expect(await call('updateSettings', '{"askBeforeAccepting":true}')).toMatchObject([200, { result: { askBeforeAccepting: true } }])
    expect(await call('clearFinished', '{}')).toEqual([200, { result: null }])
    expect(await call('clearFinished', '{"a":1}')).toMatchObject([400, { error: { code: 'bad-request' } }])
    expect(await call('cancel', '{"transferId":"x"}')).toMatchObject([404, { error: { code: 'not-found' } }])
    expect(await call('cancel', '{')).toMatchObject([400, { error: { code: 'bad-request', message: 'the body is not JSON' } }])
    expect(await call('clearFinished', '{}', { 'content-type': 'text/plain' })).toMatchObject([415, { error: { code: 'unsupported' } }])
    expect(await call('clearFinished', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' })).toMatchObject([415, {}])
    for (const method of ['constructor', '__proto__', 'toString', 'nothing']) expect(await call(method, '{}')).toMatchObject([404, { error: { code: 'not-found' } }])
    expect(await call('connect', `{"code":"${'x'.repeat(70_000)}"}`)).toMatchObject([413, { error: { code: 'too-large' } }])
    expect(await call('cancel', '{"__proto__":{"transferId":"x"}}')).toMatchObject([400, {}])
    expect(({} as { transferId?: unknown }).transferId).toBeUndefined()
  })
})

describe('opening the server', () => {
  it('says whose port it is not', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(open(`http://127.0.0.1:${port}`)).rejects.toMatchObject({ name: 'CodedError', code: 'address-in-use', message: expect.stringContaining(String(port)) as string })
    taken.close()
  })

  it.each(['http://0.0.0.0:0', 'http://192.168.1.20:0', 'http://[::]:0', 'http://example.org:0', 'https://127.0.0.1:0', 'http://user@127.0.0.1:0', 'http://127.0.0.1:0/path', '127.0.0.1:3030', ''])('refuses to listen on %s', async (address) => {
    await expect(open(address)).rejects.toMatchObject({ code: 'bad-request' })
  })

  it('goes by the name localhost too, and closes twice', async () => {
    const server = await open('http://localhost:0')
    expect(server.url).toMatch(/^http:\/\/localhost:\d+$/)
    expect(server.pairUrl()).toMatch(/^http:\/\/localhost:\d+\/#\/pair\/[0-9a-f]{32}\.[0-9a-f]{32}$/)
    expect(server.pairUrl()).not.toBe(server.pairUrl())
    await Promise.all([server.close(), server.close()])
    await expect(rawRequest(server.url, '/')).rejects.toThrow('ECONNREFUSED')
  })
})
