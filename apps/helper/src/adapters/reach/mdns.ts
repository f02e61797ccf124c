/**
 * Speaks multicast DNS on every interface, in both families, beside whatever else uses port 5353 on this machine. What is said and what follows from
 * what is heard is decided in core/reach/lan-link.ts.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { addressScope } from '@harddrive-party/protocol'
import type openMulticastDns from 'multicast-dns'
import type { MulticastDns, Packet } from 'multicast-dns'
import { type LanEffect, type LanInput, LanLink } from '../../core/reach/lan-link.ts'
import { type DnsRecord, type LanService, type LanSighting, type LanSubnet, isNear } from '../../core/reach/lan-records.ts'
import { type Driven, drive } from '../system/drive.ts'

/** One interface in one family. */
export interface LanInterface {
  /** As the system writes it after a `%`. */
  readonly zone: string
  readonly family: 4 | 6
  /** What the socket is told to send and listen on. */
  readonly address: string
  /** Without those of link-local addresses, which mean nothing without a zone. */
  readonly subnets: readonly LanSubnet[]
  /** What others on it may connect to, in both families. */
  readonly hosts: readonly string[]
}

export interface MdnsOptions {
  readonly service: Omit<LanService, 'hosts'>
  /** Once for each packet, also when nothing is new. */
  readonly onSighting: (sighting: LanSighting) => void
  /** Something was said under the name of a topic. */
  readonly onTopic: (name: string, bytes: Uint8Array) => void
  /** An interface has become usable: what was said before was not heard there. */
  readonly onLinkUp: () => void
  readonly log: (message: string, details?: object) => void
  readonly readInterfaces?: () => readonly LanInterface[]
  readonly port?: number
}

export interface Mdns {
  /** Says something under the name of a topic, everywhere. */
  publish(name: string, bytes: Uint8Array): void
  /** Interfaces may have changed. */
  refresh(): void
  /** Says goodbye. Idempotent. */
  close(): Promise<void>
}

const MDNS_PORT = 5353
const GROUPS = { 4: '224.0.0.251', 6: 'ff02::fb' } as const
/** A multicast DNS message has at most this size, including headers (RFC 6762, section 17). */
const MAX_PACKET_BYTES = 9_000
/** Packets of one interface that are looked at: more than a busy office sends, little enough to cost nothing. The rest is dropped unread. */
const PACKETS_PER_SECOND = 100
const PACKET_BURST = 200
/** Sockets; machines with more interfaces have them for containers. */
const MAX_LINKS = 16
/** Interfaces come and go without a sound. */
const REFRESH_MS = 5_000
/** Names of interfaces that lead to containers and machines inside this one. */
const INNER = /^(docker|br-[0-9a-f]{8}|veth|virbr|cni|flannel|cali|podman)/

interface OpenLink {
  say(input: LanInput): void
  goodbye(): Promise<void>
}

/** Returns at once; interfaces that cannot be used are passed over, and tried again. */
export function openMdns(options: MdnsOptions): Mdns {
  const { log } = options
  const read = options.readInterfaces ?? readLanInterfaces
  const links = new Map<string, OpenLink>()
  const library = import('multicast-dns')
  let closing: Promise<void> | undefined

  async function refresh(): Promise<void> {
    const { default: multicastDns } = await library
    if (closing !== undefined) return
    const wanted = new Map(read().slice(0, MAX_LINKS).map((found) => [JSON.stringify(found), found]))
    for (const [key, link] of links) {
      if (wanted.has(key)) continue
      links.delete(key)
      void link.goodbye()
    }
    for (const [key, found] of wanted) {
      if (!links.has(key)) links.set(key, openLink(found, multicastDns, () => links.delete(key)))
    }
  }

  function openLink(at: LanInterface, multicastDns: typeof openMulticastDns, onFailed: () => void): OpenLink {
    const type = at.family === 4 ? 'udp4' : 'udp6'
    const port = options.port ?? MDNS_PORT
    const socket = createSocket({ type, reuseAddr: true })
    filterPackets(socket, at, port)
    const mdns = multicastDns({ socket, type, port, ip: GROUPS[at.family], interface: at.address, bind: at.family === 4 ? '0.0.0.0' : '::' })
    const driven: Driven<LanInput> = drive(new LanLink({ subnets: at.subnets, random: Math.random }), (effect) => perform(mdns, effect))
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      driven.close()
      mdns.destroy()
    }
    mdns.on('error', (error) => {
      log('cannot speak multicast DNS', { interface: at.address, error: error.message })
      end()
      onFailed()
    })
    mdns.on('warning', (error) => log('a multicast DNS packet made no sense', { interface: at.address, error: error.message }))
    mdns.on('query', (packet) => driven.input({ type: 'query', questions: packet.questions, known: packet.answers }))
    mdns.on('response', (packet: Packet, from) => {
      driven.input({ type: 'response', records: [...packet.answers, ...packet.additionals], source: withoutZone(from.address) })
    })
    mdns.on('ready', () => {
      if (ended) return
      driven.input({ type: 'service', service: { ...options.service, hosts: at.hosts } })
      options.onLinkUp()
    })
    return {
      say: driven.input,
      goodbye: async () => {
        if (ended) return
        driven.input({ type: 'goodbye' })
        // The datagram leaves in a later turn; a socket that is closed before takes it along.
        await new Promise((resolve) => setImmediate(resolve))
        end()
      },
    }
  }

  function sent(error?: Error | null): void {
    if (error != null) log('a multicast DNS packet could not be sent', { error: error.message })
  }

  function perform(mdns: MulticastDns, effect: LanEffect): void {
    switch (effect.type) {
      case 'query': return mdns.query({ questions: effect.questions.map((question) => ({ ...question, class: 'IN' })), answers: effect.known.map(asLibraryRecord) }, sent)
      case 'respond': return mdns.respond({ answers: effect.answers.map(asLibraryRecord), additionals: effect.additionals.map(asLibraryRecord) }, sent)
      case 'sighted': return options.onSighting(effect.sighting)
      case 'topic': return options.onTopic(effect.name, effect.bytes)
    }
  }

  const update = (): void => void refresh().catch((error: unknown) => log('cannot speak multicast DNS', { error: String(error) }))
  const timer = setInterval(update, REFRESH_MS)
  update()

  async function close(): Promise<void> {
    clearInterval(timer)
    await Promise.all([...links.values()].map((link) => link.goodbye()))
    links.clear()
  }
  return {
    publish: (name, bytes) => {
      for (const link of links.values()) link.say({ type: 'topic', name, bytes })
    },
    refresh: update,
    close: () => (closing ??= close()),
  }
}

