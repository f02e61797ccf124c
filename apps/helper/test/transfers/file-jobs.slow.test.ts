import { CodedError, MAX_READ_BYTES, READS_IN_FLIGHT, type SharePath } from '@harddrive-party/protocol'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type FileEvent, type FileJobs, type FileJobsOptions, openFileJobs } from '../../src/adapters/transfers/file-jobs.ts'
import { openPartial } from '../../src/adapters/transfers/partial-file.ts'
import type { FileJob } from '../../src/network/network-api.ts'
import { FakePeer, gate, hang, pattern, readTree, temporaryDirectory } from '../support/transfer-fakes.ts'

const PATH = 'Music/song.flac'
/** Three ranges and a bit. */
const SIZE = 3 * MAX_READ_BYTES + 1234

class Bench {
  readonly directory: string
  readonly peer: FakePeer
  readonly events: FileEvent[] = []
  readonly jobs: FileJobs
  #watcher: () => void = () => undefined

  constructor(directory: string, peer: FakePeer, options: Partial<FileJobsOptions> = {}) {
    this.directory = directory
    this.peer = peer
    this.jobs = openFileJobs({
      connection: () => (peer.connected ? peer.connection : undefined), downloadDirectory: directory, read: peer.read, readBundle: peer.readBundle, readHashes: peer.readHashes,
      onEvent: (event) => {
        this.events.push(event)
        this.#watcher()
      },
      ...options,
    })
    onTestFinished(() => this.jobs.close())
  }

  job(fields: Partial<FileJob> = {}): FileJob {
    const path = fields.path ?? (PATH as SharePath)
    const { bytes, mtime } = this.peer.files.get(path)!
    return { jobId: path, peerId: this.peer.peerId, path, size: bytes.length, mtime, target: join(this.directory, path.split('/').at(-1)!), ...fields }
  }

  /** Starts a job and resolves with its end. */
  async run(fields: Partial<FileJob> = {}): Promise<Exclude<FileEvent, { type: 'file-progress' }>> {
    const job = this.job(fields)
    this.jobs.start([job])
    return this.end(job.jobId)
  }

  async end(jobId: string): Promise<Exclude<FileEvent, { type: 'file-progress' }>> {
    for (;;) {
      const index = this.events.findIndex((event) => event.type !== 'file-progress' && event.jobId === jobId)
      if (index !== -1) return this.events.splice(index, 1)[0] as Exclude<FileEvent, { type: 'file-progress' }>
      await new Promise<void>((resolve) => {
        this.#watcher = resolve
      })
    }
  }
}

async function openBench(options: Partial<FileJobsOptions> = {}): Promise<Bench> {
  const peer = new FakePeer()
  peer.put(PATH, SIZE)
  return new Bench(await temporaryDirectory(), peer, options)
}

const whole = async (file: string, seed = PATH, size = SIZE) => Buffer.compare(await readFile(file), pattern(seed, size)) === 0
test('ranges are read several at once, and what is asked for is exactly the file', async () => {
  const bench = await openBench()
  bench.peer.put('big', 20 * MAX_READ_BYTES + 1)
  const { opened, open } = gate()
  bench.peer.beforeRead = () => {
    if (bench.peer.inFlight === READS_IN_FLIGHT) open()
    return opened
  }
  expect(await bench.run({ path: 'big' as SharePath })).toMatchObject({ type: 'file-done', bytes: 20 * MAX_READ_BYTES + 1 })
  expect(bench.peer.mostInFlight).toBe(READS_IN_FLIGHT)
  expect(bench.peer.reads).toHaveLength(21)
  expect(bench.peer.reads.every(({ start, end, expect: version }) => end - start <= MAX_READ_BYTES && version?.size === 20 * MAX_READ_BYTES + 1)).toBe(true)
  expect(await whole(join(bench.directory, 'big'), 'big', 20 * MAX_READ_BYTES + 1)).toBe(true)
  expect(bench.peer.busyCalls).toEqual([true, false])
  expect(await readdir(bench.directory)).toEqual(['big'])
})

