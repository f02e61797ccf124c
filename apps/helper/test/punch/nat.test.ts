import { describe, expect, it } from 'vitest'
import { Nat, type NatOptions } from '../support/nat.ts'
import { seededRandom } from '../support/world.ts'

/** The NATs of the world tests behave as those that were measured in a laboratory of kernel NATs. */

const A = { host: '192.168.1.10', port: 4433 }
const X = { host: '45.0.2.1', port: 1000 }
const X2 = { host: '45.0.2.1', port: 1001 }
const Y = { host: '45.0.3.1', port: 1000 }

function nat(options: Partial<NatOptions> = {}): Nat {
  return new Nat({ host: '45.0.1.1', mapping: 'independent', filtering: 'port', ports: 'keep', random: seededRandom(1), ...options })
}

describe('a NAT', () => {
  it.each([
    ['independent', [true, true, true]],
    ['address', [true, true, false]],
    ['port', [true, false, false]],
  ] as const)('with %s filtering lets in what it should', (filtering, expected) => {
    const router = nat({ filtering })
    const outside = router.outbound(0, A, X) ?? A
    expect(outside).toEqual({ host: '45.0.1.1', port: 4433 })
    expect(router.outbound(0, A, Y)).toEqual(outside)
    const fresh = nat({ filtering })
    fresh.outbound(0, A, X)
    expect([X, X2, Y].map((remote) => fresh.inbound(1, remote, outside) !== undefined)).toEqual(expected)
  })

  it('with dependent mapping gives every destination another port, and lets only that destination in', () => {
    const router = nat({ mapping: 'dependent', ports: { low: 1024, high: 65_535 } })
    const [x, x2, y] = [X, X2, Y].map((remote) => router.outbound(0, A, remote) ?? A)
    expect(new Set([x, x2, y].map((outside) => outside?.port)).size).toBe(3)
    expect(router.inbound(1, X, x ?? A)).toEqual(A)
    expect(router.inbound(1, Y, x ?? A)).toBeUndefined()
  })

  it('that counts hands out one port after the other, and starts again at the bottom', () => {
    const router = nat({ mapping: 'dependent', ports: { step: 2, from: 65_533 } })
    const ports = [1, 2, 3].map((port) => router.outbound(0, A, { host: X.host, port })?.port)
    expect(ports).toEqual([65_533, 65_535, 1_025])
    router.disturb()
    expect(router.outbound(0, A, Y)?.port).toBe(1_029)
  })

  it('forgets flows that are not used, and gives another port where two insides want the same', () => {
    const router = nat()
    const outside = router.outbound(0, A, X) ?? A
    expect(router.inbound(29_999, X, outside)).toEqual(A)
    expect(router.inbound(60_000, X, outside)).toBeUndefined()
    const other = router.outbound(60_000, { host: '192.168.1.11', port: 4433 }, X)
    expect(other?.port).not.toBe(4433)
  })

  it('that takes packets for itself moves the port of whoever comes later', () => {
    const router = nat({ accepts: true })
    router.outbound(0, A, Y)
    expect(router.inbound(1, X, { host: '45.0.1.1', port: 4433 })).toBeUndefined()
    expect(router.outbound(2, A, X)?.port).not.toBe(4433)
    expect(router.outbound(2, A, Y)?.port).toBe(4433)
    expect(nat().inbound(1, X, { host: '45.0.1.1', port: 4433 })).toBeUndefined()
  })

  it('with a full table refuses new flows until old ones are forgotten', () => {
    const router = nat({ maxFlows: 2 })
    const made = [X, X2, Y].map((remote) => router.outbound(0, A, remote) !== undefined)
    expect([made, router.refused]).toEqual([[true, true, false], 1])
    expect(router.outbound(30_000, A, Y)).toBeDefined()
  })

  it('with a port mapping lets everybody in there; a firewall translates nothing', () => {
    const router = nat({ mapping: 'dependent', ports: { low: 1024, high: 65_535 } })
    router.redirect(7_777, A)
    expect(router.inbound(0, Y, { host: '45.0.1.1', port: 7_777 })).toEqual(A)
    const wall = nat({ host: null })
    expect(wall.inbound(0, X, A)).toBeUndefined()
    expect(wall.outbound(0, A, X)).toEqual(A)
    expect([wall.inbound(1, X, A), wall.inbound(1, X2, A)]).toEqual([A, undefined])
  })
})
