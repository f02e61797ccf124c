/**
 * Knows where this machine can be reached: its interfaces, and how STUN servers see the very socket that QUIC uses. Reads interfaces again and again,
 * asks again when they change. What the answers mean is decided in core.
 */
import { randomBytes } from 'node:crypto'
import { type Endpoint, type NatKind, formatEndpoint } from '@harddrive-party/protocol'
import { type MappingSample, classifyNat, sameEndpoint } from '../core/nat-kind.ts'
import { STUN_TRANSACTION_ID_BYTES } from '../core/stun-message.ts'
import { type StunEffect, type StunInput, StunProbe } from '../core/stun-probe.ts'
import { type Driven, drive } from './drive.ts'
import { type InterfaceAddress, readInterfaces } from './interfaces.ts'
import { MAX_STUN_SERVERS, type StunServer, resolveStunServer } from './stun-server.ts'

export interface OwnAddresses {
  readonly current: OwnAddressesReport
  /** A STUN datagram that arrived on the QUIC socket. */
  take(from: Endpoint, bytes: Uint8Array): void
  /** Idempotent. */
  close(): void
}

export interface OwnAddressesReport {
  /** `host:port`, best first. */
  readonly addresses: readonly string[]
  readonly natKind: NatKind
}

export interface OwnAddressesOptions {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /** Report loopback and ask nobody. */
  readonly loopbackOnly: boolean
  readonly servers: readonly StunServer[]
  /** Sends from the QUIC socket. */
  readonly send: (to: Endpoint, bytes: Uint8Array) => void
  /** Also once at the start, before this function returns. */
  readonly onChange: (report: OwnAddressesReport) => void
  readonly readInterfaces?: () => readonly InterfaceAddress[]
  readonly resolve?: (server: StunServer, family: 4 | 6) => Promise<readonly Endpoint[]>
}

/** Reading the interfaces costs a tenth of a millisecond; a laptop that changes networks should not wait long. */
const INTERFACES_EVERY_MS = 5_000

/** Asks one server anew: keeps the mapping of our port alive (routers forget after 30 s), and shows when it has changed. */
const KEEP_ALIVE_MS = 20_000

/** Addresses told to others; the message that carries them allows no more. */
const MAX_ADDRESSES = 16

/** Returns at once with what the interfaces say; answers of servers come as changes. */
export function openOwnAddresses(options: OwnAddressesOptions): OwnAddresses {
  const { ports, loopbackOnly, send, onChange } = options
  const servers = loopbackOnly ? [] : options.servers.slice(0, MAX_STUN_SERVERS)
  const resolve = options.resolve ?? resolveStunServer
  const read = options.readInterfaces ?? readInterfaces
  let interfaces = loopbackOnly ? [] : read()
  let samples: readonly MappingSample[] = []
  /** One per running probe; several only while the network changes. */
  const probes = new Set<Driven<StunInput>>()
  let generation = 0
  let turn = 0
  let closed = false
  let current = report()
  onChange(current)

  function report(): OwnAddressesReport {
    const own = interfaces.flatMap(({ host, family }) => {
      const port = family === 4 ? ports.v4 : ports.v6
      return port === null ? [] : [{ host, port }]
    })
    const mapped = samples.map((sample) => sample.mapped)
    const v4 = samples.filter((sample) => !sample.server.host.includes(':'))
    const endpoints = [...own.filter(isIPv4), ...mapped.filter(isIPv4), ...mapped, ...own]
    if (endpoints.length === 0) {
      if (ports.v4 !== null) endpoints.push({ host: '127.0.0.1', port: ports.v4 })
      if (ports.v6 !== null) endpoints.push({ host: '::1', port: ports.v6 })
    }
    return { addresses: [...new Set(endpoints.map(formatEndpoint))].slice(0, MAX_ADDRESSES), natKind: classifyNat(v4.length > 0 ? v4 : samples, own) }
  }

  function refresh(): void {
    const next = report()
    if (closed || JSON.stringify(next) === JSON.stringify(current)) return
    current = next
    onChange(current)
  }

  /** Asks every server in every family that we listen on. */
  async function measure(): Promise<void> {
    const mine = ++generation
    const families = ([4, 6] as const).filter((family) => (family === 4 ? ports.v4 : ports.v6) !== null)
    const found = await Promise.all(servers.flatMap((server) => families.map((family) => resolve(server, family))))
    if (closed || mine !== generation) return
    // One address per server and family is enough; two would only be the same operator twice.
    const targets = found.flatMap((endpoints) => endpoints.slice(0, 1))
    const answered: MappingSample[] = []
    probe(targets, (sample) => {
      if (mine !== generation) return
      answered.push(sample)
      // The old answers stand until the first new one; a lost network is told by the interfaces.
      samples = [...answered]
      refresh()
    }, (all) => {
      if (mine !== generation) return
      samples = all
      refresh()
    })
  }

  function probe(targets: readonly Endpoint[], onSample: (sample: MappingSample) => void, onDone: (samples: readonly MappingSample[]) => void): void {
    const questions = targets.map((server) => ({ server, transactionId: randomBytes(STUN_TRANSACTION_ID_BYTES) }))
    const driven: Driven<StunInput> = drive(new StunProbe(performance.now(), questions), (effect: StunEffect) => {
      if (effect.type === 'send') send(effect.to, effect.bytes)
      else if (effect.type === 'sample') onSample(effect.sample)
      else {
        probes.delete(driven)
        onDone(effect.samples)
      }
    })
    probes.add(driven)
  }

  function keepAlive(): void {
    const known = samples[turn++ % Math.max(1, samples.length)]
    if (known === undefined) return
    probe([known.server], ({ mapped }) => {
      if (!sameEndpoint(mapped, known.mapped)) void measure()
    }, () => {})
  }

  function look(): void {
    const next = read()
    if (JSON.stringify(next) === JSON.stringify(interfaces)) return
    interfaces = [...next]
    samples = []
    refresh()
    if (servers.length > 0) void measure()
  }

  const timers: NodeJS.Timeout[] = []
  if (!loopbackOnly) timers.push(setInterval(look, INTERFACES_EVERY_MS))
  if (servers.length > 0) {
    timers.push(setInterval(keepAlive, KEEP_ALIVE_MS))
    void measure()
  }
  return {
    get current() {
      return current
    },
    take: (from, bytes) => {
      for (const driven of probes) driven.input({ type: 'datagram', from, bytes })
    },
    close: () => {
      closed = true
      for (const timer of timers) clearInterval(timer)
      for (const driven of probes) driven.close()
      probes.clear()
    },
  }
}

function isIPv4({ host }: Endpoint): boolean {
  return !host.includes(':')
}
