import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryNetwork } from '../support/memory-transport.ts'
import { PeerNode } from '../support/peer-node.ts'

const signal = new AbortController().signal
let network: MemoryNetwork
let nodes: PeerNode[]

function open(...args: ConstructorParameters<typeof PeerNode> extends [unknown, ...infer Rest] ? Rest : never): PeerNode {
  const node = new PeerNode(network, ...args)
  nodes.push(node)
  return node
}

beforeEach(() => {
  network = new MemoryNetwork()
  nodes = []
})
afterEach(async () => {
  for (const node of nodes) await node.close()
})

/** Two who know each other. */
async function connected(): Promise<[PeerNode, PeerNode]> {
  const [anna, ben] = [open(1), open(2)]
  await anna.links.connect(ben.code)
  await ben.reaches(anna, 'connected')
  await anna.reaches(ben, 'connected')
  return [anna, ben]
}

describe('two helpers', () => {
  it('connect by code, know each other from then on, and can ping', async () => {
    const [anna, ben] = [open(1), open(2)]
    expect(await anna.links.connect(ben.code)).toEqual({ peerId: ben.peerId, state: 'connected' })
    await ben.reaches(anna, 'connected')
    const ping = await anna.links.ping(ben.peerId, { signal })
    expect(ping.path).toMatchObject({ transport: 'quic', kind: 'lan', address: '10.0.0.2:4002' })
    expect(anna.policy.peers).toMatchObject([{ peerId: ben.peerId, knockSecret: ben.policy.knownSecret, addresses: ['10.0.0.2:4002'] }])
    expect(ben.policy.peers).toMatchObject([{ peerId: anna.peerId, knockSecret: anna.policy.knownSecret, addresses: ['10.0.0.1:4001'] }])
    await expect(ben.links.ping(anna.peerId, { signal })).resolves.toMatchObject({ path: { kind: 'lan' } })
  })

  it('give each other the keys of their path', async () => {
    const [anna, ben] = [open(1), open(2)]
    await anna.links.connect(ben.code)
    await ben.reaches(anna, 'connected')
    const keys = [anna.links.connection(ben.peerId), ben.links.connection(anna.peerId)].map(
      (connection) => Object.entries((connection as unknown as { pathKeys: object }).pathKeys).map(([whose, key]) => [whose, Buffer.from(key).toString('hex')]),
    )
    const [of, by] = keys.map((each) => Object.fromEntries(each ?? []) as Record<string, string>)
    expect(of?.['ours']).toMatch(/^[0-9a-f]{32}$/)
    expect([of?.['ours'], of?.['theirs']]).toEqual([by?.['theirs'], by?.['ours']])
    expect(of?.['ours']).not.toBe(of?.['theirs'])
  })

  it('dial each other at once and are connected once', async () => {
    const [anna, ben] = [open(1), open(2)]
    await Promise.all([anna.links.connect(ben.code), ben.links.connect(anna.code)])
    const [pingA, pingB] = await Promise.all([anna.links.ping(ben.peerId, { signal }), ben.links.ping(anna.peerId, { signal })])
    expect([pingA.path.transport, pingB.path.transport]).toEqual(['quic', 'quic'])
    await anna.until(() => anna.links.connection(ben.peerId)?.role === 'dialler')
    await ben.until(() => ben.links.connection(anna.peerId)?.role === 'listener')
  })

  it('answer at once when they are connected already, and refuse themselves', async () => {
    const [anna, ben] = [open(1), open(2)]
    await anna.links.connect(ben.code)
    expect(await anna.links.connect(ben.code)).toEqual({ peerId: ben.peerId, state: 'connected' })
    await expect(anna.links.connect(anna.code)).rejects.toMatchObject({ code: 'bad-request', message: 'this is your own code' })
  })

  it('say why a code does not work', async () => {
    const [anna, ben] = [open(1), open(2)]
    await expect(anna.links.connect({ ...ben.code, addresses: [{ host: '10.9.9.9', port: 1 }] })).rejects.toMatchObject({ code: 'unreachable' })
    await expect(anna.links.connect({ ...ben.code, knockSecret: '00'.repeat(16) })).rejects.toMatchObject({ code: 'timed-out' })
    await expect(anna.links.connect({ ...ben.code, keyHash: '00'.repeat(16) })).rejects.toMatchObject({ code: 'wrong-identity' })
    await expect(anna.links.connect({ ...ben.code, addresses: [] })).rejects.toMatchObject({ code: 'unreachable' })
    expect(anna.links.statuses()).toEqual([])
  })

  it('find each other again when the connection is lost, and after one of them was gone', async () => {
    const [anna, ben] = [open(1), open(2)]
    await anna.links.connect(ben.code)
    await ben.reaches(anna, 'connected')
    const before = anna.links.connection(ben.peerId)
    network.cut(anna.peerId, ben.peerId)
    await anna.until(() => anna.links.connection(ben.peerId) !== undefined && anna.links.connection(ben.peerId) !== before)
    network.crash(ben.host)
    await anna.until(() => anna.status(ben)?.state === 'offline' && anna.status(ben)?.lastError?.code === 'unreachable')
    const again = open(2, { policy: ben.policy })
    await again.reaches(anna, 'connected')
    await anna.reaches(ben, 'connected')
  })
})

