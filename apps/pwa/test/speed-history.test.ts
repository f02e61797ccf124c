import { createPinia, setActivePinia } from 'pinia'
import { expect, it } from 'vitest'
import { MAX_SAMPLES, areaPath, scaleFor, useSpeeds } from '../src/features/transfers/speed-history.ts'
import { useHelper } from '../src/state/helper-store.ts'

it('keeps the last minutes, from the first byte on', () => {
  setActivePinia(createPinia())
  const [helper, speeds] = [useHelper(), useSpeeds()]
  speeds.sample()
  expect(speeds.samples).toEqual([])
  const upload = { peerId: 'p', bytesPerSecond: 70 }
  helper.takeChange({ type: 'upload-peers', uploadPeers: [upload] as never })
  helper.takeChange({ type: 'transfer', transfer: { transferId: 't', state: 'running', bytesPerSecond: 500 } as never })
  speeds.sample()
  helper.takeChange({ type: 'upload-peers', uploadPeers: [] })
  helper.takeChange({ type: 'transfer', transfer: { transferId: 't', state: 'done', bytesPerSecond: 0 } as never })
  speeds.sample()
  expect(speeds.samples).toEqual([{ down: 500, up: 70 }, { down: 0, up: 0 }])
  for (let i = 0; i < MAX_SAMPLES; i++) speeds.sample()
  expect(speeds.samples).toHaveLength(MAX_SAMPLES)
})

it('has a scale of round figures that holds what it shows', () => {
  expect([0, 999, 1000, 1001, 4_200_000, 5_000_000, 9_900_000_000].map(scaleFor)).toEqual([1000, 1000, 1000, 2000, 5_000_000, 5_000_000, 10_000_000_000])
})

it('draws the newest at the right edge, and never above the box', () => {
  expect(areaPath([], 10)).toBe('')
  expect(areaPath([5, 10, 20], 10)).toBe('M177 100L177 50L178 0L179 0L179 100Z')
})
