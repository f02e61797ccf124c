import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import { useHelper } from '../../state/helper-store.ts'

/** What came in and went out over the last minutes, sampled while the app is open. */

export interface SpeedSample {
  /** Bytes per second. */
  readonly down: number
  readonly up: number
}

export const SAMPLE_MS = 1000
/** Three minutes: long enough to see a hiccup, short enough to see it move. */
export const MAX_SAMPLES = 180

export const useSpeeds = defineStore('speeds', () => {
  const helper = useHelper()
  const samples = shallowRef<readonly SpeedSample[]>([])

  function sample() {
    const down = helper.activeTransfers.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0)
    const up = helper.uploadPeers.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0)
    // Nothing has moved since the app was opened: there is no graph to draw.
    if (samples.value.length === 0 && down === 0 && up === 0) return
    samples.value = [...samples.value, { down, up }].slice(-MAX_SAMPLES)
  }

  /** @returns stops */
  function start(): () => void {
    const timer = setInterval(sample, SAMPLE_MS)
    return () => clearInterval(timer)
  }

  return { samples, sample, start }
})

/** The next of 1, 2, 5, 10, … that is no smaller: a scale that does not change with every sample. */
export function scaleFor(most: number): number {
  if (most <= 1000) return 1000
  const power = 10 ** Math.floor(Math.log10(most))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? 10 * power
}

/** The outline of an area over `values`, the newest at the right edge, in a box of `MAX_SAMPLES - 1` by 100. */
export function areaPath(values: readonly number[], scale: number): string {
  if (values.length === 0) return ''
  const right = MAX_SAMPLES - 1
  const left = right - values.length + 1
  const line = values.map((value, i) => `${left + i} ${round(100 - 100 * Math.min(1, value / scale))}`)
  return `M${left} 100L${line.join('L')}L${right} 100Z`
}

const round = (value: number) => Math.round(value * 10) / 10
