/**
 * Asks the routers of the present network to let packets for our ports in, those of UDP and then TCP at the same numbers: PCP or NAT-PMP first, UPnP where those do nothing, firewall openings for
 * our IPv6 addresses in the same ways. Starts over on another network, takes everything back at the end. Never waited for.
 */
import { createHmac } from 'node:crypto'
import { type Endpoint, addressScope } from '@harddrive-party/protocol'
import type { MappingFacts } from '../../core/reach/own-addresses.ts'
import type { InterfaceAddress } from '../../core/reach/own-reach.ts'
import { PCP_NONCE_BYTES, type PortProtocol } from '../../core/reach/pcp-message.ts'
import { type Gateway, findGateways } from './gateway.ts'
import { type PcpClient, hearAnnouncements } from './pcp-client.ts'
import { openPcpPair } from './pcp-pair.ts'
import type { UpnpSearch } from './upnp-client.ts'
import { type UpnpMapping, openUpnpMapping } from './upnp-mapping.ts'

export interface PortMapping {
  /** What our interfaces are now; the same again changes nothing. */
  setInterfaces(interfaces: readonly InterfaceAddress[]): void
  /** The router may have started anew. */
  renew(): void
  /** Takes all mappings back, two seconds at most. Idempotent. */
  close(): Promise<void>
}

interface Ports {
  readonly v4: number | null
  readonly v6: number | null
}

export interface PortMappingOptions {
  readonly ports: Ports
  /** What `ports` are of; default UDP. */
  readonly of?: PortProtocol
  /** Where we listen for TCP beside that. A router that opens the main port is asked to open the same number outside for this. */
  readonly tcpPorts?: Ports | null
  /** From which the nonces are made: the same ones after a restart, so that a router takes us for who we were. */
  readonly secret: Uint8Array
  readonly onChange: (mapping: MappingFacts) => void
  readonly random?: () => number
  /** Instead of the routers of this network: for tests. */
  readonly routers?: { readonly gateways: readonly Gateway[]; readonly pcpPort: number; readonly ssdp: UpnpSearch['to']; readonly upnpAfterMs: number }
}

/** PCP answers within milliseconds where it exists; UPnP means a search by multicast, so it comes second. */
const UPNP_AFTER_MS = 400
/** Temporary addresses come and go; the one we send with and a lasting one are enough. */
const MAX_PINHOLES = 2

/** What one network can be asked for. */
interface Wish {
  /** Our IPv4 address behind the router; null where it is public already. */
  readonly v4: string | null
  readonly v6: readonly string[]
}

/** Does nothing before the first `setInterfaces`. */
export function openPortMapping(options: PortMappingOptions): PortMapping {
  let site: Site | null = null
  let wished = ''
  let closing: Promise<void> | undefined
  return {
    setInterfaces: (interfaces) => {
      if (closing !== undefined) return
      const wish = wishOf(interfaces, options.ports)
      const text = JSON.stringify(wish)
      if (text === wished) return
      wished = text
      site?.leave(new Set([...(wish.v4 === null ? [] : [wish.v4]), ...wish.v6]))
      site = openSite(wish, interfaces, options)
    },
    renew: () => site?.renew(),
    close: () => (closing ??= site?.close() ?? Promise.resolve()),
  }
}

export function wishOf(interfaces: readonly InterfaceAddress[], ports: PortMappingOptions['ports']): Wish {
  const real = interfaces.filter(({ virtual }) => !virtual).toSorted((a, b) => Number(b.preferred) - Number(a.preferred) || Number(a.temporary) - Number(b.temporary))
  const v4 = real.find(({ family }) => family === 4)
  const v6 = real.filter(({ family, host }) => family === 6 && isInternet(host))
  return {
    v4: v4 === undefined || ports.v4 === null || isInternet(v4.host) ? null : v4.host,
    v6: ports.v6 === null ? [] : v6.slice(0, MAX_PINHOLES).map(({ host }) => host),
  }
}

function isInternet(host: string): boolean {
  const scope = addressScope(host)
  return scope === 'public' || scope === 'reserved'
}

function nonceOf(secret: Uint8Array, what: string): Uint8Array {
  return createHmac('sha256', secret).update(`pcp nonce ${what}`).digest().subarray(0, PCP_NONCE_BYTES)
}

interface Site {
  renew(): void
  close(): Promise<void>
  /** Takes back what was given to addresses that are not wanted any more; the rest is the next site's. */
  leave(kept: ReadonlySet<string>): void
}