test.each(['hash-mismatch', 'wrong-length', 'bad-answer', 'stream-reset', 'not-found', 'unreadable'] as const)(
  '%s ends the job with that reason, and nothing is put into place', async (code) => {
    const bench = await openBench()
    bench.peer.beforeRead = ({ start }) => {
      if (start === MAX_READ_BYTES) throw new CodedError(code, 'no good')
    }
    expect(await bench.run()).toEqual({ type: 'file-failed', jobId: PATH, code, message: 'no good' })
    expect([...(await readTree(bench.directory)).keys()]).toEqual([])
  })

test('an answer that is about another file or another range is not believed', async () => {
  const lies = [{ start: 1 }, { length: 5 }]
  for (const lie of lies) {
    const peer = new FakePeer()
    peer.put(PATH, SIZE)
    const bench = new Bench(await temporaryDirectory(), peer, { read: async (...args) => ({ ...(await peer.read(...args)), ...lie }) })
    expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'wrong-length' })
  }
  const peer = new FakePeer()
  peer.put(PATH, SIZE)
  const bench = new Bench(await temporaryDirectory(), peer, { read: async (...args) => ({ ...(await peer.read(...args)), size: 7 }) })
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'source-changed', now: { size: 7 } })
})

test('a source that changed is reported with what it has now, and no byte of the old one is kept', async () => {
  const bench = await openBench()
  const job = bench.job()
  bench.peer.beforeRead = ({ start }) => {
    if (start >= 2 * MAX_READ_BYTES) bench.peer.put(PATH, pattern('new', SIZE), 5000)
  }
  bench.jobs.start([job])
  expect(await bench.end(PATH)).toMatchObject({ type: 'file-failed', code: 'source-changed', now: { size: SIZE, mtime: 5000 } })
  expect(await readdir(bench.directory)).toEqual([])
  bench.peer.beforeRead = () => undefined
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  expect(await whole(join(bench.directory, 'song.flac'), 'new')).toBe(true)
})

test('after a lost connection only what is missing is read', async () => {
  const bench = await openBench()
  bench.peer.beforeRead = ({ start }, signal) => {
    if (start < 2 * MAX_READ_BYTES) return undefined
    if (start === 2 * MAX_READ_BYTES) throw new CodedError('connection-lost', 'gone')
    return hang(signal)
  }
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'connection-lost' })
  bench.peer.beforeRead = () => undefined
  bench.peer.reads = []
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  expect(bench.peer.reads.map(({ start }) => start)).toEqual([2 * MAX_READ_BYTES, 3 * MAX_READ_BYTES])
  expect(await whole(join(bench.directory, 'song.flac'))).toBe(true)
})

test('data kept of another content is thrown away before a byte is added, although size and time are the same', async () => {
  const bench = await openBench()
  bench.peer.beforeRead = ({ start }, signal) => {
    if (start < 2 * MAX_READ_BYTES) return undefined
    if (start === 2 * MAX_READ_BYTES) throw new CodedError('connection-lost', 'gone')
    return hang(signal)
  }
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'connection-lost' })
  bench.peer.beforeRead = () => undefined
  bench.peer.put(PATH, pattern('other', SIZE))
  bench.peer.reads = []
  expect(await bench.run()).toMatchObject({ type: 'file-done', restarted: true })
  expect(bench.peer.hashed.length).toBeGreaterThan(0)
  expect(bench.peer.reads).toHaveLength(4)
  expect(await whole(join(bench.directory, 'song.flac'), 'other')).toBe(true)
})

test('unfinished data of another version is thrown away, and that is said', async () => {
  const bench = await openBench()
  bench.peer.beforeRead = ({ start }) => {
    if (start > 0) throw new CodedError('connection-lost', 'gone')
  }
  await bench.run()
  bench.peer.put(PATH, pattern('new', SIZE), 77)
  bench.peer.beforeRead = () => undefined
  bench.peer.reads = []
  expect(await bench.run()).toMatchObject({ type: 'file-done', restarted: true })
  expect(bench.peer.reads).toHaveLength(4)
  expect(await whole(join(bench.directory, 'song.flac'), 'new')).toBe(true)
})

