import { peerIdFromKey } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseConnection, raisesDoubt } from '../../src/core/peers/connection-set.ts'
import type { Candidate } from '../../src/core/peers/connection-set.ts'

const small = peerIdFromKey(new Uint8Array(32).fill(1))
const large = peerIdFromKey(new Uint8Array(32).fill(2))
const candidate = (link: number, role: 'dialler' | 'listener', order = link, doubted = false): Candidate => ({ link, role, order, doubted })

describe('the connection that is used', () => {
  it('is the one dialled by the smaller key, on both sides', () => {
    const [a, b] = [candidate(1, 'dialler'), candidate(2, 'listener')]
    expect(chooseConnection(small, large, [a, b])).toBe(a)
    expect(chooseConnection(large, small, [a, b])).toBe(b)
  })

  it('is the newest of those that the same side dialled', () => {
    expect(chooseConnection(small, large, [candidate(1, 'listener'), candidate(3, 'listener'), candidate(2, 'listener')])?.link).toBe(3)
  })

  it('is never one in doubt while there is another', () => {
    expect(chooseConnection(small, large, [candidate(1, 'dialler', 1, true), candidate(2, 'listener')])?.link).toBe(2)
    expect(chooseConnection(small, large, [candidate(1, 'dialler', 1, true)])?.link).toBe(1)
    expect(chooseConnection(small, large, [])).toBeUndefined()
  })

  it('does not depend on the order of looking, and is the same seen from the other side', () => {
    const connections = fc.uniqueArray(fc.record({ order: fc.nat(50), byUs: fc.boolean() }), { selector: ({ order }) => order, minLength: 1, maxLength: 6 })
    fc.assert(fc.property(connections, fc.boolean(), fc.nat(), (list, weAreSmaller, turn) => {
      const [us, them] = weAreSmaller ? [small, large] : [large, small]
      const ours = list.map(({ order, byUs }) => candidate(order, byUs ? 'dialler' : 'listener'))
      const theirs = list.map(({ order, byUs }) => candidate(order, byUs ? 'listener' : 'dialler'))
      const from = turn % list.length
      const turned = [...theirs.slice(from), ...theirs.slice(0, from)]
      expect(chooseConnection(us, them, ours)?.link).toBe(chooseConnection(them, us, turned)?.link)
    }))
  })
})

describe('a doubt', () => {
  it('falls only on the winner that we dialled, when the other side dials us', () => {
    const roles = ['dialler', 'listener'] as const
    const raised = roles.flatMap((older) => roles.flatMap((arriving) => [small, large].flatMap((self) => (
      raisesDoubt(self, self === small ? large : small, { role: older }, { role: arriving }) ? [[older, arriving, self === small]] : []
    ))))
    expect(raised).toEqual([['dialler', 'listener', true]])
  })
})
