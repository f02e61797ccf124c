// What every family of figures is given: directories and processes that are gone afterwards, somebody to tell, and what others' programs there are.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { say } from '../../lib/run.mjs'
import { PEERS, findPeer } from './peers.mjs'

/**
 * @typedef {object} Bench
 * @property {boolean} quick smaller data, fewer runs
 * @property {string} [cells] of a family with cells, which ones; the family says how they are written
 * @property {number} runs how often to measure what a median is taken of
 * @property {(text: string) => void} say to the person who waits; on stderr
 * @property {(name: string) => Promise<string>} temporary a new directory, removed when the family is done
 * @property {(close: () => unknown) => void} onTidy to be called when the family is done, however it ended; last come, first called
 * @property {(name: string) => Promise<string | undefined>} peer the path of another's program (peers.mjs), if it is wanted; what is missing is said once
 */

/** @param {{ quick: boolean, cells?: string, peers?: string[] }} wish `peers`: others' programs to compare with, else all @returns {Bench & { tidy(): Promise<void>, close(): Promise<void> }} */
export function openBench({ quick, cells, peers }) {
  const closers = []
  const said = new Set()
  const tidy = async () => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close()
  }
  return {
    quick,
    cells,
    runs: quick ? 1 : 3,
    say,
    temporary: async (name) => {
      const directory = await mkdtemp(join(tmpdir(), `hdp-bench-${name}-`))
      closers.push(() => rm(directory, { recursive: true, force: true }))
      return directory
    },
    onTidy: (close) => void closers.push(close),
    peer: async (name) => {
      if (peers !== undefined && ![name, ...(PEERS[name].for ?? [])].some((each) => peers.includes(each))) return undefined
      const found = await findPeer(name)
      if (found === undefined && !said.has(name)) {
        said.add(name)
        say(`  left out: ${name} is not installed (npm run bench -- --install-peers)`)
      }
      return found
    },
    tidy,
    close: tidy,
  }
}
