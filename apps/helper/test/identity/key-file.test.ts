import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { peerIdToKey, verify } from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openIdentity } from '../../src/adapters/identity/identity.ts'
import { openInstanceLock } from '../../src/adapters/system/instance-lock.ts'
import { openKeyFile } from '../../src/adapters/identity/key-file.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hdp-key-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('key file', () => {
  it('makes a seed once, for its owner only, and leaves no draft', async () => {
    const file = join(directory, 'deep/identity.key')
    const seed = await openKeyFile(file)
    expect(seed).toHaveLength(32)
    expect(await openKeyFile(file)).toEqual(seed)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(join(directory, 'deep'))).toEqual(['identity.key'])
  })

  it('is one identity for all who open it at once', async () => {
    const file = join(directory, 'identity.key')
    const seeds = await Promise.all(Array.from({ length: 8 }, () => openKeyFile(file)))
    expect(new Set(seeds.map((seed) => Buffer.from(seed).toString('hex'))).size).toBe(1)
  })

  it.each([['empty', ''], ['cut short', 'harddrive-party identity 1\nabc'], ['something else', 'hello\n'], ['of a newer version', `harddrive-party identity 2\n${'0'.repeat(64)}\n`], ['with more in it', `harddrive-party identity 1\n${'0'.repeat(64)}\nx`]])(
    'refuses a file that is %s, and leaves it as it is', async (_name, content) => {
      const file = join(directory, 'identity.key')
      await writeFile(file, content)
      await expect(openKeyFile(file)).rejects.toMatchObject({ code: 'disk-error', message: expect.stringContaining('damaged') })
      expect(await readFile(file, 'utf8')).toBe(content)
    },
  )

  it('takes the rights of others away again', async () => {
    const file = join(directory, 'identity.key')
    await openKeyFile(file)
    await chmod(file, 0o644)
    await openKeyFile(file)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('cannot be a directory', async () => {
    await expect(openKeyFile(directory)).rejects.toMatchObject({ code: 'disk-error' })
  })
})

describe('identity', () => {
  it('signs what its peer id verifies', async () => {
    const { peerId, name, sign } = await openIdentity(join(directory, 'identity.key'))
    const message = new TextEncoder().encode('hello')
    expect(verify(sign(message), message, peerIdToKey(peerId))).toBe(true)
    expect(verify(sign(message), new Uint8Array(5), peerIdToKey(peerId))).toBe(false)
    expect(name).not.toBe('')
  })
})

describe('instance lock', () => {
  it('is held by one, who says who it is', async () => {
    const lock = await openInstanceLock(directory)
    await expect(openInstanceLock(directory)).rejects.toMatchObject({ code: 'already-running', message: expect.stringContaining(`process ${process.pid}, still starting`) })
    lock.announce('http://127.0.0.1:3030')
    await expect(openInstanceLock(directory)).rejects.toMatchObject({ code: 'already-running', message: expect.stringContaining('http://127.0.0.1:3030') })
    await Promise.all([lock.close(), lock.close()])
    await (await openInstanceLock(directory)).close()
  })

  it('is for one storage', async () => {
    const other = await mkdtemp(join(tmpdir(), 'hdp-key-'))
    const locks = await Promise.all([openInstanceLock(directory), openInstanceLock(other)])
    await Promise.all(locks.map((lock) => lock.close()))
    await rm(other, { recursive: true })
  })
})
