import { mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CodedError, MAX_READ_BYTES, type PeerId, type SharePath } from '@harddrive-party/protocol'
import { type FilesOrigin, type FilesOriginOptions, openFilesOrigin } from '../../src/adapters/files/files-origin.ts'
import { rawRequest } from '../support/http-raw.ts'

const UI = 'http://127.0.0.1:3030'
const PEER = 'c1'.repeat(32) as PeerId
const SIZE = 5 * 1024 * 1024 + 17
const REMOTE = Buffer.alloc(SIZE, 'abcdefghijklm')

let base: string
let downloads: string
let files: FilesOrigin
let now: number
let reads: [number, number][]
let readRemote: FilesOriginOptions['readRemote']
let readThumbnail: FilesOriginOptions['readThumbnail']
beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'files-')))
  downloads = join(base, 'downloads')
  await mkdir(downloads)
  await writeFile(join(base, 'secret.txt'), 'secret')
  now = 0
  reads = []
  readThumbnail = async () => ({ bytes: Uint8Array.of(0xff, 0xd8), mediaType: 'image/jpeg' })
  readRemote = async (_peerId, _path, start, end) => REMOTE.subarray(start, end)
  files = await openFilesOrigin({
    uiOrigins: [UI], downloadDirectory: () => downloads, now: () => now, log: () => {}, readThumbnail: (peerId, request, options) => readThumbnail(peerId, request, options),
    readRemote: (peerId, path, start, end, expected, options) => {
      reads.push([start, end])
      return readRemote(peerId, path, start, end, expected, options)
    },
  })
})
afterEach(async () => {
  await files.close()
  await rm(base, { recursive: true, force: true })
})

const grantRemote = (path = 'Films/Film.mp4', size = SIZE) => files.grant({ kind: 'remote', peerId: PEER, path: path as SharePath, size, mtime: 1 })
async function grantText(name: string, text: string | Buffer = 'hello world'): Promise<string> {
  await writeFile(join(downloads, name), text)
  return files.grant({ kind: 'local', path: join(downloads, name) })
}
const fetchRaw = (url: string, options: Parameters<typeof rawRequest>[2] = {}) => rawRequest(new URL(url).origin, url.slice(new URL(url).origin.length), options)

describe('the address of a file', () => {
  it('cannot be guessed and opens nothing but itself', async () => {
    const url = await grantText('a b.txt')
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[A-Za-z0-9_-]{43}\/a%20b\.txt$/)
    expect((await fetchRaw(url)).body.toString()).toBe('hello world')
    const token = url.split('/')[3] ?? ''
    for (const path of ['/', '/secret.txt', `/${token}`, `/${token}/`, `/${token}/../../secret.txt`, `/${token}/a/b`, `/${'A'.repeat(43)}/a%20b.txt`, `/${token.slice(1)}x/a%20b.txt`, `/..%2f${token}/x`]) {
      const answer = await rawRequest(files.origin, path)
      expect(answer.status, path).toBe(404)
      expect(answer.body).toHaveLength(0)
    }
  })

  it('is not served under another name, and not for writing', async () => {
    const url = await grantText('a.txt')
    for (const host of ['evil.example', `localhost:${new URL(url).port}`, '127.0.0.1']) expect((await fetchRaw(url, { headers: { host } })).status).toBe(403)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) expect((await fetchRaw(url, { method })).status).toBe(405)
  })

  it('ends when nobody uses it, and not before', async () => {
    const url = await grantText('a.txt')
    const used = await grantText('b.txt')
    now += 11 * 3600_000
    expect((await fetchRaw(used)).status).toBe(200)
    now += 2 * 3600_000
    expect((await fetchRaw(url)).status).toBe(404)
    expect((await fetchRaw(used)).status).toBe(200)
  })

  it('makes room for newer ones, the least used first', async () => {
    const used = await grantText('used.txt')
    const forgotten = await grantText('forgotten.txt')
    await fetchRaw(used)
    for (let i = 0; i < 999; i++) grantRemote()
    expect((await fetchRaw(forgotten)).status).toBe(404)
    expect((await fetchRaw(used)).status).toBe(200)
  })
})

