import type { Endpoint } from '@harddrive-party/protocol'

/** A NAT or a firewall without any network: a table of flows as Linux keeps it. Everything follows from what it is asked, and from `random`. */

export interface NatOptions {
  /** The outside address. Null: a firewall that translates nothing. */
  readonly host: string | null
  /** Whether one inside socket has one outside port for everybody. */
  readonly mapping: 'independent' | 'dependent'
  /** Who may send to an outside port: everybody, addresses sent to before, or exactly the endpoints sent to before. */
  readonly filtering: 'independent' | 'address' | 'port'
  /** How outside ports are chosen: the inside port if it is free; at random in a range; one after the other. */
  readonly ports: 'keep' | { readonly low: number; readonly high: number } | { readonly step: number; readonly from: number }
  /** Packets that belong to nobody inside are taken by the router itself, and their flow is remembered. */
  readonly accepts?: boolean
  readonly hairpin?: boolean
  readonly maxFlows?: number
  readonly timeoutMs?: number
  readonly random: () => number
}

interface Flow {
  /** Undefined: the router's own. */
  readonly inside: Endpoint | undefined
  readonly outside: Endpoint
  readonly remote: Endpoint
  lastAt: number
}

const LOW = 1024
const HIGH = 65_535

export class Nat {
  readonly options: NatOptions
  readonly #byInside = new Map<string, Flow>()
  readonly #byOutside = new Map<string, Flow>()
  /** Endpoint-independent mappings, both ways. */
  readonly #mapped = new Map<string, Endpoint>()
  readonly #owners = new Map<string, Endpoint>()
  readonly #redirects = new Map<number, Endpoint>()
  #counter: number
  /** Flows ever made, and those refused for want of room. */
  made = 0
  refused = 0

  constructor(options: NatOptions) {
    this.options = options
    this.#counter = typeof options.ports === 'object' && 'from' in options.ports ? options.ports.from : 0
  }

  /** Another flow of somebody else in the house. */
  disturb(): void {
    if (typeof this.options.ports === 'object' && 'step' in this.options.ports) this.#count(this.options.ports.step)
  }

  /** A port mapping (UPnP, PCP): inbound only, as miniupnpd does it. */
  redirect(port: number, inside: Endpoint): void {
    this.#redirects.set(port, inside)
  }

  /** @returns how the packet looks outside; undefined = there was no room */
  outbound(now: number, inside: Endpoint, remote: Endpoint): Endpoint | undefined {
    const key = pair(inside, remote)
    const known = this.#live(now, this.#byInside.get(key))
    if (known) {
      known.lastAt = now
      return known.outside
    }
    if (this.#isFull(now)) return undefined
    const outside = this.#allocate(now, inside, remote)
    if (outside === undefined) return undefined
    this.#add({ inside, outside, remote, lastAt: now })
    return outside
  }

  /** @returns which inside endpoint it is for; undefined = dropped, or taken by the router */
  inbound(now: number, remote: Endpoint, outside: Endpoint): Endpoint | undefined {
    const known = this.#live(now, this.#byOutside.get(pair(outside, remote)))
    if (known) {
      known.lastAt = now
      return known.inside
    }
    const owner = this.#redirects.get(outside.port) ?? this.#admitted(now, remote, outside)
    if (owner === undefined && this.options.accepts !== true) return undefined
    if (this.#isFull(now)) return undefined
    this.#add({ inside: owner, outside, remote, lastAt: now })
    return owner
  }

  get #timeout(): number {
    return this.options.timeoutMs ?? 30_000
  }

  #admitted(now: number, remote: Endpoint, outside: Endpoint): Endpoint | undefined {
    const { filtering, mapping } = this.options
    if (filtering === 'port' || mapping === 'dependent') return undefined
    const owner = this.options.host === null ? outside : this.#owners.get(text(outside))
    if (owner === undefined || filtering === 'independent') return owner
    for (const flow of this.#byInside.values()) {
      if (flow.inside && text(flow.inside) === text(owner) && flow.remote.host === remote.host && now - flow.lastAt < this.#timeout) return owner
    }
    return undefined
  }

  #allocate(now: number, inside: Endpoint, remote: Endpoint): Endpoint | undefined {
    const { host, mapping, ports } = this.options
    if (host === null) return inside
    if (mapping === 'independent') {
      const usual = this.#mapped.get(text(inside))
      if (usual !== undefined && this.#isFree(now, usual, remote)) return usual
      const wanted = { host, port: inside.port }
      const outside = ports === 'keep' && usual === undefined && this.#isFree(now, wanted, remote) && !this.#owners.has(text(wanted)) ? wanted : this.#draw(now, host, remote)
      if (outside !== undefined && usual === undefined) {
        this.#mapped.set(text(inside), outside)
        this.#owners.set(text(outside), inside)
      }
      return outside
    }
    return this.#draw(now, host, remote)
  }

  #draw(now: number, host: string, remote: Endpoint): Endpoint | undefined {
    const { ports, random } = this.options
    for (let tries = 0; tries < 200; tries++) {
      const [low, high] = typeof ports === 'object' && 'low' in ports ? [ports.low, ports.high] : [LOW, HIGH]
      const port = typeof ports === 'object' && 'step' in ports ? this.#count(ports.step) : low + Math.floor(random() * (high - low + 1))
      const outside = { host, port }
      if (this.#isFree(now, outside, remote)) return outside
    }
    return undefined
  }

  #count(step: number): number {
    const port = this.#counter
    this.#counter = LOW + ((port + step - LOW) % (HIGH - LOW + 1))
    return port
  }

  #isFree(now: number, outside: Endpoint, remote: Endpoint): boolean {
    return this.#live(now, this.#byOutside.get(pair(outside, remote))) === undefined
  }

  #isFull(now: number): boolean {
    const { maxFlows } = this.options
    if (maxFlows === undefined) return false
    if (this.#byOutside.size >= maxFlows) for (const flow of this.#byOutside.values()) this.#live(now, flow)
    if (this.#byOutside.size < maxFlows) return false
    this.refused++
    return true
  }

  #live(now: number, flow: Flow | undefined): Flow | undefined {
    if (flow === undefined || now - flow.lastAt < this.#timeout) return flow
    this.#byOutside.delete(pair(flow.outside, flow.remote))
    if (flow.inside) this.#byInside.delete(pair(flow.inside, flow.remote))
    return undefined
  }

  #add(flow: Flow): void {
    this.made++
    this.#byOutside.set(pair(flow.outside, flow.remote), flow)
    if (flow.inside) this.#byInside.set(pair(flow.inside, flow.remote), flow)
  }
}

function text({ host, port }: Endpoint): string {
  return `${host} ${port}`
}

function pair(a: Endpoint, b: Endpoint): string {
  return `${a.host} ${a.port} ${b.host} ${b.port}`
}
