import { describe, expect, it, vi } from 'vitest'
import { openWay } from '../../src/adapters/reach/open-way.ts'
import type { PunchOutcome, PunchTarget } from '../../src/adapters/reach/punching.ts'
import type { OwnPlace } from '../../src/core/peers/dial-candidates.ts'
import { keyHashText } from '../../src/core/peers/peer-link-state.ts'
import { ManualClock } from '../support/peer-node.ts'
import { person, recordOf } from '../support/peer-records.ts'

const place: OwnPlace = { interfaces: [], endpoints: [], loopbackOnly: false }
const { signal } = new AbortController()
const ann = person(1)
const address = (host: string) => ({ endpoint: { host, port: 4433 }, source: 'stun' as const })

function fake(outcome: PunchOutcome) {
  const punched: PunchTarget[] = []
  return { punched, stop: vi.fn(), punch: async (target: PunchTarget) => (punched.push(target), outcome) }
}

describe('opening a way', () => {
  it('goes to public addresses of the record only, with its secret, and lets the way go after a while', async () => {
    const release = vi.fn()
    const clock = new ManualClock()
    const punching = fake({ type: 'path', path: { endpoint: { host: '45.1.1.1', port: 1 }, socket: 0, rttMs: 1, decider: true, packets: 1, release } })
    const signed = recordOf(ann, { addresses: ['192.168.7.7', '127.0.0.1', '45.1.1.1', '10.1.1.1'].map(address) })
    await openWay(punching, place, signed, { signal, clock })
    expect(punching.punched).toMatchObject([{ keyHash: keyHashText(ann.peerId), knockSecret: signed.record.knockSecret, candidates: [{ endpoint: { host: '45.1.1.1' } }] }])
    expect(punching.stop).not.toHaveBeenCalled()
    expect(release).not.toHaveBeenCalled()
    clock.advance(60_000)
    expect(release).toHaveBeenCalledOnce()
  })

  it('that fails is not tried further, and none is tried where there is no address for it', async () => {
    const failed = fake({ type: 'failed', fault: { code: 'timed-out', message: '' }, patient: true, packets: 9 })
    await openWay(failed, place, recordOf(ann, { addresses: [address('45.1.1.1')] }), { signal })
    expect(failed.stop).toHaveBeenCalledWith(keyHashText(ann.peerId))
    await openWay(failed, place, recordOf(ann, { addresses: [address('192.168.7.7')] }), { signal })
    expect(failed.punched).toHaveLength(1)
  })
})