describe('who is asked before a stranger comes in', () => {
  it('makes the stranger wait, and lets it in', async () => {
    const [anna, ben] = [open(1), open(2, { policy: { askBeforeAccepting: true } })]
    expect(await anna.links.connect(ben.code)).toEqual({ peerId: ben.peerId, state: 'waiting' })
    await ben.reaches(anna, 'asks')
    expect(anna.links.connection(ben.peerId)).toBeUndefined()
    expect(ben.links.connection(anna.peerId)).toBeUndefined()
    await expect(anna.links.ping(ben.peerId, { signal })).rejects.toMatchObject({ code: 'offline' })
    expect(anna.policy.peers).toEqual([])
    ben.links.answerPeer(anna.peerId, true)
    await anna.reaches(ben, 'connected')
    await anna.links.ping(ben.peerId, { signal })
  })

  it('turns it away, and is not asked again', async () => {
    const [anna, ben] = [open(1), open(2, { policy: { askBeforeAccepting: true } })]
    await anna.links.connect(ben.code)
    await ben.reaches(anna, 'asks')
    ben.links.answerPeer(anna.peerId, false)
    await anna.reaches(ben, undefined)
    expect(anna.events.at(-1)).toMatchObject({ type: 'peer', peer: { state: 'offline', lastError: { code: 'refused', message: 'the other person did not accept' } } })
    await expect(anna.links.connect(ben.code)).rejects.toMatchObject({ code: 'refused' })
    expect(ben.events.filter((event) => event.type === 'peer' && event.peer.state === 'asks')).toHaveLength(1)
    expect(() => ben.links.answerPeer(anna.peerId, true)).toThrow(expect.objectContaining({ code: 'not-found' }))
  })

  it('has said yes by connecting to the same peer', async () => {
    const [anna, ben] = [open(1), open(2, { policy: { askBeforeAccepting: true } })]
    await anna.links.connect(ben.code)
    await ben.reaches(anna, 'asks')
    expect(await ben.links.connect(anna.code)).toEqual({ peerId: anna.peerId, state: 'connected' })
    await anna.reaches(ben, 'connected')
  })

  it('goes on waiting over a lost connection', async () => {
    const [anna, ben] = [open(1), open(2, { policy: { askBeforeAccepting: true } })]
    await anna.links.connect(ben.code)
    await ben.reaches(anna, 'asks')
    network.cut(anna.peerId, ben.peerId)
    await ben.until(() => ben.events.filter((event) => event.type === 'peer' && event.peer.state === 'asks').length === 2)
    ben.links.answerPeer(anna.peerId, true)
    await anna.reaches(ben, 'connected')
  })

  it('shuts out who came with a code that is renewed meanwhile', async () => {
    const [anna, ben] = [open(1), open(2, { policy: { askBeforeAccepting: true } })]
    await anna.links.connect(ben.code)
    await ben.reaches(anna, 'asks')
    ben.setPolicy({ codeSecret: randomBytes(16).toString('hex') })
    await anna.reaches(ben, undefined)
    expect(ben.links.statuses()).toEqual([])
  })
})

describe('policy', () => {
  it('blocks a connected peer at once, and lets it back when it changes', async () => {
    const [anna, ben] = await connected()
    ben.changePeer(anna.peerId, { blocked: true })
    expect(ben.status(anna)?.state).toBe('blocked')
    await anna.until(() => anna.status(ben)?.lastError?.code === 'blocked')
    await expect(ben.links.connect(anna.code)).rejects.toMatchObject({ code: 'blocked' })
    expect(() => ben.links.reconnect(anna.peerId)).toThrow(expect.objectContaining({ code: 'blocked' }))
    ben.changePeer(anna.peerId, { blocked: false })
    await ben.reaches(anna, 'connected')
    await anna.reaches(ben, 'connected')
  })

  it('keeps away from a peer until it is wanted again', async () => {
    const [anna, ben] = await connected()
    anna.links.disconnect(ben.peerId)
    expect(anna.status(ben)?.state).toBe('away')
    await ben.until(() => ben.status(anna)?.lastError?.code === 'refused')
    expect(anna.status(ben)?.state).toBe('away')
    anna.links.reconnect(ben.peerId)
    await anna.reaches(ben, 'connected')
    anna.changePeer(ben.peerId, { wanted: false })
    expect(anna.status(ben)?.state).toBe('away')
    expect(await anna.links.connect(ben.code)).toEqual({ peerId: ben.peerId, state: 'connected' })
  })

  it('forgets a peer, which needs to be let in anew', async () => {
    const [anna, ben] = await connected()
    ben.setPolicy({ peers: [], askBeforeAccepting: true })
    expect(ben.links.statuses()).toEqual([])
    // It comes back by itself with the secret of a friend, and is asked about like anybody.
    await ben.reaches(anna, 'asks')
    await anna.reaches(ben, 'waiting')
  })

  it('keeps known peers when the code is renewed', async () => {
    const [anna, ben] = await connected()
    ben.setPolicy({ codeSecret: randomBytes(16).toString('hex') })
    await anna.links.ping(ben.peerId, { signal })
    network.cut(anna.peerId, ben.peerId)
    await anna.until(() => anna.status(ben)?.state !== 'connected')
    await anna.reaches(ben, 'connected')
  })
})

describe('closing', () => {
  it('says goodbye, ends what waits, and can be repeated', async () => {
    const [anna, ben] = [open(1), open(2)]
    await anna.links.connect(ben.code)
    const wish = anna.links.connect({ ...ben.code, keyHash: '00'.repeat(16) })
    anna.links.close()
    anna.links.close()
    await expect(wish).rejects.toMatchObject({ code: 'closed' })
    await expect(anna.links.connect(ben.code)).rejects.toMatchObject({ code: 'closed' })
    await ben.until(() => ben.status(anna)?.state !== 'connected')
    expect(ben.status(anna)?.lastError?.code).toBe('closed')
  })
})
