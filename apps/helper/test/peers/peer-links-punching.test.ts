import { type PeerId, type PeerRecord, peerIdFromKey } from '@harddrive-party/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import type { OwnPlace } from '../../src/core/peers/dial-candidates.ts'
import { LATE_DIAL_MS } from '../../src/core/peers/dial-plan.ts'
import { PeerLinksMachine } from '../../src/core/peers/peer-links.ts'
import type { LinkPolicy, LinksEffect, LinksInput } from '../../src/core/peers/peer-link-messages.ts'
import { EAGER_MS, LONGEST_RETRY_AFTER_LOSS_MS, RECENT_LOSS_MS, keyHashText, retryDelayMs, zealFor } from '../../src/core/peers/peer-link-state.ts'

/** What the session layer does with punching: begins it, waits for it, ends it. */

const id = (number: number): PeerId => peerIdFromKey(new Uint8Array(32).fill(number))
const self = id(5)
const friend = id(1)
const keyHash = keyHashText(friend)
const endpoint = { host: '8.8.8.8', port: 1 }
const PLACE: OwnPlace = { interfaces: [], endpoints: [], loopbackOnly: false }
const silence = { code: 'timed-out', message: 'nobody knocked back' } as const
const policy = (...peers: LinkPolicy['peers']): LinkPolicy => ({ codeSecret: 'cc', askBeforeAccepting: true, peers })
const known = { peerId: friend, blocked: false, wanted: true, addresses: [endpoint], knockSecret: 'aa' } as const
const wish = { type: 'connect', connect: 7, keyHash, knockSecret: 'aa', addresses: [endpoint], nat: { nat: { v4: 'consistent', v6: 'unknown' } } } as const

let links: PeerLinksMachine
beforeEach(() => {
  links = new PeerLinksMachine({ self, random: () => 0, place: () => PLACE })
})

/** Without status messages, and without the word that punching is over where none was. */
function deeds(now: number, input: LinksInput): LinksEffect[] {
  return links.step(now, input).filter(({ type }) => type !== 'status' && type !== 'stop-punching')
}

function punchOf(effects: readonly LinksEffect[]): Extract<LinksEffect, { type: 'punch' }> {
  const effect = effects.find((candidate) => candidate.type === 'punch')
  if (effect?.type !== 'punch') throw new Error('nobody punches')
  return effect
}

/** Everything that is under way fails; punching goes on sparsely. */
function failAll(now: number, effects: readonly LinksEffect[], patient = true): LinksEffect[] {
  return effects.flatMap((effect) => {
    if (effect.type === 'punch') return deeds(now, { type: 'dial-failed', dial: effect.dial, fault: silence, patient })
    return effect.type === 'dial' ? deeds(now, { type: 'dial-failed', dial: effect.dial, fault: silence }) : []
  })
}

/** The wish has met with silence on every way. */
function wishInVain(): LinksEffect[] {
  const punch = deeds(0, wish)
  const late = deeds(LATE_DIAL_MS, { type: 'tick' })
  return failAll(4_000, [...punch, ...late])
}

describe('punching for a code', () => {
  it('begins at once where a NAT is in between, and knows what the code says', () => {
    expect(deeds(0, wish)).toEqual([
      { type: 'punch', dial: 1, candidates: [{ endpoint, source: 'peer' }], nat: wish.nat, eager: false, knockSecret: 'aa', expect: { keyHash } },
    ])
    expect(deeds(LATE_DIAL_MS, { type: 'tick' })).toMatchObject([{ type: 'dial', candidate: { endpoint } }])
  })

  it('tells the person that nobody answered, and keeps the wish while it goes on sparsely', () => {
    expect(wishInVain()).toEqual([{ type: 'connect-failed', connect: 7, fault: silence }])
    const again = deeds(60_000, { type: 'punched', keyHash })
    expect(punchOf(again)).toMatchObject({ expect: { keyHash } })
    expect(again).toHaveLength(1)
    deeds(60_100, { type: 'dialled', dial: punchOf(again).dial, link: 1, peerId: friend })
    expect(deeds(60_200, { type: 'greeted', link: 1 })).toMatchObject([{ type: 'known', peerId: friend }])
  })

  it('lets in without asking whom the person wished for, when it comes by itself', () => {
    wishInVain()
    deeds(60_000, { type: 'arrived', link: 1, peerId: friend, knock: 'code' })
    expect(deeds(60_001, { type: 'hello', link: 1 })).toMatchObject([{ type: 'admit' }, { type: 'known' }])
  })

  it('is over with the sparse punching', () => {
    wishInVain()
    expect(deeds(60_000, { type: 'punching-over', keyHash })).toEqual([])
    expect(deeds(60_001, { type: 'punched', keyHash })).toEqual([])
    deeds(60_002, { type: 'arrived', link: 1, peerId: friend, knock: 'code' })
    expect(deeds(60_003, { type: 'hello', link: 1 })).toMatchObject([{ type: 'hold' }])
  })

  it('does not go on after a clear no, or where it is hopeless', () => {
    const punch = deeds(0, wish)
    const late = deeds(LATE_DIAL_MS, { type: 'tick' })
    expect(failAll(4_000, [...punch, ...late], false)).toMatchObject([{ type: 'connect-failed' }])
    expect(deeds(60_000, { type: 'punched', keyHash })).toEqual([])
  })

  it('begins anew when our network has become another one', () => {
    wishInVain()
    expect(punchOf(deeds(60_000, { type: 'wake' }))).toMatchObject({ expect: { keyHash } })
  })
})

