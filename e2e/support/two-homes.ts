import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Two machines on one local network, each a network namespace that nothing outside can see. */
export interface TwoHomes {
  readonly home: Place
  readonly phone: Place
  close(): Promise<void>
}

export interface Place {
  readonly address: string
  /** To be put before a command that shall run there. */
  readonly enter: readonly string[]
}

/** @returns undefined where namespaces cannot be had */
export async function openTwoHomes(): Promise<TwoHomes | undefined> {
  const [home, phone] = [hold(), hold()]
  const close = async () => {
    for (const holder of [home, phone]) holder.kill('SIGKILL')
  }
  try {
    await Promise.all([isReady(home), isReady(phone)])
    await run('ip', ['link', 'add', 'lan', 'netns', String(home.pid), 'type', 'veth', 'peer', 'name', 'lan', 'netns', String(phone.pid)])
    const places = [[home, '192.168.77.1'], [phone, '192.168.77.2']] as const
    for (const [holder, address] of places) {
      for (const words of ['link set lo up', 'link set lan up', `addr add ${address}/24 dev lan`]) await run('nsenter', [...enter(holder), 'ip', ...words.split(' ')])
    }
    return { home: { address: places[0][1], enter: ['nsenter', ...enter(home)] }, phone: { address: places[1][1], enter: ['nsenter', ...enter(phone)] }, close }
  } catch {
    await close()
    return undefined
  }
}

/** A program that runs another one at a place: for whoever starts programs by their path alone. */
export async function programAt(place: Place, program: string, directory: string): Promise<string> {
  const file = join(directory, 'program-there')
  await writeFile(file, `#!/bin/sh\nexec ${place.enter.join(' ')} ${program} "$@"\n`)
  await chmod(file, 0o700)
  return file
}

/** The namespace lives as long as this process. */
function hold(): ChildProcess {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 600'], { stdio: ['ignore', 'pipe', 'ignore'] })
  holder.on('error', () => {})
  return holder
}

function isReady(holder: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    holder.stdout?.once('data', () => resolve())
    holder.once('exit', () => reject(new Error('no namespace')))
    holder.once('error', reject)
  })
}

function enter(holder: ChildProcess): string[] {
  return [`--net=/proc/${holder.pid}/ns/net`]
}
