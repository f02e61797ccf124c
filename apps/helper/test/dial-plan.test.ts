import { HANDSHAKE_TIMEOUT_MS, formatEndpoint, parseEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, ErrorCode } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { ATTEMPT_STAGGER_MS, DialPlan, MAX_DIAL_ADDRESSES, orderEndpoints } from '../src/core/dial-plan.ts'

function endpoints(...texts: string[]): Endpoint[] {
  return texts.map((text) => {
    const endpoint = parseEndpoint(text)
    if (!endpoint.ok) throw new Error(text)
    return endpoint.value
  })
}

const fail = (attempt: number, code: ErrorCode = 'unreachable') => ({ type: 'attempt-failed', attempt, fault: { code, message: `it says ${code}` } }) as const
const three = endpoints('10.0.0.1:1', '10.0.0.2:2', '10.0.0.3:3')

describe('the order of addresses', () => {
  it('is from near to far, otherwise as given, and without repetitions', () => {
    const given = endpoints('8.8.4.4:5', '8.8.8.8:1', '[2a00::1]:2', '192.168.1.2:3', '127.0.0.1:4', '8.8.8.8:1', '[fe80::1]:6', '10.1.1.1:7', '[::1]:8')
    expect(orderEndpoints(given).map(formatEndpoint)).toEqual([
      '127.0.0.1:4', '[::1]:8', '192.168.1.2:3', '[fe80::1]:6', '10.1.1.1:7', '[2a00::1]:2', '8.8.4.4:5', '8.8.8.8:1',
    ])
  })

  it('is of a bounded number', () => {
    const many = Array.from({ length: 100 }, (_, i) => ({ host: '10.0.0.1', port: i + 1 }))
    expect(orderEndpoints(many)).toHaveLength(MAX_DIAL_ADDRESSES)
  })
})

describe('a dial plan', () => {
  it('tries one address after the other, each a little later', () => {
    const plan = new DialPlan(three)
    expect(plan.deadline).toBeUndefined()
    expect(plan.step(1_000, { type: 'start' })).toEqual([{ type: 'attempt', attempt: 0, endpoint: three[0] }])
    expect(plan.deadline).toBe(1_000 + ATTEMPT_STAGGER_MS)
    expect(plan.step(1_000 + ATTEMPT_STAGGER_MS - 1, { type: 'tick' })).toEqual([])
    expect(plan.step(1_250, { type: 'tick' })).toEqual([{ type: 'attempt', attempt: 1, endpoint: three[1] }])
    expect(plan.step(1_500, { type: 'tick' })).toEqual([{ type: 'attempt', attempt: 2, endpoint: three[2] }])
    expect(plan.deadline).toBe(1_000 + HANDSHAKE_TIMEOUT_MS)
  })

  it('ends all others when one succeeds', () => {
    const plan = new DialPlan(three)
    plan.step(0, { type: 'start' })
    plan.step(250, { type: 'tick' })
    expect(plan.step(260, { type: 'attempt-succeeded', attempt: 0 })).toEqual([
      { type: 'abort-attempt', attempt: 1 }, { type: 'succeeded', attempt: 0, endpoint: three[0] },
    ])
    expect(plan.deadline).toBeUndefined()
    expect(plan.step(270, fail(1))).toEqual([])
    expect(plan.step(270, { type: 'attempt-succeeded', attempt: 1 })).toEqual([])
  })

  it('goes on at once when one fails', () => {
    const plan = new DialPlan(three)
    plan.step(0, { type: 'start' })
    expect(plan.step(10, fail(0))).toEqual([{ type: 'attempt', attempt: 1, endpoint: three[1] }])
    expect(plan.step(20, fail(0))).toEqual([])
    expect(plan.step(30, fail(1))).toEqual([{ type: 'attempt', attempt: 2, endpoint: three[2] }])
    expect(plan.step(40, fail(2))).toEqual([{ type: 'failed', fault: { code: 'unreachable', message: 'no answer from any of its 3 addresses' } }])
  })

  it('gives each attempt its time', () => {
    const plan = new DialPlan(endpoints('10.0.0.1:1'))
    plan.step(0, { type: 'start' })
    expect(plan.step(HANDSHAKE_TIMEOUT_MS - 1, { type: 'tick' })).toEqual([])
    expect(plan.step(HANDSHAKE_TIMEOUT_MS, { type: 'tick' })).toEqual([
      { type: 'abort-attempt', attempt: 0 }, { type: 'failed', fault: { code: 'timed-out', message: 'no answer from its address' } },
    ])
  })

  it('tells what says most', () => {
    for (const [codes, told] of [
      [['unreachable', 'wrong-identity', 'timed-out'], 'wrong-identity'], [['timed-out', 'unreachable', 'unreachable'], 'timed-out'],
      [['wrong-identity', 'refused', 'closed'], 'refused'], [['internal', 'internal', 'internal'], 'internal'],
    ] as const) {
      const plan = new DialPlan(three)
      plan.step(0, { type: 'start' })
      codes.forEach((code, attempt) => {
        const effects = plan.step(0, fail(attempt, code))
        if (attempt === 2) expect(effects).toMatchObject([{ type: 'failed', fault: { code: told } }])
      })
    }
  })

  it('fails at once without addresses, and does nothing once aborted', () => {
    expect(new DialPlan([]).step(0, { type: 'start' })).toEqual([{ type: 'failed', fault: { code: 'unreachable', message: 'no address of this peer is known' } }])
    const plan = new DialPlan(three)
    plan.step(0, { type: 'start' })
    expect(plan.step(1, { type: 'abort' })).toEqual([{ type: 'abort-attempt', attempt: 0 }])
    expect(plan.step(2, { type: 'tick' })).toEqual([])
  })
})
