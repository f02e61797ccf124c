// Where the programs meet: two machines in network namespaces, anna's and ben's, one line between them and nothing else, and folders on the disk.
import { once } from 'node:events'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { addNamespace, enterPrivateWorld, ip, spawnInside } from '../../../lab/namespaces.ts'
import { addWanLine, chooseWanMethod } from '../../../lab/wan-lines.ts'

export const ANNA = { ns: 'anna', device: 'wan', address: '10.77.0.1' }
export const BEN = { ns: 'ben', device: 'wan', address: '10.77.0.2' }
/** More of anna's, for servers that a program wants at several addresses. */
export const SERVERS = ['10.77.1.1', '10.77.1.2']

/**
 * @typedef {object} Place
 * @property {(name: string) => Promise<string>} folder a new one on the disk
 * @property {(ns: string, file: string, args: string[], options?: { cwd?: string, env?: object, signal?: AbortSignal }) => Running} start a program on one of the machines; it is killed when the signal says so
 * @property {() => Promise<number>} received bytes that have come to ben's machine so far
 *
 * @typedef {object} Running
 * @property {import('node:child_process').ChildProcess} child
 * @property {(what: RegExp) => Promise<RegExpMatchArray>} says waits until it has written that, on either output
 * @property {(signal?: AbortSignal) => Promise<void>} done waits for its end; rejects if that is no success
 * @property {() => Promise<void>} stop idempotent
 */

/** @param {{ scratch: string, rttMs: number, mbit?: number }} wish @returns {Promise<Place | string>} or why not */
export async function openPlace({ scratch, rttMs, mbit }) {
  await enterPrivateWorld()
  if (rttMs > 0 && (await chooseWanMethod()) === 'none') return 'no netem here, and no C compiler'
  for (const { ns } of [ANNA, BEN]) await addNamespace(ns)
  const kbitPerSecond = (mbit ?? 0) * 1000
  await addWanLine(ANNA, BEN, rttMs === 0 ? {} : { delayMs: rttMs / 2, kbitPerSecond, queueBytes: Math.max(1_000_000, (kbitPerSecond / 8) * rttMs) })
  for (const [own, other] of [[ANNA, BEN], [BEN, ANNA]]) {
    await ip(own.ns, [
      `addr add ${own.address}/32 dev ${own.device}`, ...(own === ANNA ? SERVERS.map((address) => `addr add ${address}/32 dev lo`) : []), `link set ${own.device} up`,
      `route add ${other.address}/32 dev ${own.device} src ${own.address}`, `route add default dev ${own.device} src ${own.address}`,
    ])
  }
  // The counters of a namespace are to be had through whoever lives there.
  const resident = spawnInside(BEN.ns, 'sleep', ['infinity'], { stdio: 'ignore' })
  let folders = 0
  return {
    folder: async (name) => {
      const directory = join(scratch, `${name}-${++folders}`)
      await mkdir(directory, { recursive: true })
      return directory
    },
    start: (ns, file, args, options = {}) => start(ns, file, args, { ...options, scratch }),
    received: async () => {
      const line = (await readFile(`/proc/${resident.pid}/net/dev`, 'utf8')).split('\n').find((text) => text.trim().startsWith(`${BEN.device}:`))
      return Number(line?.split(':')[1].trim().split(/\s+/)[0] ?? Number.NaN)
    },
  }
}

/** Programs get a home of their own: nobody's settings, and nothing left behind. */
function start(ns, file, args, { scratch, env = {}, cwd = scratch, signal }) {
  const child = spawnInside(ns, file, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd, env: { ...process.env, HOME: scratch, XDG_CONFIG_HOME: scratch, XDG_DATA_HOME: scratch, ...env }, signal, killSignal: 'SIGKILL' })
  let said = ''
  const listeners = new Set()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-20_000)
      for (const look of listeners) look()
    })
  }
  const gone = new Promise((resolve) => {
    child.once('error', (error) => resolve(String(error)))
    child.once('close', (code, signal) => resolve(signal ?? code))
  })
  const kill = () => void child.kill('SIGKILL')
  const why = (how) => new Error(`${file} ended with ${how}: ${said.trim().slice(-2000)}`)
  return {
    child,
    says: (what) => new Promise((resolve, reject) => {
      const look = () => {
        const match = said.match(what)
        if (match === null) return
        listeners.delete(look)
        resolve(match)
      }
      listeners.add(look)
      look()
      void gone.then((how) => {
        look()
        reject(why(how))
      })
    }),
    done: async (signal) => {
      signal?.addEventListener('abort', kill)
      const how = await gone
      signal?.removeEventListener('abort', kill)
      signal?.throwIfAborted()
      if (how !== 0) throw why(how)
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      kill()
      await exit
    },
  }
}

/** Polls until something is so. */
export async function until(isSo, signal, everyMs = 20) {
  while (!(await isSo())) {
    signal?.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

export function remove(path) {
  return rm(path, { recursive: true, force: true })
}
