// How soon a transfer of 200 GB goes on after a break: all but its last part is there, so what is measured is the check of what was kept. The file is
// sparse: the disk has no such room, and the check reads the same places of it.
import { createHash } from 'node:crypto'
import { mkdir, open, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encode } from 'cbor-x'
import { PARTIAL_DIRECTORY } from '../../apps/helper/src/adapters/transfers/download-path.ts'
import { FileFetch, bitmapLength, rangeCount } from '../../apps/helper/src/core/transfers/file-fetch.ts'
import { connect, download, openHelper } from './lib/helpers.mjs'
import { median, round } from './lib/figures.mjs'

const BYTES = 200_000_000_000

export default async function measureResume(bench) {
  const library = await bench.temporary('library')
  const film = join(library, 'disk.img')
  if (!(await makeSparse(film, BYTES))) {
    bench.say('  left out: this disk has no files of 200 GB')
    return { resume: { '200GBcheckMs': null } }
  }
  const sender = await openHelper(bench, 'anna', { shares: [library] })
  const receiver = await openHelper(bench, 'ben')
  await connect(receiver, sender)
  const milliseconds = []
  for (let run = 0; run < bench.runs; run++) {
    await keepAllButTheLast(receiver, sender, `${library.slice(library.lastIndexOf('/') + 1)}/disk.img`, (await stat(film)).mtimeMs)
    milliseconds.push((await download(receiver, sender, library, 'disk.img')).seconds * 1000)
    bench.say(`  ${round(milliseconds.at(-1), 0)} ms`)
  }
  return { resume: { '200GBcheckMs': round(median(milliseconds), 0) } }
}

async function makeSparse(file, bytes) {
  const handle = await open(file, 'w')
  try {
    await handle.truncate(bytes)
    return true
  } catch (error) {
    if (error.code === 'EFBIG' || error.code === 'EINVAL' || error.code === 'ENOSPC') return false
    throw error
  } finally {
    await handle.close()
  }
}

/** What a break just before the end leaves on the disk. */
async function keepAllButTheLast(receiver, sender, path, mtime) {
  const directory = join(receiver.folder.downloads, PARTIAL_DIRECTORY, sender.peerId.slice(0, 16))
  const name = createHash('sha256').update(path).digest('hex')
  await mkdir(directory, { recursive: true })
  await makeSparse(join(directory, `${name}.part`), BYTES)
  const written = new FileFetch(BYTES, new Uint8Array(bitmapLength(BYTES)).fill(0xff)).bitmap()
  const last = rangeCount(BYTES) - 1
  written[last >> 3] &= ~(1 << (last & 7))
  const body = encode({ size: BYTES, mtime, peer: sender.peerId, path, written })
  await writeFile(join(directory, `${name}.done`), Buffer.concat([createHash('sha256').update(body).digest(), body]))
}
