import { CodedError, introductionProof, keyHashOf } from '@harddrive-party/protocol'
import type { SignedPeerRecord } from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { requestGossip, requestIntroduction } from '../../src/adapters/peers/peer-requests.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'
import { person, recordOf } from '../support/peer-records.ts'
import { NatWorld, SignallingNode } from '../support/signalling-node.ts'

/** Three helpers, of which the one in the middle is connected to the other two. */
let world: NatWorld
let nodes: SignallingNode[] = []
const signal = new AbortController().signal

function node(number: number, options: ConstructorParameters<typeof SignallingNode>[2] = {}): SignallingNode {
  const made = new SignallingNode(world, number, options)
  nodes.push(made)
  return made
}

beforeEach(() => void (world = new NatWorld(new MemoryNetwork())))
afterEach(async () => {
  for (const each of nodes.splice(0)) await each.close()
})

/** Bob is connected to Ann and Cid and has told each of the other. */
async function around(options: { readonly ann?: object; readonly cid?: object; readonly annRecord?: object } = {}): Promise<{ ann: SignallingNode; bob: SignallingNode; cid: SignallingNode }> {
  const ann = node(1, { policy: options.ann ?? {}, record: options.annRecord ?? {} })
  const bob = node(2)
  const cid = node(3, { policy: options.cid ?? {} })
  await ann.links.connect(bob.code)
  await cid.links.connect(bob.code)
  await bob.connected(ann, cid)
  await bob.until(() => bob.remembers(ann) && bob.remembers(cid))
  return { ann, bob, cid }
}

/** Until a node has answered everything that was asked of it before: a ping to it, and one of ours back. */
async function settled(...pairs: readonly (readonly [SignallingNode, SignallingNode])[]): Promise<void> {
  for (const [from, to] of pairs) await from.links.ping(to.peerId, { signal })
}

const connectionOf = (from: SignallingNode, to: SignallingNode) => {
  const connection = from.links.connection(to.peerId)
  if (!connection) throw new Error('not connected')
  return connection
}
const hashOf = (of: { readonly peerId: SignallingNode['peerId'] }): Uint8Array => keyHashOf(of.peerId)
const codeOf = (error: unknown): unknown => (error instanceof CodedError ? error.code : error)
const ask = (from: SignallingNode, via: SignallingNode, to: SignallingNode, record: SignedPeerRecord, secret: string): Promise<unknown> =>
  requestIntroduction(connectionOf(from, via), { to: hashOf(to), record: record.bytes, proof: introductionProof(Buffer.from(secret, 'hex'), hashOf(to), record.bytes) }, { signal })
    .then(() => 'introduced', codeOf)

describe('friends who have lost each other', () => {
  it('find each other again through what a third one tells', async () => {
    const { ann, cid } = await around()
    const lost = ['10.0.0.77:1']
    ann.setPolicy({ peers: [...ann.policy.peers, cid.known({ addresses: lost })] })
    cid.setPolicy({ peers: [...cid.policy.peers, ann.known({ addresses: lost })] })
    await ann.connected(cid)
    await cid.connected(ann)
  })

  it('meet though both are behind NATs that must open at the same moment', async () => {
    const { ann, bob, cid } = await around()
    for (const each of [ann, cid]) world.closeNat(each.host.endpoint)
    // Ann does not know that Cid wants her.
    const met = cid.links.connect(ann.code)
    await cid.connected(ann)
    expect(await met).toMatchObject({ peerId: ann.peerId, state: 'connected' })
    await ann.connected(cid)
    expect(world.dials.filter(({ from }) => from === ann.peerId).map(({ to }) => to)).toContain('10.0.0.3:4003')
    // The friend has signalled and carried nothing: it has dialled nobody.
    expect(world.dials.some(({ from }) => from === bob.peerId)).toBe(false)
  })

  it('are let in again while one of them still believes in a connection that the other has lost', async () => {
    const { ann, bob, cid } = await around()
    await cid.links.connect(ann.code)
    await ann.connected(cid)
    await ann.until(() => ann.remembers(cid))
    expect(ann.opened).toEqual([])
    expect(await ask(cid, bob, ann, cid.record, ann.policy.knownSecret)).toBe('introduced')
    expect(ann.opened).toEqual([cid.peerId])
  })

  it('are not introduced by a friend who does not do that', async () => {
    const { ann, bob, cid } = await around()
    bob.signalling.setHelpsOthers(false)
    expect(await ask(cid, bob, ann, cid.record, ann.policy.codeSecret)).toBe('not-found')
    expect(world.dials.some(({ from }) => from === ann.peerId && world.dials.length > 2)).toBe(false)
  })
})

