/**
 * Keeps a port of ours open at a UPnP router (IGD:1 and :2), TCP beside UDP at the same number, and IPv6 addresses let through its firewall: asks one thing after the other, renews at
 * half life, takes everything back at the end. Speaks to nobody itself.
 */
import { type Endpoint, type Result, parseHost } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import { LEASE_SECONDS } from './port-lease.ts'
import type { PortProtocol } from './pcp-message.ts'
import type { UpnpAnswer, UpnpArguments, UpnpService, UpnpServices } from './upnp-message.ts'

export type UpnpLeaseInput =
  | { readonly type: 'tick' }
  /** The end of a search: what the router offers, or null when there is none. */
  | { readonly type: 'found'; readonly services: UpnpServices | null }
  /** The end of the call under way; a failure is silence, or what is no answer. */
  | { readonly type: 'answer'; readonly answer: Result<UpnpAnswer> }
  | { readonly type: 'renew' }
  | { readonly type: 'close' }

export type UpnpLeaseEffect =
  | { readonly type: 'find' }
  /** One at a time; `answer` follows, whatever happens. */
  | { readonly type: 'call'; readonly service: UpnpService; readonly action: string; readonly args: UpnpArguments }
  /** Everything that stands now; told when something has changed, and at the end of the first attempt. */
  | { readonly type: 'held'; readonly outside: Endpoint | null; readonly pinholes: readonly Endpoint[] }
  | { readonly type: 'closed' }

export interface UpnpLeaseOptions {
  /** Our IPv4 address towards the router; null where no mapping is wanted. */
  readonly client: string | null
  /** What `port` and `pinholes` are of. Default UDP. */
  readonly of?: PortProtocol
  readonly port: number
  /** Where we listen for TCP, to be had from outside at the number that `port` has there; null = nowhere. */
  readonly tcpPort?: number | null
  /** Our own IPv6 endpoints that a firewall should let through. */
  readonly pinholes: readonly Endpoint[]
  /** The port for TCP at the same addresses; null = none. */
  readonly tcpPinholePort?: number | null
  /** Uniform in [0, 1): for another port when ours is taken. */
  readonly random: () => number
}

/** UPnP's own numbers. */
const ONLY_PERMANENT = 725
const CONFLICT = 718
/** Ports tried when others have ours. */
const MAX_PORTS = 4
/** A router that is not there, or says no, is asked again this much later. */
const REST_MS = 15 * 60_000
/** Names us in the router's list. */
const DESCRIPTION = 'harddrive-party'

const PROTOCOL_NUMBERS: Readonly<Record<PortProtocol, number>> = { tcp: 6, udp: 17 }

interface Pinhole {
  readonly of: PortProtocol
  readonly endpoint: Endpoint
}

type Step = { readonly kind: 'address' | 'map' | 'unmap' | 'map-tcp' | 'unmap-tcp' } | ({ readonly kind: 'pinhole' | 'unpinhole' } & Pinhole)

export class UpnpLease implements Machine<UpnpLeaseInput, UpnpLeaseEffect> {
  readonly #options: UpnpLeaseOptions
  readonly #of: PortProtocol
  #services: UpnpServices | null = null
  #state: 'searching' | 'asking' | 'waiting' | 'closed' = 'waiting'
  #steps: Step[] = []
  #closing = false
  #due: number | undefined
  #lifetime = LEASE_SECONDS
  #wantedPort: number
  #ports = 0
  /** Of the attempt under way. */
  #address: string | null = null
  #held: { readonly outside: Endpoint; readonly service: UpnpService } | null = null
  /** TCP at the number that the main port has outside. */
  #tcp: { readonly port: number; readonly service: UpnpService } | null = null
  readonly #wishes: readonly Pinhole[]
  /** By `keyOf`. */
  readonly #pinholes = new Map<string, Pinhole & { readonly id: string }>()
  #told = ''

  constructor(now: number, options: UpnpLeaseOptions) {
    this.#options = options
    this.#of = options.of ?? 'udp'
    this.#wantedPort = options.port
    this.#wishes = options.pinholes.flatMap((endpoint): Pinhole[] => {
      const tcp = options.tcpPinholePort ?? null
      return [{ of: this.#of, endpoint }, ...(tcp === null ? [] : [{ of: 'tcp', endpoint: { host: endpoint.host, port: tcp } } as const])]
    })
    this.#due = now
  }

  get deadline(): number | undefined {
    return this.#state === 'waiting' ? this.#due : undefined
  }