test('a crash at any moment costs at most what was not recorded, and the file is whole in the end', async () => {
  // The directory is copied at moments of a run as a crash would leave it, and each copy is continued.
  const bench = await openBench({
    open: async (...args) => {
      const partial = await openPartial(...args)
      const write = partial.write.bind(partial)
      partial.write = (bytes, position) =>
        inTurn(async () => {
          await snapshot()
          // Half of a range is what a crash may leave of it.
          await write(bytes.subarray(0, bytes.length / 2), position)
          await snapshot()
          await write(bytes, position)
          await partial.record()
          await snapshot()
        })
      return partial
    },
  })
  const copies: string[] = []
  let turn = Promise.resolve()
  const inTurn = (work: () => Promise<void>) => (turn = turn.then(work))
  const snapshot = async () => {
    const copy = join(await temporaryDirectory(), 'copy')
    await cp(bench.directory, copy, { recursive: true, preserveTimestamps: true })
    copies.push(copy)
  }
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  await snapshot()
  expect(copies).toHaveLength(13)
  const readsNeeded: number[] = []
  for (const copy of copies) {
    const peer = new FakePeer()
    peer.put(PATH, SIZE)
    const again = new Bench(copy, peer)
    expect(await again.run({ since: 0 })).toMatchObject({ type: 'file-done', target: join(copy, 'song.flac') })
    expect(await whole(join(copy, 'song.flac'))).toBe(true)
    expect(await readdir(copy)).toEqual(['song.flac'])
    readsNeeded.push(peer.reads.length)
  }
  expect(Math.max(...readsNeeded)).toBe(4)
  // The last range was on the disk and not yet recorded; then the file was in place.
  expect(readsNeeded.at(-2)).toBe(1)
  expect(readsNeeded.at(-1)).toBe(0)
  expect(readsNeeded.filter((count) => count < 4).length).toBeGreaterThan(5)
})

test('a crash between putting the file into place and forgetting its unfinished name changes nothing about it', async () => {
  const bench = await openBench()
  await bench.run()
  // As if the unlink had not happened: a second name for the finished file, and a record that claims nothing is missing.
  const partial = await openPartial({ downloadDirectory: bench.directory, peerId: bench.peer.peerId, path: PATH as SharePath }, bench.job())
  await partial.close()
  expect(await bench.run({ since: 0 })).toEqual({ type: 'file-done', jobId: PATH, target: join(bench.directory, 'song.flac'), bytes: SIZE })
  expect(bench.peer.reads).toHaveLength(4)
  expect(await readdir(bench.directory)).toEqual(['song.flac'])
})

test('nothing that is there is overwritten, and an old file that looks the same is not taken for ours', async () => {
  const bench = await openBench()
  const target = join(bench.directory, 'song.flac')
  await writeFile(target, new Uint8Array(SIZE))
  const { mtime } = bench.job()
  await utimes(target, mtime / 1000, mtime / 1000)
  const since = (await stat(target)).ctimeMs + 10_000
  expect(await bench.run({ since })).toMatchObject({ type: 'file-done', target: join(bench.directory, 'song (2).flac') })
  expect((await readFile(target)).every((byte) => byte === 0)).toBe(true)
  expect(await whole(join(bench.directory, 'song (2).flac'))).toBe(true)
})

test('a name appearing while the file is fetched is not overwritten either', async () => {
  const bench = await openBench()
  bench.peer.beforeRead = async ({ start }) => {
    if (start === 0) await writeFile(join(bench.directory, 'song.flac'), 'foreign')
  }
  expect(await bench.run()).toMatchObject({ target: join(bench.directory, 'song (2).flac') })
  expect(await readFile(join(bench.directory, 'song.flac'), 'utf8')).toBe('foreign')
})

