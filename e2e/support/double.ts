import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A peer of the tests' own making, as a process. */
export interface Double {
  readonly code: string
  readonly peerId: string
  stop(): Promise<void>
}

/** @param name a file in e2e/doubles that prints `{ code, peerId }` and serves until it is ended */
export async function startDouble(name: string): Promise<Double> {
  const file = fileURLToPath(new URL(`../doubles/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`the double ${name} ended with ${code}`)))
  })
  return {
    ...(JSON.parse(line) as { code: string; peerId: string }),
    stop: async () => {
      child.kill()
      await ended
    },
  }
}
