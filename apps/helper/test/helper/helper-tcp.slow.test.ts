import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HelperProcess, type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'

/** Real helpers with one transport or the other: what a machine without the QUIC engine, or a network without UDP, is left with. */

// Below the package, so that the bundle finds the packages that stay outside of it.
const BUNDLE = fileURLToPath(new URL('../node_modules/.test-bundle-tcp', import.meta.url))
const film = randomBytes(20_000_000)

let root: string
let program: HelperProgram
let both: HelperProcess

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-tcp-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
  await mkdir(join(root, 'films'))
  await writeFile(join(root, 'films', 'film.mkv'), film)
  both = await startHelper(program, join(root, 'both'), ['--no-port-mapping', '--no-mqtt', '--share-dir', join(root, 'films')])
}, 60_000)

afterAll(async () => {
  await killAll()
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

async function pathOf(helper: HelperProcess): Promise<unknown> {
  const { stdout } = await hdp(program, ['peers', '--json', '--storage', helper.storage])
  return (JSON.parse(stdout) as { path: unknown }[])[0]?.path
}

describe('a helper', { timeout: 60_000 }, () => {
  it('without QUIC starts, has a code, and fetches over TCP', async () => {
    const alone = await startHelper(program, join(root, 'alone'), ['--no-port-mapping', '--no-mqtt', '--no-quic'])
    expect(alone.udp).toEqual({ v4: null, v6: null })
    expect(alone.code).toMatch(/hdp1/)
    const connected = await hdp(program, ['connect', both.code, '--storage', alone.storage])
    expect(connected).toMatchObject({ code: 0 })
    expect(await pathOf(alone)).toMatchObject({ transport: 'tcp', kind: 'loopback' })
    const fetched = await hdp(program, ['read', `${both.peerId}/films/film.mkv`, '--storage', alone.storage])
    expect(fetched).toMatchObject({ code: 0, stderr: '' })
    expect(Buffer.compare(fetched.bytes, film)).toBe(0)
    const doctor = await hdp(program, ['doctor', '--storage', alone.storage])
    expect(doctor.stdout).toMatch(/this computer \(TCP\)/)
  })

  it('without TCP stays on QUIC', async () => {
    const alone = await startHelper(program, join(root, 'quic'), ['--no-port-mapping', '--no-mqtt', '--no-tcp'])
    await hdp(program, ['connect', both.code, '--storage', alone.storage])
    const fetched = await hdp(program, ['read', `${both.peerId}/films/film.mkv`, '--storage', alone.storage])
    expect(fetched).toMatchObject({ code: 0, stderr: '' })
    expect(Buffer.compare(fetched.bytes, film)).toBe(0)
    expect(await pathOf(alone)).toMatchObject({ transport: 'quic' })
  })

  it('with neither says so, and runs all the same', async () => {
    const alone = await startHelper(program, join(root, 'neither'), ['--no-port-mapping', '--no-mqtt', '--no-tcp', '--no-quic'])
    expect(alone.code).toBeNull()
    const refused = await hdp(program, ['connect', both.code, '--storage', alone.storage])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/no way to connect/)
  })

  it('keeps its port when it starts again', async () => {
    const storage = join(root, 'again')
    const first = await startHelper(program, storage, ['--no-port-mapping', '--no-mqtt', '--no-quic'])
    first.kill('SIGTERM')
    await first.ended
    const second = await startHelper(program, storage, ['--no-port-mapping', '--no-mqtt', '--no-quic'])
    expect(second.code).toBe(first.code)
  })
})