test('a link in the download directory is never followed', async () => {
  const outside = await temporaryDirectory()
  await writeFile(join(outside, 'precious'), 'precious')
  const bench = await openBench()
  await symlink(outside, join(bench.directory, 'Music'))
  expect(await bench.run({ target: join(bench.directory, 'Music/song.flac') })).toMatchObject({ type: 'file-failed', code: 'bad-path' })
  await symlink(join(outside, 'precious'), join(bench.directory, 'song.flac'))
  expect(await bench.run()).toMatchObject({ type: 'file-done', target: join(bench.directory, 'song (2).flac') })
  // Planted while the file is on its way.
  bench.peer.beforeRead = async ({ start }) => {
    if (start !== 0) return
    await rm(join(bench.directory, 'deep'), { recursive: true })
    await symlink(outside, join(bench.directory, 'deep'))
  }
  expect(await bench.run({ target: join(bench.directory, 'deep/er/song.flac') })).toMatchObject({ type: 'file-failed', code: 'bad-path' })
  bench.peer.beforeRead = () => undefined
  await rm(join(bench.directory, '.harddrive-party'), { recursive: true, force: true })
  await symlink(outside, join(bench.directory, '.harddrive-party'))
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'bad-path' })
  expect([...(await readTree(outside)).keys()]).toEqual(['precious'])
  expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('precious')
})

test('a planted partial file is not written through', async () => {
  const outside = await temporaryDirectory()
  await writeFile(join(outside, 'precious'), 'precious')
  const bench = await openBench()
  const stop = gate()
  bench.peer.beforeRead = ({ start }, signal) => {
    if (start === 0) return undefined
    stop.open()
    return hang(signal)
  }
  bench.jobs.start([bench.job()])
  await stop.opened
  await bench.jobs.stop(PATH, false)
  const folder = join(bench.directory, '.harddrive-party', bench.peer.peerId.slice(0, 16))
  const part = (await readdir(folder)).find((name) => name.endsWith('.part'))!
  await rm(join(folder, part))
  await symlink(join(outside, 'precious'), join(folder, part))
  bench.peer.beforeRead = () => undefined
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('precious')
  expect(await whole(join(bench.directory, 'song.flac'))).toBe(true)
})

test('a target that is not below the download directory is refused', async () => {
  const bench = await openBench()
  const targets = ['/etc/cron.d/x', join(bench.directory, '../x'), bench.directory, `${bench.directory}/a/../../x`, `${bench.directory}x/y`, 'relative',
    join(bench.directory, '.harddrive-party/x')]
  for (const target of targets) expect(await bench.run({ target })).toMatchObject({ type: 'file-failed', code: 'bad-path' })
  expect(bench.peer.reads).toEqual([])
})

test('sizes that cannot be are refused, great ones only for want of room', async () => {
  const bench = await openBench()
  expect(await bench.run({ size: Number.MAX_SAFE_INTEGER })).toMatchObject({ type: 'file-failed', code: 'too-large' })
  expect(await bench.run({ size: 2 ** 44 })).toMatchObject({ type: 'file-failed', code: 'disk-full' })
  expect(bench.peer.reads).toEqual([])
})

test('a full disk is said as such, before anything is asked for and in the middle', async () => {
  const full = await openBench({ space: async () => ({ freeBytes: SIZE, totalBytes: 1e9 }) })
  expect(await full.run()).toMatchObject({ type: 'file-failed', code: 'disk-full' })
  expect(full.peer.reads).toEqual([])
  let room = MAX_READ_BYTES
  const bench = await openBench({
    open: async (...args) => {
      const partial = await openPartial(...args)
      const write = partial.write.bind(partial)
      partial.write = async (bytes, position) => {
        if (bytes.length > room) throw new CodedError('disk-full', 'the disk is full')
        room -= bytes.length
        await write(bytes, position)
      }
      return partial
    },
  })
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'disk-full' })
  room = Infinity
  bench.peer.reads = []
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  expect(bench.peer.reads).toHaveLength(3)
  expect(await whole(join(bench.directory, 'song.flac'))).toBe(true)
})

