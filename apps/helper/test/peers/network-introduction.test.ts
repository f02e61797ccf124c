import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keyHashOf, parseEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, PeerId } from '@harddrive-party/protocol'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openNetwork } from '../../src/network/network.ts'
import type { Network } from '../../src/network/network.ts'
import type { KnownPeer, NetworkEvent, Policy } from '../../src/network/network-api.ts'
import { person } from '../support/peer-records.ts'

/** Three whole network sides over real QUIC on loopback: two that have lost each other and share a friend. */

let directory: string
const sides: Side[] = []
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'network-'))))
afterEach(async () => {
  for (const { network } of sides.splice(0)) await network?.close()
  await rm(directory, { recursive: true, force: true })
})

class Side {
  readonly peerId: PeerId
  readonly events: NetworkEvent[] = []
  readonly policy: Policy
  network: Network | undefined
  readonly #seed: Uint8Array
  readonly #waiting = new Set<() => void>()

  constructor(number: number) {
    this.#seed = person(number).seed
    this.peerId = person(number).peerId
    this.policy = { codeSecret: randomBytes(16).toString('hex'), knownSecret: randomBytes(16).toString('hex'), askBeforeAccepting: false, peers: [] }
    sides.push(this)
  }

  async open(): Promise<Network> {
    const base = join(directory, this.peerId)
    await mkdir(base)
    this.network = await openNetwork({
      config: {
        identitySeed: Buffer.from(this.#seed).toString('hex'), udpPort: 0, loopbackOnly: true, stunServers: [], indexDirectory: join(base, 'index'),
        downloadDirectory: base, shares: [], policy: this.policy, uiOrigins: [], verbose: false, mdns: false, mqttBrokers: [], topics: [], portMapping: false, passMeOn: true, introductions: true,
      },
      emit: (event) => {
        this.events.push(event)
        for (const wake of this.#waiting) wake()
        this.#waiting.clear()
      },
      log: silent,
    })
    return this.network
  }

  get endpoint(): Endpoint {
    const addresses = this.events.flatMap((event) => (event.type === 'addresses' ? event.addresses : []))
    const endpoint = parseEndpoint(addresses[0] ?? '')
    if (!endpoint.ok) throw new Error(endpoint.error.message)
    return endpoint.value
  }

  async until(holds: (event: NetworkEvent) => boolean): Promise<void> {
    while (!this.events.some(holds)) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async connected({ peerId }: Side): Promise<void> {
    await this.until((event) => event.type === 'peer' && event.peer.peerId === peerId && event.peer.state === 'connected')
  }

  /** Where another was reached. */
  worked({ peerId }: Side): string[] {
    return this.events.flatMap((event) => (event.type === 'peer-known' && event.peerId === peerId ? (event.worked ?? []) : []))
  }

  /** As somebody who knows it, but has lost it. */
  lost(): KnownPeer {
    return { peerId: this.peerId, blocked: false, wanted: true, addresses: [], knockSecret: this.policy.knownSecret }
  }
}

it('friends who know no address of each other meet through what a third one tells', async () => {
  const [ann, bob, cid] = [new Side(1), new Side(2), new Side(3)]
  for (const side of [ann, bob, cid]) await side.open()
  await bob.until(({ type }) => type === 'addresses')
  const code = { keyHash: Buffer.from(keyHashOf(bob.peerId)).toString('hex'), knockSecret: bob.policy.codeSecret, addresses: [bob.endpoint] }
  for (const [side, other] of [[ann, cid], [cid, ann]] as const) {
    await side.network?.connect(code)
    const friend: KnownPeer = { ...bob.lost(), addresses: [`127.0.0.1:${bob.endpoint.port}`] }
    await side.network?.setPolicy({ ...side.policy, peers: [friend, other.lost()] })
  }
  // Control would tell the network of whom it remembers.
  for (const side of [ann, cid]) await bob.until((event) => event.type === 'peer-known' && event.peerId === side.peerId)
  await bob.network?.setPolicy({ ...bob.policy, peers: [ann, cid].map((side) => side.lost()) })
  await ann.connected(cid)
  await cid.connected(ann)
  // And each has the other's record to remember, by Bob or by itself.
  const isRecordOf = ({ peerId }: Side) => (event: NetworkEvent): boolean => event.type === 'peer-record' && event.peerId === peerId
  await Promise.all([cid.until(isRecordOf(ann)), ann.until(isRecordOf(cid))])
  expect(cid.worked(ann).length + ann.worked(cid).length).toBeGreaterThan(0)
})