describe('who is asked for', () => {
  it('refuses everybody without the right secret, and says no more than that it is not there', async () => {
    const { ann, bob, cid } = await around()
    const before = world.dials.length
    expect(await ask(cid, bob, ann, cid.record, 'ee'.repeat(16))).toBe('not-found')
    // What gossip gives to everybody is not enough.
    expect(await ask(cid, bob, ann, cid.record, ann.policy.knownSecret)).toBe('not-found')
    expect(await ask(cid, bob, ann, recordOf(person(66), { issuedAt: Date.now(), expiresAt: Date.now() + 1000 }), ann.policy.codeSecret)).toBe('not-allowed')
    const proof = introductionProof(Buffer.from(ann.policy.codeSecret, 'hex'), hashOf(ann), cid.record.bytes)
    const forged = cid.record.bytes.with(80, 1)
    expect(await requestIntroduction(connectionOf(cid, bob), { to: hashOf(ann), record: forged, proof }, { signal }).catch(codeOf)).toBe('bad-request')
    const { issuedAt } = cid.record.record
    const old = cid.makeRecord({ issuedAt: issuedAt - 7_200_000, expiresAt: issuedAt - 1 })
    expect(await ask(cid, bob, ann, old, ann.policy.codeSecret)).toBe('bad-request')
    expect(world.dials.length).toBe(before)
  })

  it('does not go to meet the blocked, whatever they know', async () => {
    const { ann, bob, cid } = await around()
    ann.setPolicy({ peers: [...ann.policy.peers, cid.known({ blocked: true })] })
    const before = world.dials.length
    expect(await ask(cid, bob, ann, cid.record, ann.policy.codeSecret)).toBe('not-found')
    await settled([bob, ann])
    expect(world.dials.length).toBe(before)
    expect(ann.status(cid)?.state).toBe('blocked')
  })

  it('stays away from whom it left', async () => {
    const { ann, bob, cid } = await around()
    ann.setPolicy({ peers: [...ann.policy.peers, cid.known({ wanted: false })] })
    const before = world.dials.length
    expect(await ask(cid, bob, ann, cid.record, ann.policy.knownSecret)).toBe('not-found')
    expect(world.dials.length).toBe(before)
  })

  it('whose person wants to be asked is not led to a stranger', async () => {
    const { ann, bob, cid } = await around({ ann: { askBeforeAccepting: true } })
    const before = world.dials.length
    expect(await ask(cid, bob, ann, cid.record, ann.policy.codeSecret)).toBe('introduced')
    await settled([bob, ann])
    expect(world.dials.length).toBe(before)
  })
})

