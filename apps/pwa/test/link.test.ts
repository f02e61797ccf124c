import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { CodedError } from '@harddrive-party/protocol'
import { type LinkStatus, type OpenSession, openLink } from '../src/state/link.ts'
import { openMockControl } from '../src/mock/mock-control.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const listener = { onSnapshot: () => undefined, onChange: () => undefined }
const settle = () => vi.advanceTimersByTimeAsync(0)

/** A helper that can be switched on and off. */
function switchable() {
  const mock = openMockControl('empty')
  let isOn = true
  let attempts = 0
  let drop: (() => void) | undefined
  const open: OpenSession = async () => {
    attempts += 1
    if (!isOn) throw new CodedError('unreachable', 'nobody there')
    const closed = new Promise<void>((resolve) => {
      drop = resolve
    })
    return { api: mock.api, closed, close: () => undefined }
  }
  return { open, attempts: () => attempts, off: () => { isOn = false; drop?.() }, on: () => { isOn = true }, close: mock.close }
}

it('opens, notices a loss, tries again with growing pauses and comes back by itself', async () => {
  const helper = switchable()
  const seen: LinkStatus[] = []
  const link = openLink({ open: helper.open, listener, onStatus: (status) => seen.push(status), delays: [100, 1000] })
  await settle()
  expect((await link.api.devices()).filter((device) => device.current)).toHaveLength(1)
  helper.off()
  await settle()
  expect(link.status).toBe('lost')
  await expect(link.api.devices()).rejects.toMatchObject({ code: 'closed' })
  await vi.advanceTimersByTimeAsync(100)
  expect(helper.attempts()).toBe(2)
  await vi.advanceTimersByTimeAsync(999)
  expect(helper.attempts()).toBe(2)
  helper.on()
  await vi.advanceTimersByTimeAsync(1)
  expect(seen).toEqual(['open', 'lost', 'open'])
  link.close()
  helper.close()
})

it('tries at once when woken', async () => {
  const helper = switchable()
  helper.off()
  const link = openLink({ open: helper.open, listener, onStatus: () => undefined, delays: [60_000] })
  await settle()
  helper.on()
  link.wake()
  await settle()
  expect(link.status).toBe('open')
  link.wake()
  await settle()
  expect(helper.attempts()).toBe(2)
  link.close()
  helper.close()
})

it('does not knock again where it is not admitted', async () => {
  for (const code of ['not-allowed', 'wrong-identity'] as const) {
    let attempts = 0
    const link = openLink({ listener, onStatus: () => undefined, delays: [10], open: async () => {
      attempts += 1
      throw new CodedError(code, 'no')
    } })
    await vi.advanceTimersByTimeAsync(1000)
    expect([link.status, attempts]).toEqual(['refused', 1])
    link.close()
  }
})

it('does nothing any more once closed', async () => {
  const helper = switchable()
  const seen: LinkStatus[] = []
  const link = openLink({ open: helper.open, listener, onStatus: (status) => seen.push(status), delays: [10] })
  link.close()
  await vi.advanceTimersByTimeAsync(1000)
  expect(seen).toEqual([])
  expect(helper.attempts()).toBe(1)
  helper.close()
})
