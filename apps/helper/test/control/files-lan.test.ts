import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { type RequestOptions, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FilesOrigin, openFilesOrigin } from '../../src/adapters/files/files-origin.ts'
import { type LocalAuthority, openLocalAuthority } from '../../src/adapters/identity/local-authority.ts'
import type { GrantHolder } from '../../src/network/network-api.ts'
import { rawRequest } from '../support/http-raw.ts'

/** Files for phones: over TLS, only where they were asked from, only as long as the device is let in. */

const PHONE = '01'.repeat(32)
const OTHER = '02'.repeat(32)
const UI = 'https://127.0.0.1:3443'
const HOLDER: GrantHolder = { deviceId: PHONE, door: { host: '127.0.0.1', uiOrigin: UI } }
let base: string
let files: FilesOrigin
let authority: LocalAuthority
let onReading: () => void
let reading: Promise<void>

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'files-lan-')))
  await writeFile(join(base, 'a.txt'), 'for the phone')
  reading = new Promise((resolve) => {
    onReading = resolve
  })
  files = await openFilesOrigin({
    uiOrigins: ['http://127.0.0.1:3030'], downloadDirectory: () => base, log: () => {},
    readRemote: () => {
      onReading()
      return new Promise(() => {})
    },
    readThumbnail: () => new Promise(() => {}),
  })
  authority = await openLocalAuthority({ storage: base, host: '', owner: 'somebody', now: Date.now })
})

afterEach(async () => {
  await files.close()
  await rm(base, { recursive: true, force: true })
})

const certificate = () => {
  const { certificatePem, keyPem } = authority.issue({ names: ['localhost'], addresses: ['127.0.0.1', '127.0.0.2'] })
  return { certificatePem, keyPem }
}
const openLan = (addresses = ['127.0.0.1']) => files.setLan({ addresses, port: 0, ...certificate() })
const grant = (holder?: GrantHolder) => files.grant({ kind: 'local', path: join(base, 'a.txt') }, holder)

function ask(url: string, options: RequestOptions = {}): Promise<{ status: number; body: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca: authority.certificatePem, agent: false, checkServerIdentity: () => undefined, ...options }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('files for phones', () => {
  it('are served under the name the app is served under, in the same sandbox, and shown by that app alone', async () => {
    expect(() => grant(HOLDER)).toThrow(/not served to the local network yet/)
    await openLan()
    const url = grant(HOLDER)
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/[A-Za-z0-9_-]{43}\/a\.txt$/)
    const answer = await ask(url)
    expect(answer).toMatchObject({ status: 200, body: 'for the phone' })
    expect(answer.headers['content-security-policy']).toMatch(/^sandbox;.* frame-ancestors https:\/\/127\.0\.0\.1:3443$/)
  })

  it('open on no other side and under no other name', async () => {
    await openLan(['127.0.0.1', '127.0.0.2'])
    const url = new URL(grant(HOLDER))
    expect((await ask(url.href, { headers: { host: `localhost:${url.port}` } })).status).toBe(404)
    expect((await ask(`https://127.0.0.2:${url.port}${url.pathname}`)).status).toBe(404)
    expect((await rawRequest(files.origin, url.pathname)).status).toBe(404)
    // The other way round: what was asked for on this machine stays on it.
    const local = new URL(grant())
    expect((await rawRequest(files.origin, local.pathname)).status).toBe(200)
    expect((await ask(`https://127.0.0.1:${url.port}${local.pathname}`)).status).toBe(404)
  })

  it('end with their device, also in the middle', async () => {
    await openLan()
    const [mine, theirs] = [grant(HOLDER), grant({ ...HOLDER, deviceId: OTHER })]
    const endless = files.grant({ kind: 'remote', peerId: 'c1'.repeat(32) as never, path: 'Film.mp4' as never, size: 1_000_000, mtime: 1 }, HOLDER)
    const sent = ask(endless).then(() => 'answered', () => 'cut off')
    await reading
    files.revoke(PHONE)
    expect(await sent).toBe('cut off')
    expect((await ask(mine)).status).toBe(404)
    expect((await ask(theirs)).status).toBe(200)
  })

  it('are gone when the local network is no longer served, and do not come back with it', async () => {
    await openLan()
    const url = grant(HOLDER)
    await files.setLan(null)
    await expect(ask(url)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await openLan()
    const again = new URL(grant(HOLDER))
    expect((await ask(`${again.origin}${new URL(url).pathname}`)).status).toBe(404)
  })
})
