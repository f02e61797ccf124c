import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

let state: string
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'hdp-state-'))
  // Read when the module is loaded.
  vi.stubEnv('XDG_STATE_HOME', state)
  vi.resetModules()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(state, { recursive: true, force: true })
})

/** A process id that nobody has: the largest that Linux gives is 2^22. */
const DEAD = 2 ** 22 + 1

describe.skipIf(process.platform !== 'linux')('running register', () => {
  it('finds a storage by port, and forgets it for its own helper only', async () => {
    const { readRunningNote, removeRunningNote, writeRunningNote } = await import('../../src/adapters/system/running-register.ts')
    expect(await readRunningNote(3030)).toBeUndefined()
    await writeRunningNote(3030, { pid: process.pid, storage: '/one' })
    expect(await readRunningNote(3030)).toEqual({ pid: process.pid, storage: '/one' })
    await removeRunningNote(3030, process.pid + 1)
    expect(await readRunningNote(3030)).toBeDefined()
    await removeRunningNote(3030, process.pid)
    expect(await readRunningNote(3030)).toBeUndefined()
  })

  it('clears away what killed helpers left, and what makes no sense', async () => {
    const { writeRunningNote } = await import('../../src/adapters/system/running-register.ts')
    await writeRunningNote(1, { pid: process.pid, storage: '/one' })
    const directory = join(state, 'harddrive-party/running')
    await writeFile(join(directory, '2.json'), JSON.stringify({ pid: DEAD, storage: '/two' }))
    await writeFile(join(directory, '3.json'), '{')
    await writeFile(join(directory, 'note.txt'), 'somebody else')
    await writeRunningNote(4, { pid: process.pid, storage: '/four' })
    expect((await readdir(directory)).sort()).toEqual(['1.json', '4.json', 'note.txt'])
  })
})
