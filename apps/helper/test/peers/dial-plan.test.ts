import { HANDSHAKE_TIMEOUT_MS, formatEndpoint, parseEndpoint } from '@harddrive-party/protocol'
import type { ErrorCode, ReachCandidate } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import type { SortedCandidates } from '../../src/core/peers/dial-candidates.ts'
import {
  ATTEMPT_STAGGER_MS, DialPlan, LATE_DIAL_MS, MAX_DIALLING_MS, MAX_DIAL_ADDRESSES, PUNCH_DELAY_MS, orderCandidates,
} from '../../src/core/peers/dial-plan.ts'

function candidates(...texts: string[]): ReachCandidate[] {
  return texts.map((text) => {
    const endpoint = parseEndpoint(text)
    if (!endpoint.ok) throw new Error(text)
    return { endpoint: endpoint.value, source: 'peer' }
  })
}

const fail = (attempt: number, code: ErrorCode = 'unreachable') => ({ type: 'attempt-failed', attempt, fault: { code, message: `it says ${code}` } }) as const
const plain = (dial: readonly ReachCandidate[]): SortedCandidates => ({ dial, late: [], punch: [] })
const three = candidates('10.0.0.1:1', '10.0.0.2:2', '10.0.0.3:3')

describe('the order of addresses', () => {
  it('is from near to far, otherwise as given, and without repetitions', () => {
    const given = candidates('8.8.4.4:5', '8.8.8.8:1', '[2a00::1]:2', '192.168.1.2:3', '127.0.0.1:4', '8.8.8.8:1', '[fe80::1]:6', '10.1.1.1:7', '[::1]:8')
    expect(orderCandidates(given).map(({ endpoint }) => formatEndpoint(endpoint))).toEqual([
      '127.0.0.1:4', '[::1]:8', '192.168.1.2:3', '[fe80::1]:6', '10.1.1.1:7', '[2a00::1]:2', '8.8.4.4:5', '8.8.8.8:1',
    ])
  })

  it('is of a bounded number', () => {
    const many = Array.from({ length: 100 }, (_, i) => ({ endpoint: { host: '10.0.0.1', port: i + 1 }, source: 'peer' }) as const)
    expect(orderCandidates(many)).toHaveLength(MAX_DIAL_ADDRESSES)
  })
})

describe('a dial plan', () => {
  it('tries one address after the other, each a little later', () => {
    const plan = new DialPlan(plain(three))
    expect(plan.deadline).toBeUndefined()
    expect(plan.step(1_000, { type: 'start' })).toEqual([{ type: 'attempt', attempt: 0, candidate: three[0] }])
    expect(plan.deadline).toBe(1_000 + ATTEMPT_STAGGER_MS)
    expect(plan.step(1_000 + ATTEMPT_STAGGER_MS - 1, { type: 'tick' })).toEqual([])
    expect(plan.step(1_250, { type: 'tick' })).toEqual([{ type: 'attempt', attempt: 1, candidate: three[1] }])
    expect(plan.step(1_500, { type: 'tick' })).toEqual([{ type: 'attempt', attempt: 2, candidate: three[2] }])
    expect(plan.deadline).toBe(1_000 + HANDSHAKE_TIMEOUT_MS)
  })

  it('ends all others when one succeeds', () => {
    const plan = new DialPlan(plain(three))
    plan.step(0, { type: 'start' })
    plan.step(250, { type: 'tick' })
    expect(plan.step(260, { type: 'attempt-succeeded', attempt: 0 })).toEqual([
      { type: 'abort-attempt', attempt: 1 }, { type: 'succeeded', attempt: 0 },
    ])
    expect(plan.deadline).toBeUndefined()
    expect(plan.step(270, fail(1))).toEqual([])
    expect(plan.step(270, { type: 'attempt-succeeded', attempt: 1 })).toEqual([])
  })

  it('goes on at once when one fails', () => {
    const plan = new DialPlan(plain(three))
    plan.step(0, { type: 'start' })
    expect(plan.step(10, fail(0))).toEqual([{ type: 'attempt', attempt: 1, candidate: three[1] }])
    expect(plan.step(20, fail(0))).toEqual([])
    expect(plan.step(30, fail(1))).toEqual([{ type: 'attempt', attempt: 2, candidate: three[2] }])
    expect(plan.step(40, fail(2))).toEqual([{ type: 'failed', fault: { code: 'unreachable', message: 'no answer from any of its 3 addresses' }, patient: false }])
  })

  it('gives each attempt its time', () => {
    const plan = new DialPlan(plain(candidates('10.0.0.1:1')))
    plan.step(0, { type: 'start' })
    expect(plan.step(HANDSHAKE_TIMEOUT_MS - 1, { type: 'tick' })).toEqual([])
    expect(plan.step(HANDSHAKE_TIMEOUT_MS, { type: 'tick' })).toEqual([
      { type: 'abort-attempt', attempt: 0 }, { type: 'failed', fault: { code: 'timed-out', message: 'no answer from its address' }, patient: false },
    ])
  })

  it('tells what says most', () => {
    for (const [codes, told] of [
      [['unreachable', 'wrong-identity', 'timed-out'], 'wrong-identity'], [['timed-out', 'unreachable', 'unreachable'], 'timed-out'],
      [['wrong-identity', 'refused', 'closed'], 'refused'], [['internal', 'internal', 'internal'], 'internal'],
    ] as const) {
      const plan = new DialPlan(plain(three))
      plan.step(0, { type: 'start' })
      codes.forEach((code, attempt) => {
        const effects = plan.step(0, fail(attempt, code))
        if (attempt === 2) expect(effects).toMatchObject([{ type: 'failed', fault: { code: told } }])
      })
    }
  })

  it('fails at once without addresses, and does nothing once aborted', () => {
    expect(new DialPlan(plain([])).step(0, { type: 'start' })).toEqual([{ type: 'failed', fault: { code: 'unreachable', message: 'no address of this peer is known', detail: { code: 'no-address-known', values: {} } }, patient: false }])
    const plan = new DialPlan(plain(three))
    plan.step(0, { type: 'start' })
    expect(plan.step(1, { type: 'abort' })).toEqual([{ type: 'abort-attempt', attempt: 0 }])
    expect(plan.step(2, { type: 'tick' })).toEqual([])
  })
})

