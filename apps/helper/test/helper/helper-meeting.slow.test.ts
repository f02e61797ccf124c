import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'
import { type LanHosts, openLanHosts, whyNoNamespaces } from '../support/lan-namespaces.ts'
import { type TestBroker, openTestBroker } from '../support/mqtt-broker.ts'

/** Real helpers that meet without a code: by topic through a broker, and on a local network made of namespaces. */

// Below the package, so that the bundle finds the packages that stay outside of it.
const BUNDLE = fileURLToPath(new URL('../node_modules/.test-bundle-meeting', import.meta.url))
const POLL = { timeout: 30_000, interval: 50 }

let root: string
let program: HelperProgram

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-meeting-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
}, 60_000)

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

const peersOf = async (storage: string): Promise<unknown> => JSON.parse((await hdp(program, ['peers', '--json', '--storage', storage])).stdout)

describe('by topic', () => {
  let broker: TestBroker
  beforeAll(async () => {
    broker = await openTestBroker()
  })
  afterEach(killAll)
  afterAll(() => broker.close())

  it('two helpers that joined the same words are connected, and the broker has seen nothing but noise', async () => {
    const flags = ['--no-port-mapping', '--mqtt-broker', broker.url]
    const [alice, bob] = await Promise.all([startHelper(program, join(root, 'alice'), [...flags, '--topic', 'Brave Otters']), startHelper(program, join(root, 'bob'), flags)])
    await broker.subscribed()
    expect((await hdp(program, ['topic', 'join', ' brave  otters', '--storage', bob.storage])).code).toBe(0)
    await expect.poll(() => peersOf(bob.storage), POLL).toMatchObject([{ id: alice.peerId, state: 'connected' }])
    await expect.poll(() => peersOf(alice.storage), POLL).toMatchObject([{ id: bob.peerId, state: 'connected' }])
    const topics = JSON.parse((await hdp(program, ['topics', '--json', '--storage', bob.storage])).stdout) as unknown
    expect(topics).toEqual([{ topic: 'brave otters', members: [alice.peerId] }])
    const said = broker.published.map(({ name, payload, retain }) => {
      expect(retain).toBe(false)
      expect(payload).toHaveLength(768)
      return name + payload.toString('latin1')
    }).join()
    // Not in hexadecimal: noise written with digits has any port in it sooner or later.
    for (const secret of ['otter', alice.peerId, bob.peerId, '127.0.0.1', String(alice.udp.v4)]) expect(said.toLowerCase()).not.toContain(secret)
    for (const { peerId } of [alice, bob]) expect(said).not.toContain(Buffer.from(peerId, 'hex').toString('latin1'))
  })

  it('who leaves is not told of any more, and no broker is spoken to for nothing', async () => {
    const lonely = await openTestBroker()
    const carol = await startHelper(program, join(root, 'carol'), ['--no-port-mapping', '--mqtt-broker', lonely.url])
    expect(lonely.clientIds).toEqual([])
    await hdp(program, ['topic', 'join', 'otters', '--storage', carol.storage])
    await lonely.subscribed()
    await hdp(program, ['topic', 'leave', 'otters', '--storage', carol.storage])
    await expect.poll(() => lonely.names(), POLL).toEqual([])
    await lonely.close()
  })
})

const obstacle = await whyNoNamespaces()
if (obstacle !== null) console.warn(`SKIPPED: meeting on the local network (${obstacle})`)

describe.skipIf(obstacle !== null)('on the local network', () => {
  let lan: LanHosts
  const running = new Set<ChildProcess>()

  beforeAll(async () => {
    lan = await openLanHosts(3)
  })
  afterAll(async () => {
    await Promise.all([...running].map(stop))
    await lan.close()
  })

  async function start(host: number): Promise<{ child: ChildProcess; peerId: string; storage: string }> {
    const storage = join(root, `host${host}`)
    const [command = '', ...prefix] = lan.prefix(host)
    const child = spawn(command, [
      ...prefix, process.execPath, program.cli, 'start', '--json', '--no-stun', '--no-open', '--no-port-mapping', '--no-mqtt', '--ui-address', 'http://127.0.0.1:0',
      '--storage', storage, '--download-dir', join(root, `downloads${host}`),
    ], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, XDG_STATE_HOME: program.state } })
    running.add(child)
    const [line] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [string]
    return { child, peerId: (JSON.parse(line) as { peerId: string }).peerId, storage }
  }

  async function stop(child: ChildProcess): Promise<void> {
    running.delete(child)
    child.kill('SIGTERM')
    await once(child, 'exit')
  }

  async function on(host: number, storage: string, ...args: string[]): Promise<string> {
    const [command = '', ...prefix] = lan.prefix(host)
    const { stdout } = await promisify(execFile)(command, [...prefix, process.execPath, program.cli, ...args, '--storage', storage], { env: { ...process.env, XDG_STATE_HOME: program.state } })
    return stdout
  }

  const peersOn = async (host: number, { storage }: { storage: string }): Promise<unknown> => JSON.parse(await on(host, storage, 'peers', '--json'))

  it('strangers see one another, ask, and are let in; then they meet by themselves, wherever they are', async () => {
    const [anna, ben, zoe] = [await start(1), await start(2), await start(3)]
    await expect.poll(() => peersOn(1, anna), POLL).toEqual(expect.arrayContaining([
      expect.objectContaining({ id: ben.peerId, state: 'nearby' }), expect.objectContaining({ id: zoe.peerId, state: 'nearby' }),
    ]))
    await stop(zoe.child)
    await expect.poll(() => peersOn(1, anna), POLL).toMatchObject([{ id: ben.peerId, state: 'nearby' }])

    await on(1, anna.storage, 'reconnect', ben.peerId)
    await expect.poll(() => peersOn(1, anna), POLL).toMatchObject([{ id: ben.peerId, state: 'waiting' }])
    await expect.poll(() => peersOn(2, ben), POLL).toMatchObject([{ id: anna.peerId, state: 'asks' }])
    await on(2, ben.storage, 'accept', anna.peerId)
    await expect.poll(() => peersOn(1, anna), POLL).toMatchObject([{ id: ben.peerId, state: 'connected', path: { kind: 'lan' } }])

    // Both come back with addresses at which neither was ever seen.
    await Promise.all([stop(anna.child), stop(ben.child)])
    await lan.readdress(1, 101)
    await lan.readdress(2, 102)
    await Promise.all([start(1), start(2)])
    await expect.poll(() => peersOn(1, anna), POLL).toMatchObject([{ id: ben.peerId, state: 'connected', path: { kind: 'lan' } }])
  })
})