describe('what is passed on', () => {
  it('never holds those who do not want it, not even the fact that they are there', async () => {
    const ann = node(1, { record: { passOn: false } })
    const bob = node(2)
    const cid = node(3)
    const dan = node(4)
    const asked: string[] = []
    const heard: Uint8Array[] = []
    const { answer } = cid.signalling
    const heardOfDan = new Promise<void>((resolve) => {
      cid.signalling.answer = (connection, request, options) => {
        if (request.type === 'gossip') heard.push(...request.others, ...(request.own ? [request.own] : []))
        asked.push(request.type)
        if (heard.some((bytes) => Buffer.from(bytes).equals(dan.record.bytes))) resolve()
        return answer.call(cid.signalling, connection, request, options)
      }
    })
    await ann.links.connect(bob.code)
    await bob.until(() => bob.remembers(ann))
    await cid.links.connect(bob.code)
    await cid.until(() => cid.remembers(bob))
    // Somebody else whom Bob may pass on: when Cid has heard of it, Ann would have come with it.
    await dan.links.connect(bob.code)
    await heardOfDan
    expect(heard.map((bytes) => Buffer.from(bytes).includes(Buffer.from(ann.peerId, 'hex')))).not.toContain(true)
    expect(asked.every((type) => type === 'gossip')).toBe(true)
  })

  it('about strangers makes nobody send anything to them', async () => {
    const { ann, bob, cid } = await around()
    const before = world.dials.length
    const strangers = Array.from({ length: 20 }, (_, i) => recordOf(person(100 + i), {
      issuedAt: Date.now(), expiresAt: Date.now() + 1_000_000, addresses: [{ endpoint: { host: '203.0.113.7', port: 53 }, source: 'stun' }, { endpoint: { host: '192.168.1.1', port: 80 }, source: 'interface' }],
    }))
    await requestGossip(connectionOf(bob, cid), { others: strangers.map(({ bytes }) => bytes) }, { signal })
    await settled([bob, cid], [cid, bob])
    expect(cid.links.statuses().map(({ peerId }) => peerId)).toEqual([bob.peerId])
    expect(world.dials.length).toBe(before)
    expect(ann.links.statuses().map(({ peerId }) => peerId)).toEqual([bob.peerId])
  })

  it('with a bad signature, of another key or too old, changes nothing about a friend', async () => {
    const { ann, bob, cid } = await around()
    cid.setPolicy({ peers: [...cid.policy.peers, ann.known({ addresses: [], knockSecret: null })] })
    ann.setPolicy({ peers: [...ann.policy.peers, cid.known({ addresses: [], knockSecret: null })] })
    // It gets to know how to reach her from Bob alone, and does.
    await cid.connected(ann)
    const addresses = [{ endpoint: { host: '10.6.6.6', port: 6 }, source: 'stun' as const }]
    const newer = ann.makeRecord({ sequence: ann.record.record.sequence + 5, addresses })
    const forged = newer.bytes.with(newer.bytes.length - 1, (newer.bytes.at(-1) ?? 0) ^ 1)
    const older = ann.makeRecord({ sequence: 1, addresses })
    const expired = ann.makeRecord({ sequence: newer.record.sequence, issuedAt: Date.now() - 2_000, expiresAt: Date.now() - 1_000, addresses })
    const bobs = recordOf(bob.person, { ...newer.record, peerId: bob.peerId })
    // Bob's signature under a record with Ann's name.
    const stolen = Uint8Array.from([...newer.bytes.slice(0, -64), ...bobs.bytes.slice(-64)])
    await requestGossip(connectionOf(bob, cid), { others: [forged, older.bytes, expired.bytes, stolen, new Uint8Array(0), new Uint8Array(1024)] }, { signal })
    await settled([bob, cid])
    const remembered = cid.events.flatMap((event) => (event.type === 'peer-record' && event.peerId === ann.peerId ? [event.record] : []))
    expect([...new Set(remembered)]).toEqual([Buffer.from(ann.record.bytes).toString('hex')])
    // The base of all this: what is good is taken.
    await requestGossip(connectionOf(bob, cid), { others: [newer.bytes] }, { signal })
    await cid.until(() => cid.events.some((event) => event.type === 'peer-record' && event.record === Buffer.from(newer.bytes).toString('hex')))
  })

  it('as one’s own must be one’s own', async () => {
    const { ann, bob, cid } = await around()
    const connection = connectionOf(bob, cid)
    expect(await requestGossip(connection, { own: ann.record.bytes, others: [] }, { signal }).catch(codeOf)).toBe('bad-request')
    expect(await requestGossip(connection, { own: new Uint8Array(3), others: [] }, { signal }).catch(codeOf)).toBe('bad-request')
  })

  it('in floods is not read', async () => {
    const { bob, cid } = await around()
    const connection = connectionOf(bob, cid)
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => requestGossip(connection, { others: [] }, { signal: new AbortController().signal }).then(() => 'noted', codeOf)))
    expect(outcomes.filter((outcome) => outcome === 'busy').length).toBeGreaterThan(20)
    expect(await cid.links.ping(bob.peerId, { signal })).toMatchObject({})
  })

  it('about the blocked is neither used nor passed on', async () => {
    const { ann, bob, cid } = await around()
    cid.setPolicy({ peers: [...cid.policy.peers, ann.known({ blocked: true, addresses: [] })] })
    const newer = ann.makeRecord({ sequence: ann.record.record.sequence + 5 })
    await requestGossip(connectionOf(bob, cid), { others: [newer.bytes] }, { signal })
    await settled([bob, cid])
    expect(cid.remembers(ann)).toBe(false)
    expect(cid.status(ann)?.state).toBe('blocked')
  })
})