test('a disk that really is full is told from one that is broken, and a download goes on when there is room', async (context) => {
  const small = join(await temporaryDirectory(), 'small')
  await mkdir(small)
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE + MAX_READ_BYTES}`, 'tmpfs', small])
  context.skip(mount.status !== 0, 'a small file system can only be mounted by root on Linux')
  onTestFinished(() => void spawnSync('umount', [small]))
  await writeFile(join(small, 'in the way'), new Uint8Array(2 * MAX_READ_BYTES))
  const peer = new FakePeer()
  peer.put(PATH, SIZE)
  // The look before the start is left out: the disk fills up in the middle.
  const bench = new Bench(small, peer, { space: async () => null })
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'disk-full' })
  await rm(join(small, 'in the way'))
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  expect(await whole(join(small, 'song.flac'))).toBe(true)
})

test('stopping is silent; unfinished data stays or goes as wished, also of a job that does not run', async () => {
  const bench = await openBench()
  const halt = async () => {
    const stop = gate()
    bench.peer.beforeRead = ({ start }, signal) => {
      if (start < 3 * MAX_READ_BYTES) return undefined
      stop.open()
      return hang(signal)
    }
    bench.jobs.start([bench.job()])
    bench.jobs.start([bench.job()])
    await stop.opened
  }
  await halt()
  await bench.jobs.stop(PATH, true)
  expect(await readdir(bench.directory)).toEqual([])
  await halt()
  await bench.jobs.stop(PATH, false)
  expect(await readdir(bench.directory)).toEqual(['.harddrive-party'])
  await bench.jobs.stop('unknown', true, { peerId: bench.peer.peerId, path: PATH as SharePath })
  expect(await readdir(bench.directory)).toEqual([])
  expect(bench.events.filter(({ type }) => type !== 'file-progress')).toEqual([])
})

test('a job started again while it is being stopped runs', async () => {
  const bench = await openBench()
  const stop = gate()
  bench.peer.beforeRead = (_, signal) => {
    stop.open()
    return hang(signal)
  }
  bench.jobs.start([bench.job()])
  await stop.opened
  bench.peer.beforeRead = () => undefined
  const stopped = bench.jobs.stop(PATH, true)
  expect(await bench.run()).toMatchObject({ type: 'file-done' })
  await stopped
  expect(await whole(join(bench.directory, 'song.flac'))).toBe(true)
})

test('two jobs for one file of one peer take turns; another peer has its own data', async () => {
  const bench = await openBench()
  bench.jobs.start([bench.job({ jobId: 'one' })])
  bench.jobs.start([bench.job({ jobId: 'two' })])
  expect(await bench.end('one')).toMatchObject({ type: 'file-done', target: join(bench.directory, 'song.flac') })
  expect(await bench.end('two')).toMatchObject({ type: 'file-done', target: join(bench.directory, 'song (2).flac') })
  for (const name of ['song.flac', 'song (2).flac']) expect(await whole(join(bench.directory, name))).toBe(true)
})

test('a peer that stays connected and sends nothing is given up', async () => {
  const bench = await openBench({ stallMs: 60 })
  bench.peer.beforeRead = (_, signal) => hang(signal)
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'timed-out' })
  bench.peer.connected = false
  expect(await bench.run()).toMatchObject({ type: 'file-failed', code: 'offline' })
})

test('an empty file must still be at its source', async () => {
  const bench = await openBench()
  bench.peer.put('empty', 0)
  expect(await bench.run({ path: 'empty' as SharePath })).toMatchObject({ type: 'file-done', bytes: 0 })
  const gone = bench.job({ path: 'empty' as SharePath, jobId: 'gone' })
  bench.peer.files.delete('empty')
  bench.jobs.start([gone])
  expect(await bench.end('gone')).toMatchObject({ type: 'file-failed', code: 'not-found' })
})

test('a directory at the target and names that are too long when numbered are got around', async () => {
  const bench = await openBench()
  const long = `${'ü'.repeat(124)}.flac`
  bench.peer.put(long, 10)
  await mkdir(join(bench.directory, long))
  const event = await bench.run({ path: long as SharePath })
  expect(event).toMatchObject({ type: 'file-done', target: join(bench.directory, `${'ü'.repeat(123)} (2).flac`) })
  bench.peer.put('x'.repeat(200), 1)
  expect(await bench.run({ path: 'x'.repeat(200) as SharePath, target: join(bench.directory, 'x'.repeat(300)) })).toMatchObject({ type: 'file-failed', code: 'bad-path' })
})