/** Everything on one network. */
function openSite(wish: Wish, interfaces: readonly InterfaceAddress[], options: PortMappingOptions): Site {
  const { ports, of = 'udp', tcpPorts = null, secret, onChange, routers } = options
  const clients = new Map<string, PcpClient>()
  let upnp: UpnpMapping | null = null
  let upnpIsDone = false
  let gateways: readonly Gateway[] = []
  let stopHearing: (() => void) | undefined
  let isOver = false
  let told = ''
  const later = setTimeout(beginUpnp, routers?.upnpAfterMs ?? UPNP_AFTER_MS)
  const begun = begin()
  tell()

  async function begin(): Promise<void> {
    gateways = routers?.gateways ?? (await findGateways(interfaces))
    if (isOver) return
    await Promise.all([...(wish.v4 === null ? [] : [wish.v4]), ...wish.v6].map(async (client) => {
      const family = client.includes(':') ? 6 : 4
      const gateway = gateways.find((candidate) => candidate.family === family)
      const port = family === 4 ? ports.v4 : ports.v6
      if (gateway === undefined || port === null) return
      const tcpPort = family === 4 ? tcpPorts?.v4 : tcpPorts?.v6
      const opened = await openPcpPair({
        gateway: gateway.host, client, of, port, nonce: nonceOf(secret, `${client} ${port}`),
        beside: tcpPort == null ? null : { port: tcpPort, nonce: nonceOf(secret, `tcp ${client} ${tcpPort}`) },
        ...(routers === undefined ? {} : { gatewayPort: routers.pcpPort }),
        onChange: (outcome) => {
          if (outcome === 'none' && client === wish.v4) beginUpnp()
          tell()
        },
        onUnreachable: () => {
          if (client === wish.v4) beginUpnp()
        },
      })
      if (opened === null) return
      if (isOver) opened.abandon()
      else clients.set(client, opened)
    }))
    if (isOver || wish.v4 === null) return
    if (!clients.has(wish.v4)) beginUpnp()
    if (routers !== undefined) return
    stopHearing = hearAnnouncements([wish.v4], (from, bytes) => {
      if (gateways.some(({ host }) => host === from)) for (const client of clients.values()) client.take(bytes)
    })
  }

  /** For whatever PCP has not got by now. */
  function beginUpnp(): void {
    clearTimeout(later)
    if (isOver || upnp !== null || upnpIsDone) return
    const client = wish.v4 !== null && clients.get(wish.v4)?.held == null ? wish.v4 : null
    const pinholes = ports.v6 === null ? [] : wish.v6.filter((host) => clients.get(host)?.held == null).map((host) => ({ host, port: ports.v6 ?? 0 }))
    // The router is searched over IPv4, also for the sake of IPv6: that is where all of them listen.
    if (wish.v4 === null || ports.v4 === null || (client === null && pinholes.length === 0)) {
      upnpIsDone = true
      return tell()
    }
    upnp = openUpnpMapping({
      client, of, port: ports.v4, tcpPort: tcpPorts?.v4 ?? null, pinholes, tcpPinholePort: tcpPorts?.v6 ?? null,
      random: options.random ?? Math.random,
      search: { address: wish.v4, ...(routers?.ssdp === undefined ? {} : { to: routers.ssdp }) },
      onChange: () => {
        upnpIsDone = true
        tell()
      },
    })
  }

  function facts(): MappingFacts {
    const held = wish.v4 === null ? null : (clients.get(wish.v4)?.held ?? null)
    const viaUpnp = upnp?.held.outside ?? null
    const pinholes: Endpoint[] = wish.v6.flatMap((host) => (clients.get(host)?.held == null ? [] : [{ host, port: ports.v6 ?? 0 }]))
    for (const endpoint of upnp?.held.pinholes ?? []) if (!pinholes.some(({ host }) => host === endpoint.host)) pinholes.push(endpoint)
    const outside = held?.outside ?? viaUpnp
    const protocol = held?.protocol ?? (viaUpnp !== null || (upnp?.held.pinholes.length ?? 0) > 0 ? 'upnp' : pinholes.length > 0 ? 'pcp' : null)
    const state = outside !== null || pinholes.length > 0 ? 'mapped' : upnpIsDone ? 'none' : 'searching'
    return { state, protocol, outside, pinholes }
  }

  function tell(): void {
    if (isOver) return
    const mapping = facts()
    const text = JSON.stringify(mapping)
    if (text === told) return
    told = text
    onChange(mapping)
  }

  function end(): void {
    isOver = true
    clearTimeout(later)
    stopHearing?.()
  }

  return {
    renew: () => {
      for (const client of clients.values()) client.renew()
      upnp?.renew()
    },
    close: async () => {
      end()
      await begun
      await Promise.all([...[...clients.values()].map((client) => client.close()), upnp?.close()])
    },
    leave: (kept) => {
      end()
      // Where the address is gone, this fails in silence, and the lease runs out.
      for (const [address, client] of clients) {
        if (kept.has(address)) client.abandon()
        else void client.close()
      }
      if (wish.v4 !== null && kept.has(wish.v4)) upnp?.abandon()
      else void upnp?.close()
    },
  }
}
