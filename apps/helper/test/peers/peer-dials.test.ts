import { randomBytes } from 'node:crypto'
import { type Endpoint, keyHashOf } from '@harddrive-party/protocol'
import type { PeerPath } from '@harddrive-party/protocol/control'
import { beforeEach, describe, expect, it } from 'vitest'
import { PeerDials, type PeerDialsOptions } from '../../src/adapters/peers/peer-dials.ts'
import type { Punching, PunchOutcome } from '../../src/adapters/reach/punching.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import type { LinksEffect } from '../../src/core/peers/peer-link-messages.ts'
import { person } from '../support/peer-records.ts'

/** What a path is called. Dialling itself is tested with the session layer. */

const { peerId } = person(1)
const ABROAD: Endpoint = { host: '45.1.2.3', port: 4433 }
const NEAR: Endpoint = { host: '192.168.1.7', port: 4433 }
const SECRET = randomBytes(16).toString('hex')

type Dial = Extract<LinksEffect, { type: 'dial' }>

let kinds: PeerPath['kind'][]
let inward: 'open' | 'mapped' | 'closed'
let punched: (outcome: PunchOutcome) => void
let dials: PeerDials

beforeEach(() => {
  kinds = []
  inward = 'open'
  const punching: Pick<Punching, 'punch'> = { punch: () => new Promise((resolve) => (punched = resolve)) }
  dials = new PeerDials({
    transport: { dial: async ({ endpoint }) => connectionFrom(endpoint) },
    punching: punching as PeerDialsOptions['punching'], inward: () => inward,
    onConnected: (_dial, _connection, _at, kind) => void kinds.push(kind), onFailed: () => {}, log: () => {},
  })
})

function connectionFrom(remote: Endpoint): PeerConnection {
  return { peerId, remote } as PeerConnection
}

function dial(endpoint: Endpoint, more: Partial<Dial> = {}): Promise<void> {
  return dials.dial({ type: 'dial', dial: 1, candidate: { endpoint, source: 'record' }, knockSecret: SECRET, expect: { peerId }, ...more })
}

function punch(): Promise<void> {
  return dials.punch({ type: 'punch', dial: 2, candidates: [{ endpoint: ABROAD, source: 'record' }], nat: null, eager: false, knockSecret: SECRET, expect: { keyHash: Buffer.from(keyHashOf(peerId)).toString('hex') } })
}

describe('a connection that we have made', () => {
  it('is called by what led to it', async () => {
    await dial(ABROAD)
    await dial(ABROAD, { late: true })
    await dial(ABROAD, { candidate: { endpoint: ABROAD, source: 'mapping' } })
    await dial(NEAR, { late: true })
    expect(kinds).toEqual(['direct', 'punched', 'mapped', 'lan'])
  })
})

describe('a connection that has come to us', () => {
  it('came through the port that the router keeps open, where there is one and nothing else lets it in', () => {
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('direct')
    inward = 'mapped'
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('mapped')
    expect(dials.kindOf(connectionFrom(NEAR))).toBe('lan')
    expect(dials.kindOf(connectionFrom({ host: '2a00::5', port: 1 }))).toBe('ipv6')
  })

  it('came through what was punched when our own dialling got through there just before', async () => {
    inward = 'closed'
    await dial(ABROAD, { late: true })
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('punched')
    expect(dials.kindOf(connectionFrom({ ...ABROAD, port: 9 }))).toBe('direct')
  })

  it('came through what was punched, also when that is not over yet', async () => {
    inward = 'closed'
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('direct')
    const over = punch()
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('punched')
    punched({ type: 'failed', fault: { code: 'timed-out', message: 'no answer' }, patient: false, packets: 1 })
    await over
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('direct')
    const found = punch()
    punched({ type: 'path', path: { endpoint: ABROAD, socket: 0, rttMs: 1, decider: true, packets: 1, release: () => {} } })
    await found
    inward = 'mapped'
    expect(dials.kindOf(connectionFrom(ABROAD))).toBe('punched')
    expect(dials.kindOf(connectionFrom({ ...ABROAD, port: 9 }))).toBe('mapped')
  })
})
