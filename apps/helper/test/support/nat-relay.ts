/**
 * NATs on loopback, for tests of the adapters: every public port of a site is a real socket. What a helper sends to it is taken as if it came through
 * the helper's own NAT, and reaches the one behind the port only if that one's NAT lets it in.
 */
import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '@harddrive-party/protocol'

/** `consistent`: one public port for each socket. `block`: another one for each destination, at random within a range. Both let in whom they have sent to. */
export type RelayKind = 'consistent' | 'block'

interface Mapping {
  readonly site: Site
  readonly inside: Endpoint
  readonly socket: Socket
  readonly outside: Endpoint
  /** Of whom packets may come in: outside endpoints that the inside has sent to. */
  readonly letsIn: Set<string>
}

interface Site {
  readonly kind: RelayKind
  /** Its public address: one of 127/8. */
  readonly host: string
  readonly range: { readonly low: number; readonly high: number } | null
  /** Whose ports towards others, though not towards servers, lie beside the range: nobody finds them by searching it. */
  readonly hides: (inside: Endpoint) => boolean
  readonly mappings: Map<string, Promise<Mapping>>
}

/** As the destination of a mapping. */
const SERVER = 'a server'

const text = ({ host, port }: Endpoint): string => `${host}:${port}`

export class NatRelay {
  readonly #sites = new Map<string, Site>()
  /** Which site an inside socket belongs to, by its host. */
  readonly #byOutside = new Map<string, Mapping>()
  readonly #sockets: Socket[] = []
  #closed = false
  /** Datagrams that arrived at a public port, and those that its NAT let in. */
  readonly counts = { arrived: 0, passed: 0 }

  /** @param owns whether an inside endpoint belongs to this site */
  addSite(name: string, site: { readonly kind: RelayKind; readonly host: string; readonly range?: { readonly low: number; readonly high: number }; readonly hides?: (inside: Endpoint) => boolean }, owns: (from: Endpoint) => boolean): void {
    this.#sites.set(name, { kind: site.kind, host: site.host, range: site.range ?? null, hides: site.hides ?? (() => false), mappings: new Map() })
    this.#owners.push({ name, owns })
  }

  readonly #owners: { readonly name: string; readonly owns: (from: Endpoint) => boolean }[] = []

  /** How servers see an inside socket. */
  async outsideOf(name: string, inside: Endpoint): Promise<Endpoint> {
    const site = this.#sites.get(name)
    if (!site) throw new Error(name)
    return (await this.#mapping(site, inside, SERVER)).outside
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#sockets.map((socket) => new Promise<void>((resolve) => socket.close(resolve))))
  }

  #mapping(site: Site, inside: Endpoint, towards: string): Promise<Mapping> {
    const key = site.kind === 'consistent' ? text(inside) : `${text(inside)} ${towards}`
    const known = site.mappings.get(key)
    if (known) return known
    const opening = this.#open(site, inside, towards !== SERVER && site.hides(inside))
    site.mappings.set(key, opening)
    return opening
  }

  async #open(site: Site, inside: Endpoint, hidden: boolean): Promise<Mapping> {
    for (;;) {
      const port = site.range === null ? 0 : (hidden ? site.range.high + 1 : site.range.low) + Math.floor(Math.random() * (site.range.high - site.range.low + 1))
      const socket = await bound(site.host, port)
      if (socket === null) continue
      this.#sockets.push(socket)
      const mapping: Mapping = { site, inside, socket, outside: { host: site.host, port: socket.address().port }, letsIn: new Set() }
      this.#byOutside.set(text(mapping.outside), mapping)
      socket.on('message', (bytes, { address, port: from }) => void this.#arrived(mapping, bytes, { host: address, port: from }))
      return mapping
    }
  }

  /** Somebody inside of another site has sent to this public port. */
  async #arrived(to: Mapping, bytes: Buffer, from: Endpoint): Promise<void> {
    this.counts.arrived++
    const owner = this.#owners.find(({ owns }) => owns(from))
    const site = owner && this.#sites.get(owner.name)
    if (!site || this.#closed) return
    const source = await this.#mapping(site, from, text(to.outside))
    source.letsIn.add(text(to.outside))
    if (!to.letsIn.has(text(source.outside)) || this.#closed) return
    this.counts.passed++
    source.socket.send(bytes, to.inside.port, to.inside.host)
  }
}

function bound(address: string, port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    socket.once('error', () => {
      socket.close()
      resolve(null)
    })
    socket.bind({ address, port, exclusive: true }, () => {
      socket.setRecvBufferSize(1024 * 1024)
      resolve(socket)
    })
  })
}