describe('punching in a dial plan', () => {
  const near = candidates('192.168.1.2:1')
  const far = candidates('8.8.8.8:2')
  const both: SortedCandidates = { dial: near, late: far, punch: [...near, ...far] }
  const punch = { type: 'punch', attempt: 2, candidates: [...near, ...far] } as const

  it('gives plain dialling a head start, and what is behind a NAT is dialled last', () => {
    const plan = new DialPlan(both)
    expect(plan.step(0, { type: 'start' })).toEqual([{ type: 'attempt', attempt: 0, candidate: near[0] }])
    expect(plan.step(PUNCH_DELAY_MS - 1, { type: 'tick' })).toEqual([])
    expect(plan.step(PUNCH_DELAY_MS, { type: 'tick' })).toEqual([punch])
    expect(plan.deadline).toBe(LATE_DIAL_MS)
    expect(plan.step(LATE_DIAL_MS, { type: 'tick' })).toEqual([{ type: 'attempt', attempt: 1, candidate: far[0], late: true }])
  })

  it('begins at once where there is nothing else to try', () => {
    const plan = new DialPlan({ dial: [], late: far, punch: far })
    expect(plan.step(0, { type: 'start' })).toEqual([{ type: 'punch', attempt: 1, candidates: far }])
    expect(plan.deadline).toBe(LATE_DIAL_MS)
  })

  it('begins once everything else has met with silence, but not after a clear no', () => {
    const silent = new DialPlan({ dial: near, late: [], punch: near })
    silent.step(0, { type: 'start' })
    expect(silent.step(10, fail(0))).toEqual([{ type: 'punch', attempt: 1, candidates: near }])
    const refused = new DialPlan({ dial: near, late: [], punch: near })
    refused.step(0, { type: 'start' })
    expect(refused.step(10, fail(0, 'refused'))).toMatchObject([{ type: 'failed', fault: { code: 'refused' } }])
  })

  it('is an attempt like the others: the first to succeed ends the rest', () => {
    const plan = new DialPlan(both)
    plan.step(0, { type: 'start' })
    plan.step(PUNCH_DELAY_MS, { type: 'tick' })
    expect(plan.step(400, { type: 'attempt-succeeded', attempt: 2 })).toEqual([{ type: 'abort-attempt', attempt: 0 }, { type: 'succeeded', attempt: 2 }])
  })

  it('knows best why nobody answered, and may go on by itself', () => {
    const plan = new DialPlan({ dial: [], late: far, punch: far })
    plan.step(0, { type: 'start' })
    plan.step(LATE_DIAL_MS, { type: 'tick' })
    plan.step(1_000, { type: 'attempt-failed', attempt: 1, fault: { code: 'unreachable', message: 'both networks are random' }, patient: true })
    expect(plan.step(9_000, fail(0, 'timed-out'))).toEqual([{ type: 'failed', fault: { code: 'unreachable', message: 'both networks are random' }, patient: true }])
  })

  it('does not hide what the peer itself said', () => {
    const plan = new DialPlan({ dial: [], late: far, punch: far })
    plan.step(0, { type: 'start' })
    plan.step(LATE_DIAL_MS, { type: 'tick' })
    plan.step(1_000, { type: 'attempt-failed', attempt: 1, fault: { code: 'timed-out', message: 'no answer' }, patient: true })
    expect(plan.step(2_000, fail(0, 'refused'))).toMatchObject([{ type: 'failed', fault: { code: 'refused' }, patient: false }])
  })

  it('keeps nobody waiting for longer than the whole may take', () => {
    const plan = new DialPlan({ dial: [], late: [], punch: far })
    plan.step(0, { type: 'start' })
    expect(plan.deadline).toBe(MAX_DIALLING_MS)
    expect(plan.step(MAX_DIALLING_MS, { type: 'tick' })).toMatchObject([{ type: 'abort-attempt', attempt: 0 }, { type: 'failed', fault: { code: 'timed-out' } }])
    expect(plan.deadline).toBeUndefined()
  })
})
