/** Measures what a line carries of plain UDP, so that figures of ours over it say whether the line was what held them up. */
import { once } from 'node:events'
import { inside, spawnInside } from './namespaces.ts'
import { probeProgram } from './wan-lines.ts'

export interface LineProbe {
  /** What arrived, of what a line of that rate and that loss would have let through. */
  readonly share: number
  /** How much later than light would be, half of the packets and 99 of 100 by no more than this; half a millisecond is the probe's own grain. */
  readonly lateMs: number
  readonly lateP99Ms: number
}

const PORT = 5202
const PROBE_MS = 1000

/** Below the line's own rate: what waits in its queue would look like lateness. */
const LOAD = 0.97

/** @returns undefined where there is no compiler for the program that does it */
export async function probeLine(
  from: { readonly ns: string }, to: { readonly ns: string; readonly address: string }, quality: { readonly mbit: number; readonly rttMs: number; readonly lossPct: number },
): Promise<LineProbe | undefined> {
  const program = await probeProgram()
  if (program === undefined) return undefined
  const receiver = spawnInside(to.ns, program, ['receive', String(PORT)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const { stdout } = receiver
  if (stdout === null) throw new Error('no pipe to the probe')
  let heard = ''
  stdout.setEncoding('utf8').on('data', (text: string) => (heard += text))
  try {
    await once(stdout, 'data')
    const over = once(receiver, 'close')
    const said = await inside(from.ns, program, ['send', to.address, String(PORT), String(Math.round(quality.mbit * 1000 * LOAD)), String(PROBE_MS)])
    const { sent } = JSON.parse(said) as { sent: number }
    await over
    const { received, delayMs, delayP99Ms } = JSON.parse(heard.trim().split('\n').at(-1) ?? '') as { received: number; delayMs: number; delayP99Ms: number }
    return { share: received / (sent * (1 - quality.lossPct / 100)), lateMs: delayMs - quality.rttMs / 2, lateP99Ms: delayP99Ms - quality.rttMs / 2 }
  } finally {
    receiver.kill('SIGKILL')
  }
}
