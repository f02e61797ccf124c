import { formatEndpoint } from '@harddrive-party/protocol'
import type { SignedPeerRecord } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { ATTEMPT_STAGGER_MS } from '../../src/core/peers/dial-plan.ts'
import { PeerLinksMachine } from '../../src/core/peers/peer-links.ts'
import type { LinkPolicyPeer, LinksEffect, LinksInput, RecordOrigin } from '../../src/core/peers/peer-link-messages.ts'
import { person, recordOf } from '../support/peer-records.ts'

const [me, ann] = [person(1), person(2)]
const ORIGINS = ['topic', 'gossip', 'lan', 'introduction'] as const
const worked = { host: '192.0.2.1', port: 1 }
const known = (change: Partial<LinkPolicyPeer> = {}): LinkPolicyPeer => ({ peerId: ann.peerId, blocked: false, wanted: true, addresses: [worked], knockSecret: 'aa', ...change })
const fault = { code: 'unreachable', message: 'nobody there' } as const

/** A machine that knows these, and what it has done since it was asked last, status messages left out. */
class Session {
  readonly machine = new PeerLinksMachine({ self: me.peerId, random: () => 0.999 })
  now = 0

  constructor(...peers: readonly LinkPolicyPeer[]) {
    if (peers.length > 0) this.do({ type: 'policy', policy: { codeSecret: 'cc', askBeforeAccepting: true, peers } })
  }

  do(input: LinksInput): LinksEffect[] {
    return this.machine.step(this.now, input).filter(({ type }) => type !== 'status')
  }

  learn({ record, bytes }: SignedPeerRecord, origin: RecordOrigin, live = false): LinksEffect[] {
    return this.do({ type: 'learned', record, bytes, knockSecret: Buffer.from(record.knockSecret).toString('hex'), origin, live })
  }

  /** Fails every dial of one round. @returns where it dialled, with which secret */
  failDials(effects: readonly LinksEffect[] = []): string[] {
    const dialled: string[] = []
    const queue = [...effects]
    for (;;) {
      const effect = queue.shift()
      if (effect?.type === 'dial') {
        dialled.push(`${formatEndpoint(effect.candidate.endpoint)} ${effect.knockSecret}`)
        queue.push(...this.do({ type: 'dial-failed', dial: effect.dial, fault }))
      }
      if (effect) continue
      const { deadline } = this.machine
      // The next address comes soon, the next round later.
      if (deadline === undefined || (dialled.length > 0 && deadline - this.now > ATTEMPT_STAGGER_MS)) return dialled
      this.now = Math.max(this.now, deadline)
      queue.push(...this.do({ type: 'tick' }))
    }
  }
}

const recordAt = (host: string, sequence: number): SignedPeerRecord => recordOf(ann, { sequence, addresses: [{ endpoint: { host, port: 1 }, source: 'stun' }] })

describe('a record', () => {
  it.each(['gossip', 'lan'] as const)('of somebody unknown is nothing by %s', (origin) => {
    const session = new Session()
    for (const live of [false, true]) expect(session.learn(recordOf(ann), origin, live)).toEqual([])
    expect(session.machine.deadline).toBeUndefined()
    expect(session.machine.statuses()).toEqual([])
  })

  it.each(['topic', 'introduction'] as const)('of somebody unknown makes us dial by %s, as long as it takes', (origin) => {
    const session = new Session()
    expect(session.failDials(session.learn(recordOf(ann), origin, true))).toEqual([`10.9.9.9:9 ${'09'.repeat(16)}`])
    expect(session.machine.statuses()).toEqual([])
  })

  it.each(ORIGINS)('of ourselves is nothing by %s', (origin) => {
    expect(new Session().learn(recordOf(me), origin, true)).toEqual([])
  })

  it.each(ORIGINS)('of a blocked peer, or of one that we left, is not used when it comes by %s', (origin) => {
    for (const change of [{ blocked: true }, { wanted: false }]) {
      const session = new Session(known(change))
      expect(session.learn(recordOf(ann), origin, true).filter(({ type }) => type !== 'record')).toEqual([])
      expect(session.machine.deadline).toBeUndefined()
    }
    expect(new Session(known({ blocked: true })).learn(recordOf(ann), origin)).toEqual([])
  })

  it.each(ORIGINS)('of a friend by %s adds its addresses, brings its secret, and is to be remembered', (origin) => {
    const session = new Session(known())
    session.failDials()
    const signed = recordOf(ann)
    expect(session.learn(signed, origin)[0]).toEqual({ type: 'record', record: signed.record, bytes: signed.bytes })
    expect(session.failDials().toSorted()).toEqual([`10.9.9.9:9 ${'09'.repeat(16)}`, `192.0.2.1:1 ${'09'.repeat(16)}`])
  })

  it('gives way to a newer one only, and its secret to that of a later hello', () => {
    const session = new Session(known({ addresses: [] }))
    session.learn(recordAt('10.0.0.2', 2), 'gossip')
    expect(session.learn(recordAt('10.0.0.1', 1), 'introduction')).toEqual([])
    expect(session.failDials()).toEqual([`10.0.0.2:1 ${'09'.repeat(16)}`])
    session.do({ type: 'policy', policy: { codeSecret: 'cc', askBeforeAccepting: true, peers: [known({ addresses: [], knockSecret: 'bb' })] } })
    expect(session.failDials()).toEqual(['10.0.0.2:1 bb'])
    session.learn(recordAt('10.0.0.3', 3), 'gossip')
    expect(session.failDials()).toEqual([`10.0.0.3:1 ${'09'.repeat(16)}`])
  })

  it('of an earlier life is used, with the secret that is known now', () => {
    const session = new Session(known({ addresses: [], record: recordOf(ann).record }))
    expect(session.failDials()).toEqual(['10.9.9.9:9 aa'])
  })

  it('that is the answer of a stranger who waits lets it in', () => {
    const session = new Session()
    session.do({ type: 'arrived', link: 1, peerId: ann.peerId, knock: 'known' })
    expect(session.do({ type: 'hello', link: 1 })).toEqual([{ type: 'hold', link: 1 }])
    expect(session.learn(recordOf(ann), 'gossip')).toEqual([])
    expect(session.learn(recordOf(ann), 'topic')).toMatchObject([{ type: 'admit', link: 1 }, { type: 'known' }])
  })

  it('of a connected friend who has itself introduced puts the connection in doubt, once', () => {
    const session = new Session(known())
    session.do({ type: 'arrived', link: 1, peerId: ann.peerId, knock: 'known' })
    session.do({ type: 'hello', link: 1 })
    expect(session.learn(recordOf(ann), 'gossip', true).filter(({ type }) => type !== 'record')).toEqual([])
    expect(session.learn(recordOf(ann), 'introduction', true)).toEqual([{ type: 'probe', link: 1 }])
    expect(session.learn(recordOf(ann), 'introduction', true)).toEqual([])
    session.do({ type: 'probed', link: 1, alive: false })
    expect(session.failDials().length).toBeGreaterThan(0)
  })
})
