/**
 * Gives the machine that knows our own reach its eyes and hands: reads interfaces again and again, looks up servers, sends from the QUIC socket, samples
 * the NAT, runs port mapping. What all that means is decided in core.
 */
import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Endpoint, type NatKind, type NatPorts, formatEndpoint } from '@harddrive-party/protocol'
import { OwnAddresses as OwnAddressesMachine, type OwnAddressesInput } from '../../core/reach/own-addresses.ts'
import type { InterfaceAddress, OwnReach } from '../../core/reach/own-reach.ts'
import { STUN_TRANSACTION_ID_BYTES } from '../../core/reach/stun-message.ts'
import { type Driven, drive } from '../system/drive.ts'
import { type AddressFacts, NO_ADDRESS_FACTS, readAddressFacts, readInterfaces } from './interfaces.ts'
import { type SampleOptions, samplePorts } from './nat-sampler.ts'
import { type PortMapping, type PortMappingOptions, openPortMapping } from './port-mapping.ts'
import { MAX_STUN_SERVERS, type StunServer, resolveStunServer } from './stun-server.ts'

export interface OwnAddresses {
  readonly current: OwnReach
  /** A STUN datagram that arrived on the QUIC socket. */
  take(from: Endpoint, bytes: Uint8Array): void
  /** The machine slept: everything is looked at again now. */
  wake(): void
  /** Many packets were sent from new sockets, or to new places: what was known of the ports of our NAT may be stale. */
  portsUsed(): void
  /** Whether routers are asked for ports; off takes back what they gave. */
  setPortMapping(on: boolean): void
  /** Takes port mappings back, two seconds at most. Idempotent. */
  close(): Promise<void>
}

export interface OwnAddressesOptions {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /** Report loopback and ask nobody. */
  readonly loopbackOnly: boolean
  readonly servers: readonly StunServer[]
  /** Whether routers are asked for ports at first, and what that needs. */
  readonly portMapping: Pick<PortMappingOptions, 'secret' | 'of' | 'tcpPorts' | 'routers'> & { readonly on: boolean }
  /** Sends from the QUIC socket. */
  readonly send: (to: Endpoint, bytes: Uint8Array) => void
  /** Also once at the start, before `openOwnAddresses` returns. */
  readonly onChange: (reach: OwnReach) => void
  readonly readInterfaces?: (facts: AddressFacts) => readonly InterfaceAddress[]
  readonly readAddressFacts?: () => Promise<AddressFacts>
  readonly resolve?: (server: StunServer, family: 4 | 6, abort: { signal: AbortSignal }) => Promise<readonly Endpoint[]>
  readonly samplePorts?: (options: SampleOptions, abort: { signal: AbortSignal }) => ReturnType<typeof samplePorts>
}

/** Reading the interfaces costs a tenth of a millisecond; a laptop that changes networks should not wait. */
const INTERFACES_EVERY_MS = 2_000

/** What else can change without any address doing so (which one is preferred, deprecated): costs a few system calls. */
const FACTS_EVERY_MS = 30_000