describe('what a browser may do with a file', () => {
  it.each(['page.html', 'page.HTM', 'image.svg', 'page.xhtml', 'feed.xml', 'script.js', 'worker.mjs', 'page.html.', 'noextension', 'program.exe', 'style.css', 'archive.mht', 'doc.shtml'])('saves %s and runs nothing in it', async (name) => {
    const { headers, status } = await fetchRaw(await grantText(name, '<script>alert(1)</script>'))
    expect(status).toBe(200)
    expect(headers['content-disposition']).toMatch(/^attachment;/)
    expect(headers).toMatchObject({ 'content-type': 'application/octet-stream', 'x-content-type-options': 'nosniff' })
    expect(headers['content-security-policy']).toMatch(/^sandbox; default-src 'none';/)
    expect(headers['content-security-policy']).not.toMatch(/allow-|script-src|unsafe-eval/)
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })

  it.each([['x.mp4', 'video/mp4'], ['x.FLAC', 'audio/flac'], ['x.png', 'image/png'], ['x.txt', 'text/plain; charset=utf-8']])('shows %s, still without scripts', async (name, type) => {
    const { headers } = await fetchRaw(await grantText(name))
    expect(headers).toMatchObject({ 'content-type': type, 'x-content-type-options': 'nosniff', 'cache-control': 'private, no-store' })
    expect(headers['content-disposition']).toMatch(/^inline;/)
    expect(headers['content-security-policy']).toMatch(/^sandbox; /)
    expect(headers['content-security-policy']).toContain(`frame-ancestors ${UI}`)
  })

  it('names the file without letting the name into the headers', async () => {
    const name = `Ä"; x=y\r\nSet-Cookie: a=b ${'日本'}'().html`
    const { headers } = await fetchRaw(grantRemote(`Films/${name}`, 0))
    expect(headers['set-cookie']).toBeUndefined()
    expect(headers['content-disposition']).toBe(
      `attachment; filename="__; x=y__Set-Cookie: a=b __'().html"; filename*=UTF-8''%C3%84%22%3B%20x%3Dy%0D%0ASet-Cookie%3A%20a%3Db%20%E6%97%A5%E6%9C%AC%27%28%29.html`,
    )
  })
})