describe('punching for somebody known', () => {
  it('answers a knock, but not that of somebody who is to stay away, or is here already', () => {
    deeds(0, { type: 'policy', policy: policy({ ...known, wanted: false }) })
    expect(deeds(1, { type: 'knocked', keyHash })).toEqual([])
    expect(deeds(2, { type: 'knocked', keyHash: keyHashText(id(2)) })).toEqual([])
    const first = deeds(3, { type: 'policy', policy: policy(known) })
    expect(first).toMatchObject([{ type: 'dial' }])
    expect(deeds(4, { type: 'knocked', keyHash })).toEqual([])
    const punch = deeds(400, { type: 'tick' })
    expect(punchOf(punch).expect).toEqual({ peerId: friend })
    failAll(20_000, [...first, ...punch])
    expect(deeds(20_001, { type: 'knocked', keyHash })).toMatchObject([{ type: 'dial' }])
    deeds(20_002, { type: 'arrived', link: 1, peerId: friend, knock: 'known' })
    deeds(20_003, { type: 'hello', link: 1 })
    expect(deeds(20_004, { type: 'knocked', keyHash })).toEqual([])
  })

  it('ends when it is connected, forgotten or blocked', () => {
    links.step(0, { type: 'policy', policy: policy(known) })
    const blocked = links.step(1, { type: 'policy', policy: policy({ ...known, blocked: true }) })
    expect(blocked).toContainEqual({ type: 'stop-punching', keyHash })
    links.step(2, { type: 'policy', policy: policy(known) })
    links.step(3, { type: 'arrived', link: 1, peerId: friend, knock: 'known' })
    expect(links.step(4, { type: 'hello', link: 1 })).toContainEqual({ type: 'stop-punching', keyHash })
  })

  it('is hurried by the news that its owner starts now', () => {
    deeds(0, { type: 'policy', policy: policy(known) })
    const record = {
      peerId: friend, sequence: 1, issuedAt: 0, expiresAt: 1, knockSecret: new Uint8Array(16), passOn: false, nat: { v4: 'random', v6: 'unknown' },
      addresses: [{ endpoint: { host: '8.8.4.4', port: 2 }, source: 'stun' }],
    } as const satisfies PeerRecord
    const [hurry] = deeds(100, { type: 'learned', record, bytes: new Uint8Array(1), knockSecret: 'bb', origin: 'topic', live: true }).filter(({ type }) => type === 'punch-now')
    expect(hurry).toMatchObject({ keyHash, nat: { nat: { v4: 'random' } } })
    expect(hurry?.type === 'punch-now' && hurry.candidates.map(({ endpoint: { host } }) => host)).toEqual(['8.8.4.4', '8.8.8.8'])
  })
})

describe('whoever was here a moment ago', () => {
  it('is tried every few seconds, and punched to anew each time', () => {
    const peer = { failures: 20, lostAt: 0 }
    expect(retryDelayMs(peer, RECENT_LOSS_MS - 1, 1)).toBe(LONGEST_RETRY_AFTER_LOSS_MS)
    expect(retryDelayMs(peer, RECENT_LOSS_MS, 1)).toBe(30_000)
    expect(zealFor(peer, EAGER_MS - 1)).toEqual({ eager: true, spare: false })
    expect(zealFor(peer, EAGER_MS)).toEqual({ eager: false, spare: true })
    expect(zealFor({ failures: 24, lostAt: 0 }, EAGER_MS)).toEqual({ eager: false, spare: false })
    expect(zealFor({ failures: 0, lostAt: -Infinity }, 0)).toEqual({ eager: false, spare: false })
  })
})