/** Returns at once with what the interfaces say; everything else comes as changes. */
export function openOwnAddresses(options: OwnAddressesOptions): OwnAddresses {
  const { ports, loopbackOnly, send, onChange } = options
  const servers = new Map(loopbackOnly ? [] : options.servers.slice(0, MAX_STUN_SERVERS).map((server) => [serverName(server), server] as const))
  const resolve = options.resolve ?? resolveStunServer
  const read = loopbackOnly ? () => [] : (options.readInterfaces ?? readInterfaces)
  const readFacts = options.readAddressFacts ?? readAddressFacts
  const sample = options.samplePorts ?? samplePorts
  const ended = new AbortController()
  const { signal } = ended
  let facts = NO_ADDRESS_FACTS
  let factsAt = performance.now()
  let interfaces: readonly InterfaceAddress[] = []
  let current: OwnReach | undefined
  let mapping: PortMapping | null = null
  let wantsMapping = options.portMapping.on && !loopbackOnly
  let closing: Promise<void> | undefined

  const driven: Driven<OwnAddressesInput> = drive(new OwnAddressesMachine({
    ports, servers: [...servers.keys()],
    transactionId: () => randomBytes(STUN_TRANSACTION_ID_BYTES),
  }), (effect) => {
    switch (effect.type) {
      case 'send':
        send(effect.to, effect.bytes)
        break
      case 'resolve':
        void lookUp(effect.server, effect.family, effect.round)
        break
      case 'sample-ports':
        void sample({ servers: effect.servers }, { signal }).then((samples) => driven.input({ type: 'port-samples', round: effect.round, samples }))
        break
      case 'renew-mapping':
        mapping?.renew()
        break
      case 'reach':
        current = effect.reach
        onChange(current)
        break
    }
  })

  async function lookUp(name: string, family: 4 | 6, round: number): Promise<void> {
    const server = servers.get(name)
    // One address per server and family is enough; two would only be the same operator twice.
    const [endpoint] = server === undefined ? [] : await resolve(server, family, { signal })
    driven.input({ type: 'resolved', round, server: name, family, endpoint: endpoint ?? null })
  }

  function look(): void {
    const next = read(facts)
    const changed = !isDeepStrictEqual(next, interfaces)
    if (changed) apply(next)
    if (changed || performance.now() - factsAt > FACTS_EVERY_MS) void learnFacts()
  }

  function apply(next: readonly InterfaceAddress[]): void {
    interfaces = next
    driven.input({ type: 'interfaces', addresses: next })
  }

  async function learnFacts(): Promise<void> {
    if (loopbackOnly) return
    factsAt = performance.now()
    facts = await readFacts()
    if (signal.aborted) return
    const next = read(facts)
    if (!isDeepStrictEqual(next, interfaces)) apply(next)
    // Not before it is known which address faces the router.
    mapping?.setInterfaces(interfaces)
  }

  async function map(): Promise<void> {
    await knowing
    if (mapping !== null || !wantsMapping || signal.aborted) return
    mapping = openPortMapping({ ...options.portMapping, ports, onChange: (found) => driven.input({ type: 'mapping', mapping: found }) })
    mapping.setInterfaces(interfaces)
  }

  apply(read(facts))
  if (current === undefined) throw new Error('the first look at the interfaces says nothing')
  const first = current
  const timer = loopbackOnly ? undefined : setInterval(look, INTERFACES_EVERY_MS)
  // Which of our addresses faces the router is among the facts.
  const knowing = learnFacts()
  void map()
  return {
    get current() {
      return current ?? first
    },
    take: (from, bytes) => driven.input({ type: 'datagram', from, bytes }),
    wake: () => {
      if (loopbackOnly) return
      look()
      driven.input({ type: 'wake' })
    },
    portsUsed: () => driven.input({ type: 'ports-used' }),
    setPortMapping: (on) => {
      wantsMapping = on && !loopbackOnly
      if (wantsMapping) return void map()
      const before = mapping
      mapping = null
      void before?.close()
      driven.input({ type: 'mapping', mapping: null })
    },
    close: () => {
      ended.abort()
      clearInterval(timer)
      driven.close()
      return (closing ??= mapping?.close() ?? Promise.resolve())
    },
  }
}

function serverName({ host, port }: StunServer): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** For status: `host:port` of every candidate, and the one kind of NAT that matters most. */
export function summarizeReach({ candidates, nat, block, step, lastPort }: OwnReach): { addresses: readonly string[]; natKind: NatKind; nat?: NatPorts } {
  const ports = nat.v4 === 'block' && block !== undefined ? { block } : nat.v4 === 'counting' && step !== undefined && lastPort !== undefined ? { step, lastPort } : undefined
  return { addresses: candidates.map(({ endpoint }) => formatEndpoint(endpoint)), natKind: nat.v4 === 'unknown' ? nat.v6 : nat.v4, ...(ports && { nat: ports }) }
}
