// Damages a database again and again, and uses what the check lets through: if lmdb crashes, so does this process, and the last line says on what.
// Arguments: the directory of a whole database, one to work in, a seed, how many flips. Prints a line for each case, and a sum as JSON at the end.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { register } from 'tsx/esm/api'

register()
const { CodedError } = await import('@harddrive-party/protocol')
const { openStore } = await import('../../src/adapters/system/store.ts')

const [whole, base, seedText, flipsText] = process.argv.slice(2)
const content = readFileSync(join(whole, 'data.mdb'))
const META_BYTES = 168
const sum = { refused: 0, usable: 0, failed: 0 }
let state = Number(seedText)
/** Below a bound. */
const random = (below) => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

let cases = 0
for (let size = 0; size < content.length; size += size < 3 * 4096 ? 256 : 4096) await use(`cut to ${size}`, content.subarray(0, size))
for (let i = 0; i < 60; i++) {
  const size = random(content.length)
  await use(`cut to ${size}`, content.subarray(0, size))
}
for (let i = 0; i < Number(flipsText); i++) {
  const damaged = Buffer.from(content)
  const at = [0, 2048, 4096][random(3)] + random(META_BYTES)
  const bit = random(8)
  damaged[at] ^= 1 << bit
  await use(`bit ${bit} of byte ${at} flipped`, damaged)
}
for (let i = 0; i < 100; i++) {
  const damaged = Buffer.from(content)
  const page = [0, 2048, 4096][random(3)]
  for (let at = page; at < page + META_BYTES; at++) if (random(4) === 0) damaged[at] = random(256)
  await use(`noise in what begins at ${page}, round ${i}`, damaged)
}
console.log(JSON.stringify(sum))

async function use(name, bytes) {
  const directory = join(base, String(++cases))
  console.log(name)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'data.mdb'), bytes)
  try {
    const store = openStore(directory)
    try {
      for (const table of ['small', 'large', 'new']) {
        const items = store.table(table, (raw) => raw)
        items.entries()
        await items.put('a key', { text: 'x'.repeat(9_000) })
        await items.remove('k1')
        await items.removeAll('k2')
        items.entries()
      }
      await store.flushed()
      sum.usable++
    } finally {
      await store.close()
    }
  } catch (error) {
    // Refused before lmdb saw it, or an error instead of a crash.
    if (error instanceof CodedError && error.message.includes('is damaged')) sum.refused++
    else sum.failed++
  }
  rmSync(directory, { recursive: true, force: true })
}