  step(now: number, input: UpnpLeaseInput): UpnpLeaseEffect[] {
    const effects: UpnpLeaseEffect[] = []
    if (this.#state === 'closed') return effects
    if (input.type === 'close') this.#close(effects)
    else if (input.type === 'renew' && this.#state === 'waiting') this.#due = now
    else if (input.type === 'found' && this.#state === 'searching') this.#onFound(now, input.services, effects)
    else if (input.type === 'answer' && this.#state === 'asking') this.#onAnswer(now, input.answer, effects)
    if (this.#state === 'waiting' && this.#due !== undefined && this.#due <= now) {
      // Found anew each time: a router that has restarted may live at another port.
      this.#state = 'searching'
      effects.push({ type: 'find' })
    }
    return effects
  }

  #onFound(now: number, services: UpnpServices | null, effects: UpnpLeaseEffect[]): void {
    if (services === null) {
      this.#held = null
      this.#tcp = null
      this.#pinholes.clear()
      return this.#rest(now, REST_MS, effects)
    }
    this.#services = services
    this.#state = 'asking'
    this.#ports = 0
    this.#lifetime = LEASE_SECONDS
    this.#steps = [
      ...(this.#options.client !== null && services.connections.length > 0 ? [{ kind: 'address' } as const, { kind: 'map' } as const, { kind: 'map-tcp' } as const] : []),
      ...(services.firewall === null ? [] : this.#wishes.map((pinhole) => ({ kind: 'pinhole', ...pinhole }) as const)),
    ]
    this.#next(now, effects)
  }

  #next(now: number, effects: UpnpLeaseEffect[]): void {
    const [step] = this.#steps
    if (step !== undefined) {
      const call = this.#callOf(step)
      if (call !== null) {
        effects.push(call)
        return
      }
      this.#steps.shift()
      return this.#next(now, effects)
    }
    if (this.#closing) {
      this.#state = 'closed'
      effects.push({ type: 'closed' })
      return
    }
    const holdsAnything = this.#held !== null || this.#pinholes.size > 0
    this.#rest(now, holdsAnything ? (LEASE_SECONDS * 1000) / 2 : REST_MS, effects)
  }

  #callOf(step: Step): Extract<UpnpLeaseEffect, { type: 'call' }> | null {
    const [connection] = this.#services?.connections ?? []
    const firewall = this.#services?.firewall ?? null
    switch (step.kind) {
      case 'address':
        return connection === undefined ? null : { type: 'call', service: connection, action: 'GetExternalIPAddress', args: [] }
      case 'map': {
        const { client, port } = this.#options
        if (connection === undefined || client === null) return null
        return this.#mapCall(connection, this.#mapAction(connection), this.#of, this.#wantedPort, port, client)
      }
      case 'map-tcp': {
        const { client, tcpPort = null } = this.#options
        if (connection === undefined || client === null || tcpPort === null || this.#held === null) return null
        return this.#mapCall(connection, 'AddPortMapping', 'tcp', this.#held.outside.port, tcpPort, client)
      }
      case 'unmap':
        return this.#held === null ? null : unmapCall(this.#held.service, this.#of, this.#held.outside.port)
      case 'unmap-tcp':
        return this.#tcp === null ? null : unmapCall(this.#tcp.service, 'tcp', this.#tcp.port)
      case 'pinhole': {
        const { host, port } = step.endpoint
        const known = this.#pinholes.get(keyOf(step))
        if (firewall === null) return null
        if (known !== undefined) return { type: 'call', service: firewall, action: 'UpdatePinhole', args: [['UniqueID', known.id], ['NewLeaseTime', LEASE_SECONDS]] }
        return { type: 'call', service: firewall, action: 'AddPinhole', args: [
          ['RemoteHost', ''], ['RemotePort', 0], ['InternalClient', host], ['InternalPort', port], ['Protocol', PROTOCOL_NUMBERS[step.of]], ['LeaseTime', LEASE_SECONDS],
        ] }
      }
      case 'unpinhole': {
        const known = this.#pinholes.get(keyOf(step))
        return firewall === null || known === undefined ? null : { type: 'call', service: firewall, action: 'DeletePinhole', args: [['UniqueID', known.id]] }
      }
    }
  }

  #mapCall(service: UpnpService, action: string, of: PortProtocol, outside: number, inside: number, client: string): Extract<UpnpLeaseEffect, { type: 'call' }> {
    return { type: 'call', service, action, args: [
      ['NewRemoteHost', ''], ['NewExternalPort', outside], ['NewProtocol', of.toUpperCase()], ['NewInternalPort', inside], ['NewInternalClient', client],
      ['NewEnabled', 1], ['NewPortMappingDescription', DESCRIPTION], ['NewLeaseDuration', this.#lifetime],
    ] }
  }

  /** Only version 2 chooses another port by itself, and only the first time: what we hold is renewed as it is. */
  #mapAction({ type }: UpnpService): string {
    return type.endsWith('WANIPConnection:2') && this.#held === null && this.#ports === 0 ? 'AddAnyPortMapping' : 'AddPortMapping'
  }

  #onAnswer(now: number, answer: Result<UpnpAnswer>, effects: UpnpLeaseEffect[]): void {
    const [step] = this.#steps
    if (step === undefined) return
    const error = answer.ok ? answer.value.error : -1
    const fields = answer.ok ? answer.value.fields : {}
    switch (step.kind) {
      case 'address': {
        const host = parseHost(fields['NewExternalIPAddress'] ?? '')
        this.#address = host.ok && error === 0 ? host.value : null
        this.#steps.shift()
        // Without an outside address there is no connection on that side.
        if (this.#address === null) this.#dropMapping()
        break
      }
      case 'map':
        if (!this.#onMapAnswer(error, fields)) break
        this.#steps.shift()
        // What belongs to another number is of no use any more.
        if (this.#tcp !== null && this.#tcp.port !== this.#held?.outside.port) this.#steps.unshift({ kind: 'unmap-tcp' })
        break
      case 'map-tcp':
        // Somebody else's, or a router that does not want: then there is UDP.
        this.#tcp = error === 0 && this.#held !== null ? { port: this.#held.outside.port, service: this.#held.service } : null
        this.#steps.shift()
        break
      case 'unmap-tcp':
        this.#tcp = null
        this.#steps.shift()
        break
      case 'pinhole': {
        const key = keyOf(step)
        const wasKnown = this.#pinholes.has(key)
        if (error !== 0) this.#pinholes.delete(key)
        else if (!wasKnown && /^\d{1,5}$/.test(fields['UniqueID'] ?? '')) this.#pinholes.set(key, { of: step.of, endpoint: step.endpoint, id: fields['UniqueID'] ?? '' })
        // One that could not be prolonged is gone: once more, as a new one.
        if (error === 0 || !wasKnown) this.#steps.shift()
        break
      }
      case 'unmap':
        this.#held = null
        this.#steps.shift()
        break
      case 'unpinhole':
        this.#pinholes.delete(keyOf(step))
        this.#steps.shift()
        break
    }
    this.#next(now, effects)
  }

  /** @returns whether the step is over */
  #onMapAnswer(error: number, fields: Readonly<Record<string, string>>): boolean {
    const [service] = this.#services?.connections ?? []
    if (error === 0 && service !== undefined && this.#address !== null) {
      const reserved = Number(fields['NewReservedPort'] ?? this.#wantedPort)
      const port = Number.isInteger(reserved) && reserved > 0 && reserved <= 65_535 ? reserved : this.#wantedPort
      this.#held = { outside: { host: this.#address, port }, service }
      this.#wantedPort = port
      return true
    }
    this.#held = null
    if (this.#closing || error === -1) return true
    if (error === ONLY_PERMANENT && this.#lifetime !== 0) {
      this.#lifetime = 0
      return false
    }
    this.#ports++
    if (this.#ports >= MAX_PORTS) return true
    // The first refusal may be of the call that only version 2 knows: the same port once more in the old way.
    if (error === CONFLICT || this.#ports > 1) this.#wantedPort = 1024 + Math.floor(this.#options.random() * (65_536 - 1024))
    return false
  }

  #dropMapping(): void {
    this.#held = null
    this.#tcp = null
    this.#steps = this.#steps.filter(({ kind }) => kind !== 'map' && kind !== 'map-tcp')
  }

  #rest(now: number, ms: number, effects: UpnpLeaseEffect[]): void {
    this.#state = 'waiting'
    this.#due = now + ms
    const held: UpnpLeaseEffect = { type: 'held', outside: this.#held?.outside ?? null, pinholes: [...this.#pinholes.values()].filter(({ of }) => of === this.#of).map(({ endpoint }) => endpoint) }
    const text = JSON.stringify(held)
    if (text === this.#told) return
    this.#told = text
    effects.push(held)
  }

  #close(effects: UpnpLeaseEffect[]): void {
    if (this.#closing) return
    this.#closing = true
    const isCalling = this.#state === 'asking' && this.#steps.length > 0
    const [current] = this.#steps
    // A call under way may still succeed, and is then taken back like the rest.
    this.#steps = [
      ...(isCalling && current !== undefined ? [current] : []),
      { kind: 'unmap-tcp' },
      { kind: 'unmap' },
      ...this.#wishes.map((pinhole) => ({ kind: 'unpinhole', ...pinhole }) as const),
    ]
    if (isCalling) return
    this.#state = 'asking'
    this.#next(0, effects)
  }
}

function unmapCall(service: UpnpService, of: PortProtocol, port: number): Extract<UpnpLeaseEffect, { type: 'call' }> {
  return { type: 'call', service, action: 'DeletePortMapping', args: [['NewRemoteHost', ''], ['NewExternalPort', port], ['NewProtocol', of.toUpperCase()]] }
}

function keyOf({ of, endpoint }: Pinhole): string {
  return `${of} ${endpoint.host}`
}
