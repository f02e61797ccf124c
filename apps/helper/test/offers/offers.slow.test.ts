import type { OfferInfo } from '@harddrive-party/protocol/control'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HelperProcess, type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'

/** Two real helpers: what is sent arrives although both are killed on the way, and nothing is left of a withdrawn offer. */

const BUILD = fileURLToPath(new URL('../node_modules/.cache/offers-test', import.meta.url))
const QUIET = ['--no-port-mapping', '--no-mqtt']
let program: HelperProgram
let base: string

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'hdp-offers-'))
  program = await buildHelper(BUILD, join(base, 'state'))
}, 60_000)

afterAll(async () => {
  await killAll()
  await rm(base, { recursive: true, force: true })
  await rm(BUILD, { recursive: true, force: true })
})

const at = (helper: HelperProcess, ...args: string[]) => hdp(program, [...args, '--storage', helper.storage])
const offersOf = async (helper: HelperProcess) => JSON.parse((await at(helper, 'offers', '--json')).stdout) as (OfferInfo & { id: string })[]

async function until(helper: HelperProcess, is: (offer: OfferInfo & { id: string }) => boolean): Promise<OfferInfo & { id: string }> {
  let found: (OfferInfo & { id: string }) | undefined
  await expect.poll(async () => (found = (await offersOf(helper)).find(is)) !== undefined, { timeout: 60_000, interval: 200 }).toBe(true)
  return found!
}

test('what is sent arrives although both sides are killed on the way', async () => {
  const source = join(base, 'source')
  await mkdir(join(source, 'sub'), { recursive: true })
  const content = randomBytes(24_000_000)
  await writeFile(join(source, 'large.bin'), content)
  await writeFile(join(source, 'sub', 'small.txt'), 'small')
  let anna = await startHelper(program, join(base, 'anna'), QUIET)
  let ben = await startHelper(program, join(base, 'ben'), QUIET)
  expect((await at(anna, 'connect', ben.code)).code).toBe(0)
  expect((await at(anna, 'limits', 'set', '--up', '3M', '--local-free', 'off')).code).toBe(0)
  expect((await at(anna, 'send', ben.peerId, source, '--note', 'hello')).code).toBe(0)
  const asked = await until(ben, ({ state }) => state === 'waiting')
  expect(asked).toMatchObject({ name: 'source', files: 2, bytes: 24_000_005, note: 'hello', direction: 'in' })
  // Nobody else's business: what is offered is in no listing and no search.
  expect((await at(ben, 'ls', anna.peerId)).stdout).not.toContain('source')
  expect((await at(ben, 'offers', 'accept', asked.id, '--to', '../outside')).code).not.toBe(0)
  expect((await at(ben, 'offers', 'accept', asked.id, '--to', 'In')).code).toBe(0)
  expect((await at(ben, 'offers', 'decline', asked.id)).stderr).toContain('answered already')
  await until(ben, ({ state, received }) => state === 'accepted' && received > 0)
  for (const helper of [anna, ben]) helper.kill('SIGKILL')
  await Promise.all([anna.ended, ben.ended])
  anna = await startHelper(program, join(base, 'anna'), QUIET)
  ben = await startHelper(program, join(base, 'ben'), QUIET)
  expect((await at(anna, 'limits', 'set', '--up', 'none')).code).toBe(0)
  await until(anna, ({ state }) => state === 'done')
  expect((await readFile(join(ben.downloads, 'In', 'source', 'large.bin'))).equals(content)).toBe(true)
  expect(await readFile(join(ben.downloads, 'In', 'source', 'sub', 'small.txt'), 'utf8')).toBe('small')

  // Withdrawn while it waits: the question is gone on the other side.
  const { stdout } = await at(anna, 'send', ben.peerId, join(source, 'sub'), '--json')
  const { id } = JSON.parse(stdout) as { id: string }
  await until(ben, (offer) => offer.id === id && offer.state === 'waiting')
  expect((await at(anna, 'offers', 'cancel', id)).code).toBe(0)
  await until(ben, (offer) => offer.id === id && offer.state === 'withdrawn')
}, 180_000)