/**
 * Before the library sees a packet: every socket hears all interfaces, programs elsewhere than on port 5353 want answers that are not for everybody, and
 * what is too much is dropped unread.
 */
function filterPackets(socket: Socket, at: LanInterface, port: number): void {
  let tokens = PACKET_BURST
  let filledAt = performance.now()
  const isWelcome = (bytes: Buffer, from: RemoteInfo): boolean => {
    if (from.port !== port || bytes.length > MAX_PACKET_BYTES || !isHere(from.address, at)) return false
    const now = performance.now()
    tokens = Math.min(PACKET_BURST, tokens + ((now - filledAt) * PACKETS_PER_SECOND) / 1000)
    filledAt = now
    if (tokens < 1) return false
    tokens--
    return true
  }
  const emit = socket.emit.bind(socket) as (event: string, ...args: unknown[]) => boolean
  socket.emit = (event: string, ...args: unknown[]) => {
    if (event === 'message' && !isWelcome(args[0] as Buffer, args[1] as RemoteInfo)) return false
    return emit(event, ...args)
  }
}

/** IPv6 senders of multicast name the interface; IPv4 ones are on one of its networks. */
function isHere(address: string, { zone, subnets }: LanInterface): boolean {
  const at = address.indexOf('%')
  if (at !== -1) return address.slice(at + 1) === zone
  return isNear(address, subnets)
}

/** The library takes no other bytes than Node's own. */
function asLibraryRecord(record: DnsRecord): DnsRecord {
  return Array.isArray(record.data) ? { ...record, data: record.data.map((part: Uint8Array) => Buffer.from(part)) } : record
}

function withoutZone(address: string): string {
  return address.split('%', 1)[0] ?? ''
}

/** Interfaces on which others may be found. Costs a tenth of a millisecond. */
export function readLanInterfaces(): LanInterface[] {
  const found: LanInterface[] = []
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (INNER.test(name)) continue
    const outer = addresses.filter(({ internal }) => !internal)
    const lasting = outer.filter(({ address }) => addressScope(address) !== 'link-local')
    const hosts = lasting.map(({ address }) => address)
    const subnetsOf = (family: 'IPv4' | 'IPv6') => lasting.filter((one) => one.family === family).map(({ address, cidr }) => ({ host: address, prefix: prefixOf(cidr, family) }))
    const v4 = lasting.find(({ family }) => family === 'IPv4')
    if (v4 !== undefined) found.push({ zone: name, family: 4, address: v4.address, subnets: subnetsOf('IPv4'), hosts })
    const v6 = outer.find(({ family }) => family === 'IPv6')
    if (v6 === undefined) continue
    const zone = process.platform === 'win32' && v6.family === 'IPv6' ? String(v6.scopeid) : name
    found.push({ zone, family: 6, address: `::%${zone}`, subnets: subnetsOf('IPv6'), hosts })
  }
  return found
}

/** Without a network mask, nobody is near. */
function prefixOf(cidr: string | null, family: 'IPv4' | 'IPv6'): number {
  return Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128))
}
