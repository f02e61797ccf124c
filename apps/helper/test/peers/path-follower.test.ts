import type { Endpoint } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PathFollower } from '../../src/core/peers/path-follower.ts'

const home: Endpoint = { host: '192.0.2.1', port: 1000 }
const away: Endpoint = { host: '192.0.2.1', port: 2000 }
const thief: Endpoint = { host: '203.0.113.9', port: 9 }
const nonce = (byte: number): Uint8Array => new Uint8Array(8).fill(byte)

describe('the path follower', () => {
  it('follows after an echo of its probe from where it was sent', () => {
    const path = new PathFollower(home)
    expect(path.step(0, { type: 'heard', from: away, nonce: nonce(1) })).toEqual([{ type: 'send-probe', to: away, nonce: nonce(1) }])
    expect(path.current).toEqual(home)
    expect(path.step(20, { type: 'echo', from: away, nonce: nonce(1) })).toEqual([{ type: 'follow', to: away }])
    expect(path.current).toEqual(away)
    expect(path.deadline).toBeUndefined()
  })

  it('does not follow an echo from elsewhere, of another probe, or of none', () => {
    const path = new PathFollower(home)
    expect(path.step(0, { type: 'echo', from: away, nonce: nonce(1) })).toEqual([])
    path.step(0, { type: 'heard', from: thief, nonce: nonce(1) })
    expect(path.step(1, { type: 'echo', from: away, nonce: nonce(1) })).toEqual([])
    expect(path.step(1, { type: 'echo', from: thief, nonce: nonce(2) })).toEqual([])
    expect(path.current).toEqual(home)
  })

  it('probes a few times and then forgets', () => {
    const path = new PathFollower(home)
    let probes = path.step(0, { type: 'heard', from: away, nonce: nonce(1) }).length
    for (let now = path.deadline; now !== undefined; now = path.deadline) {
      expect(now).toBeLessThan(5000)
      probes += path.step(now, { type: 'tick' }).length
    }
    expect(probes).toBe(4)
    expect(path.step(5000, { type: 'echo', from: away, nonce: nonce(1) })).toEqual([])
  })

  it('is not led back by packets that were on their way', () => {
    const path = new PathFollower(home)
    path.step(0, { type: 'heard', from: away, nonce: nonce(1) })
    path.step(1, { type: 'echo', from: away, nonce: nonce(1) })
    expect(path.step(2, { type: 'heard', from: home, nonce: nonce(2) })).toEqual([])
    expect(path.step(10_000, { type: 'heard', from: home, nonce: nonce(3) })).toHaveLength(1)
  })

  it('finds the peer among forged addresses', () => {
    const path = new PathFollower(home)
    for (let i = 0; i < 100; i++) path.step(i, { type: 'heard', from: { host: '203.0.113.1', port: i + 1 }, nonce: nonce(i) })
    expect(path.step(200, { type: 'heard', from: away, nonce: nonce(200) })).toEqual([])
    for (let now = path.deadline; now !== undefined; now = path.deadline) path.step(now, { type: 'tick' })
    expect(path.step(2000, { type: 'heard', from: away, nonce: nonce(201) })).toHaveLength(1)
    expect(path.step(2010, { type: 'echo', from: away, nonce: nonce(201) })).toHaveLength(1)
  })

  it('echoes to where the probe came from, within a budget', () => {
    const path = new PathFollower(home)
    expect(path.step(0, { type: 'probe', from: away, nonce: nonce(7) })).toEqual([{ type: 'send-echo', to: away, nonce: nonce(7) }])
    let echoes = 0
    for (let i = 0; i < 1000; i++) echoes += path.step(i, { type: 'probe', from: thief, nonce: nonce(7) }).length
    expect(echoes).toBeLessThan(20)
    expect(path.step(1000, { type: 'probe', from: away, nonce: nonce(7) })).toHaveLength(1)
  })

  it('sends no more than its budget and never moves without an echo, whatever comes', () => {
    const endpoint = fc.constantFrom(home, away, thief, { host: '2001:db8::1', port: 5 })
    const input = fc.oneof(
      fc.record({ type: fc.constantFrom('heard' as const, 'probe' as const), from: endpoint, nonce: fc.constant(nonce(1)) }),
      fc.constant({ type: 'tick' as const }),
    )
    fc.assert(
      fc.property(fc.array(input, { maxLength: 300 }), (inputs) => {
        const path = new PathFollower(home)
        let sent = 0
        for (const [i, each] of inputs.entries()) sent += path.step(i, each).length
        expect(sent).toBeLessThanOrEqual(40)
        expect(path.current).toEqual(home)
      }),
    )
  })
})