describe('a drawing', () => {
  it('is one only where the browser draws it, and even then it is saved when it is visited', async () => {
    const url = await grantText('image.svg', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    const drawn = await fetchRaw(url, { headers: { 'sec-fetch-dest': 'image' } })
    expect(drawn.headers).toMatchObject({ 'content-type': 'image/svg+xml', 'x-content-type-options': 'nosniff' })
    for (const dest of ['document', 'iframe', 'embed', 'object', 'script', 'empty']) {
      expect((await fetchRaw(url, { headers: { 'sec-fetch-dest': dest } })).headers['content-type'], dest).toBe('application/octet-stream')
    }
    expect(drawn.headers['content-disposition']).toMatch(/^attachment;/)
    expect(drawn.headers['content-security-policy']).toMatch(/^sandbox; default-src 'none';/)
    // No other document becomes one.
    expect((await fetchRaw(await grantText('page.html'), { headers: { 'sec-fetch-dest': 'image' } })).headers['content-type']).toBe('application/octet-stream')
  })
})

describe("pictures of a peer's images", () => {
  const query = `?${new URLSearchParams({ path: 'Photos/a b.jpg', size: '10', mtime: '1.5', edge: '96' })}`

  it('have one address, and are shown as what they were judged to be', async () => {
    const asked: unknown[] = []
    readThumbnail = async (...args) => {
      asked.push(args.slice(0, 2))
      return { bytes: Uint8Array.of(1, 2, 3), mediaType: 'image/webp' }
    }
    const url = files.grant({ kind: 'thumbnails', peerId: PEER })
    expect(files.grant({ kind: 'thumbnails', peerId: PEER })).toBe(url)
    expect(files.grant({ kind: 'thumbnails', peerId: 'd2'.repeat(32) as PeerId })).not.toBe(url)
    const { status, headers, body } = await fetchRaw(url + query)
    expect([status, [...body]]).toEqual([200, [1, 2, 3]])
    expect(headers).toMatchObject({ 'content-type': 'image/webp', 'x-content-type-options': 'nosniff', 'content-security-policy': "sandbox; default-src 'none'", 'cache-control': 'private, no-store' })
    expect(asked).toEqual([[PEER, { path: 'Photos/a b.jpg', size: 10, mtime: 1.5, edge: 96 }]])
    for (const bad of ['', '?path=..&size=1&mtime=1&edge=9', `${query}0`]) expect((await fetchRaw(url + bad)).status).toBe(400)
    expect((await fetchRaw((await grantText('a.txt')) + query)).status).toBe(404)
  })

  it.each([['not-found', 404], ['source-changed', 410], ['unsupported', 415], ['bad-answer', 502], ['busy', 503]] as const)('that cannot be had (%s) are an error without content', async (code, status) => {
    readThumbnail = async () => {
      throw new CodedError(code, '<script>alert(1)</script>')
    }
    const answer = await fetchRaw(files.grant({ kind: 'thumbnails', peerId: PEER }) + query)
    expect([answer.status, answer.body.length, answer.headers['content-type']]).toEqual([status, 0, undefined])
  })
})

describe('a downloaded file', () => {
  it('is nothing outside the download directory', async () => {
    for (const path of [join(base, 'secret.txt'), join(downloads, '..', 'secret.txt'), downloads, `${downloads}-other/x`, 'relative.txt', '/etc/passwd', '']) {
      expect(() => files.grant({ kind: 'local', path }), path).toThrow(expect.objectContaining({ code: 'not-allowed' }) as Error)
    }
    expect(() => files.grant({ kind: 'local', path: join(base, 'secret.txt'), downloadDirectory: base })).not.toThrow()
  })

  it('is not a link, and not behind one', async () => {
    await symlink(join(base, 'secret.txt'), join(downloads, 'link.txt'))
    await symlink(base, join(downloads, 'way'))
    for (const way of ['link.txt', 'way/secret.txt']) {
      const answer = await fetchRaw(files.grant({ kind: 'local', path: join(downloads, way) }))
      expect(answer.status).toBe(404)
      expect(answer.body.toString()).toBe('')
    }
  })

  it('that became a link after it was granted is not followed', async () => {
    const url = await grantText('a.txt')
    await rm(join(downloads, 'a.txt'))
    expect((await fetchRaw(url)).status).toBe(404)
    await symlink(join(base, 'secret.txt'), join(downloads, 'a.txt'))
    expect((await fetchRaw(url)).status).toBe(404)
  })

  it('is served where the download directory itself is behind a link', async () => {
    await writeFile(join(downloads, 'a.txt'), 'through')
    await symlink(downloads, join(base, 'alias'))
    const url = files.grant({ kind: 'local', path: join(base, 'alias', 'a.txt'), downloadDirectory: join(base, 'alias') })
    expect((await fetchRaw(url)).body.toString()).toBe('through')
  })

  it.skipIf(process.platform === 'win32')('is neither a directory nor a pipe', async () => {
    await mkdir(join(downloads, 'folder.txt'))
    execFileSync('mkfifo', [join(downloads, 'pipe.txt')])
    for (const name of ['folder.txt', 'pipe.txt']) expect((await fetchRaw(files.grant({ kind: 'local', path: join(downloads, name) }))).status).toBe(404)
  })

  it('larger than one piece arrives whole', async () => {
    const answer = await fetchRaw(await grantText('big.bin', REMOTE))
    expect(answer.headers['content-length']).toBe(String(SIZE))
    expect(answer.body.equals(REMOTE)).toBe(true)
  })

  it('cut short while it is read ends the connection instead of lying', async () => {
    const url = await grantText('cut.bin', Buffer.alloc(64 * 1024 * 1024))
    const failed = new Promise<string>((resolve, reject) => {
      get(url, (response) => {
        response.once('readable', () => {
          truncate(join(downloads, 'cut.bin'), 1).then(() => response.resume(), reject)
        })
        response.on('end', () => resolve(response.complete ? 'complete' : 'cut'))
        response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
      })
    })
    expect(await failed).toBe('ECONNRESET')
  })
})

describe('ranges', () => {
  const ALL = 'hello world'
  it.each([
    ['bytes=0-4', 206, 'hello', 'bytes 0-4/11'],
    ['bytes=6-', 206, 'world', 'bytes 6-10/11'],
    ['bytes=-5', 206, 'world', 'bytes 6-10/11'],
    ['bytes=-100', 206, ALL, 'bytes 0-10/11'],
    ['bytes=0-', 206, ALL, 'bytes 0-10/11'],
    ['bytes=4-999999999999999', 206, 'o world', 'bytes 4-10/11'],
    ['bytes=10-10', 206, 'd', 'bytes 10-10/11'],
    ['bytes=11-', 416, '', 'bytes */11'],
    ['bytes=999999999999999-', 416, '', 'bytes */11'],
    ['bytes=-0', 416, '', 'bytes */11'],
    ['bytes=5-4', 200, ALL, undefined],
    ['bytes=0-1,3-4', 200, ALL, undefined],
    ['bytes=-', 200, ALL, undefined],
    ['bytes=a-b', 200, ALL, undefined],
    ['bytes=0x1-2', 200, ALL, undefined],
    ['items=0-4', 200, ALL, undefined],
    ['bytes=99999999999999999999-', 200, ALL, undefined],
  ])('%s', async (range, status, body, contentRange) => {
    const answer = await fetchRaw(await grantText('a.txt'), { headers: { range } })
    expect([answer.status, answer.body.toString(), answer.headers['content-range']]).toEqual([status, body, contentRange])
    expect(answer.headers['content-length']).toBe(String(body.length))
    const head = await fetchRaw(await grantText('a.txt'), { method: 'HEAD', headers: { range } })
    expect([head.status, head.body.length, head.headers['content-length']]).toEqual([status, 0, String(body.length)])
  })

  it('of nothing', async () => {
    const url = await grantText('empty.txt', '')
    expect(await fetchRaw(url)).toMatchObject({ status: 200, body: Buffer.alloc(0) })
    for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) expect((await fetchRaw(url, { headers: { range } })).status).toBe(416)
  })

  it('that depend on a version are not granted', async () => {
    expect((await fetchRaw(await grantText('a.txt'), { headers: { range: 'bytes=0-4', 'if-range': '"x"' } })).status).toBe(200)
  })
})

