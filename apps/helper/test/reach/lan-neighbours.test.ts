/** Who is shown as nearby, who is dialled on the local network, and that neither can be made to happen too often. */
import { peerIdFromKey } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { DIAL_AGAIN_MS, LanNeighbours, MAX_NEIGHBOURS } from '../../src/core/reach/lan-neighbours.ts'
import type { LanSighting } from '../../src/core/reach/lan-records.ts'

const idOf = (number: number) => peerIdFromKey(Uint8Array.from({ length: 32 }, (_, i) => (i < 2 ? (number >> (8 * i)) & 0xff : 1)))
const SELF = idOf(1)
const ANNA = idOf(2)

function sightingOf(number: number, change: Partial<LanSighting> = {}): { type: 'sighted'; sighting: LanSighting } {
  return {
    type: 'sighted', sighting: { peerId: idOf(number), knockSecret: new Uint8Array(16).fill(number), endpoints: [{ host: '192.168.7.3', port: 4000 }], ttl: 120, ...change },
  }
}

const known = (change: Partial<{ wanted: boolean; blocked: boolean }> = {}) => ({ type: 'known', peers: [{ peerId: ANNA, wanted: true, blocked: false, ...change }] }) as const

describe('somebody unknown', () => {
  it('is nearby until it leaves or is not heard any more', () => {
    const neighbours = new LanNeighbours(SELF)
    expect(neighbours.step(0, sightingOf(2))).toEqual([{ type: 'nearby', peerId: ANNA, isNearby: true }])
    expect(neighbours.step(1_000, sightingOf(2))).toEqual([])
    expect(neighbours.find(ANNA)?.endpoints).toEqual([{ host: '192.168.7.3', port: 4000 }])
    expect(neighbours.step(2_000, sightingOf(2, { ttl: 0 }))).toEqual([{ type: 'nearby', peerId: ANNA, isNearby: false }])
    expect(neighbours.find(ANNA)).toBeUndefined()
    neighbours.step(3_000, sightingOf(2))
    expect(neighbours.deadline).toBe(123_000)
    expect(neighbours.step(123_000, { type: 'tick' })).toEqual([{ type: 'nearby', peerId: ANNA, isNearby: false }])
    expect(neighbours.deadline).toBeUndefined()
  })

  it('is never dialled', () => {
    const neighbours = new LanNeighbours(SELF)
    for (let now = 0; now < 100_000; now += 5_000) expect(neighbours.step(now, sightingOf(2)).filter(({ type }) => type === 'dial')).toEqual([])
  })

  it('is not called nearby while there is something better to say, and is again afterwards', () => {
    const neighbours = new LanNeighbours(SELF)
    neighbours.step(0, sightingOf(2))
    expect(neighbours.step(1, { type: 'status', peerId: ANNA, state: 'dialling' })).toEqual([])
    expect(neighbours.step(2, { type: 'status', peerId: ANNA, state: 'waiting' })).toEqual([])
    expect(neighbours.step(3, { type: 'status', peerId: ANNA, state: 'offline' })).toEqual([{ type: 'nearby', peerId: ANNA, isNearby: true }])
    neighbours.step(4, { type: 'status', peerId: ANNA, state: 'asks' })
    expect(neighbours.step(5, sightingOf(2, { ttl: 0 }))).toEqual([])
  })

  it('becomes known', () => {
    const neighbours = new LanNeighbours(SELF)
    neighbours.step(0, sightingOf(2))
    const effects = neighbours.step(1, known())
    expect(effects.map(({ type }) => type)).toEqual(['nearby', 'dial'])
    expect(effects[0]).toMatchObject({ isNearby: false })
  })

  it('is not ourselves', () => {
    expect(new LanNeighbours(SELF).step(0, sightingOf(1))).toEqual([])
  })
})

describe('somebody known', () => {
  it('is dialled where it was seen, at once, and not at every sighting', () => {
    const neighbours = new LanNeighbours(SELF)
    neighbours.step(0, known())
    expect(neighbours.step(10, sightingOf(2))).toMatchObject([{ type: 'dial', neighbour: { peerId: ANNA, endpoints: [{ host: '192.168.7.3', port: 4000 }] } }])
    expect(neighbours.step(20, sightingOf(2))).toEqual([])
    expect(neighbours.step(10 + DIAL_AGAIN_MS, sightingOf(2))).toHaveLength(1)
  })

  it('is dialled again at once where it is announced differently', () => {
    const neighbours = new LanNeighbours(SELF)
    neighbours.step(0, known())
    neighbours.step(0, sightingOf(2))
    expect(neighbours.step(1, sightingOf(2, { endpoints: [{ host: '10.0.0.3', port: 4000 }] }))).toMatchObject([{ neighbour: { endpoints: [{ host: '10.0.0.3' }, { host: '192.168.7.3' }] } }])
    expect(neighbours.step(2, sightingOf(2, { knockSecret: new Uint8Array(16).fill(9), endpoints: [{ host: '10.0.0.3', port: 5000 }] })))
      .toMatchObject([{ neighbour: { endpoints: [{ host: '10.0.0.3', port: 5000 }] } }])
  })

  it('is left alone when it is here, waits, is not wanted or is blocked', () => {
    for (const state of ['connected', 'waiting', 'asks', 'away', 'blocked'] as const) {
      const neighbours = new LanNeighbours(SELF)
      neighbours.step(0, known())
      neighbours.step(0, { type: 'status', peerId: ANNA, state })
      expect(neighbours.step(1, sightingOf(2))).toEqual([])
    }
    for (const change of [{ wanted: false }, { blocked: true }]) {
      const neighbours = new LanNeighbours(SELF)
      neighbours.step(0, known(change))
      expect(neighbours.step(1, sightingOf(2))).toEqual([])
    }
  })

  it('is dialled when it is lost while it is near', () => {
    const neighbours = new LanNeighbours(SELF)
    neighbours.step(0, known())
    neighbours.step(0, { type: 'status', peerId: ANNA, state: 'connected' })
    neighbours.step(1, sightingOf(2))
    expect(neighbours.step(50_000, { type: 'status', peerId: ANNA, state: 'offline' })).toMatchObject([{ type: 'dial' }])
  })
})

describe('a crowd', () => {
  it('is remembered up to a bound', () => {
    const neighbours = new LanNeighbours(SELF)
    let nearby = 0
    for (let i = 2; i < 1_000; i++) nearby += neighbours.step(i, sightingOf(i)).length
    expect(nearby).toBe(MAX_NEIGHBOURS)
  })

  it('may have many addresses each, and keeps few', () => {
    const neighbours = new LanNeighbours(SELF)
    for (let i = 0; i < 100; i++) neighbours.step(i, sightingOf(2, { endpoints: [{ host: `10.0.0.${i}`, port: 1 }] }))
    expect(neighbours.find(ANNA)?.endpoints.length).toBeLessThanOrEqual(8)
  })
})