describe("a peer's file", () => {
  it('is fetched in pieces, in order and only as far as asked', async () => {
    const url = grantRemote()
    expect((await fetchRaw(url)).body.equals(REMOTE)).toBe(true)
    // A player has its first bytes after a short read; long ones carry the rest.
    expect(reads.slice(0, 3)).toEqual([[0, 64 * 1024], [64 * 1024, 192 * 1024], [192 * 1024, 448 * 1024]])
    expect(reads.every(([start, end], index) => start === (reads[index - 1]?.[1] ?? 0) && end - start <= MAX_READ_BYTES)).toBe(true)
    reads.length = 0
    const part = await fetchRaw(url, { headers: { range: 'bytes=1000000-1000009' } })
    expect(part).toMatchObject({ status: 206, body: REMOTE.subarray(1_000_000, 1_000_010) })
    expect(reads).toEqual([[1_000_000, 1_000_010]])
  })

  it('is not asked for when only its headers are wanted', async () => {
    expect((await fetchRaw(grantRemote(), { method: 'HEAD' })).headers['content-length']).toBe(String(SIZE))
    expect((await fetchRaw(grantRemote(), { headers: { range: 'bytes=99999999-' } })).status).toBe(416)
    expect(reads).toEqual([])
  })

  it.each([['not-found', 404], ['source-changed', 410], ['offline', 502], ['busy', 503], ['timed-out', 504]] as const)('that fails with %s is no empty file', async (code, status) => {
    readRemote = () => Promise.reject(new CodedError(code, 'x'))
    expect((await fetchRaw(grantRemote())).status).toBe(status)
  })

  it('that fails later, or is shorter than promised, ends the connection', async () => {
    readRemote = async (_peerId, _path, start, end) => (start === 0 ? REMOTE.subarray(start, end) : Promise.reject(new CodedError('connection-lost', 'x')))
    await expect(fetchRaw(grantRemote())).rejects.toMatchObject({ code: 'ECONNRESET' })
    readRemote = async (_peerId, _path, start, end) => REMOTE.subarray(start, end - 1)
    expect((await fetchRaw(grantRemote())).status).toBe(502)
  })

  it('is read ahead by a few pieces only, and no more once the browser is gone', async () => {
    const huge = 1024 * 1024 * 1024
    const piece = Buffer.alloc(1024 * 1024)
    const signals: AbortSignal[] = []
    readRemote = async (_peerId, _path, start, end, _expect, { signal }) => {
      signals.push(signal)
      return piece.subarray(0, end - start)
    }
    await new Promise<void>((resolve, reject) => {
      const request = get(grantRemote('Films/Huge.mkv', huge), (response) => {
        response.once('readable', () => {
          request.destroy()
          resolve()
        })
      })
      request.on('error', reject)
    })
    const [signal] = signals
    if (signal?.aborted === false) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    expect(signal?.aborted).toBe(true)
    // What the sockets' buffers take, and the pieces ahead; far from the thousand of the whole file.
    expect(reads.length).toBeLessThan(40)
  })

  it('stops being fetched when the origin closes', async () => {
    const aborted = new Promise<void>((resolve) => {
      readRemote = (_peerId, _path, _start, _end, _expect, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => {
        reject(new CodedError('aborted', 'x'))
        resolve()
      }))
    })
    const answer = fetchRaw(grantRemote()).then(() => 'answered', () => 'ended')
    while (reads.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([files.close(), files.close()])
    await aborted
    expect(await answer).toBe('ended')
  })
})
