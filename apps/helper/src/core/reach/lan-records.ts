import {
  type Endpoint, LAN_SERVICE, LAN_TOPIC_SUFFIX, type PeerId, TOPIC_ANNOUNCEMENT_BYTES, decodeLanAnnouncement, encodeHost, encodeLanAnnouncement, joinTxt,
  parseHost, splitTxt, utf8Length, wellFormed,
} from '@harddrive-party/protocol'

/**
 * The DNS records by which helpers are found on the local network (RFC 6762, RFC 6763): makes ours, and reads those of others, which may say anything.
 * Decides neither when something is sent nor what follows from what was read.
 */

export type DnsType = 'PTR' | 'SRV' | 'TXT' | 'A' | 'AAAA'

export interface DnsQuestion {
  readonly name: string
  readonly type: string
}

/** A record as the library takes it and gives it; of others, nothing about `data` is certain. */
export interface DnsRecord {
  readonly name: string
  readonly type: string
  readonly ttl: number
  readonly class?: 'IN'
  /** Only we have records of this name and type: others drop what they remember. */
  readonly flush?: boolean
  readonly data: unknown
}

export interface LanService {
  readonly peerId: PeerId
  readonly knockSecret: Uint8Array
  /** A name for people; it need not be unique. */
  readonly label: string
  readonly port: number
  /** IP literals of the interface. */
  readonly hosts: readonly string[]
}

/** One of the networks that an interface is on. */
export interface LanSubnet {
  readonly host: string
  /** Bits that all addresses of the network have in common. */
  readonly prefix: number
}

/** Somebody who announces itself there. */
export interface LanSighting {
  readonly peerId: PeerId
  readonly knockSecret: Uint8Array
  /** On the network on which it was heard; at most MAX_SIGHTING_ADDRESSES, may be empty. */
  readonly endpoints: readonly Endpoint[]
  /** Seconds, at most RECORD_TTL_S; 0 = it says goodbye. */
  readonly ttl: number
}

export interface LanResponse {
  readonly sightings: readonly LanSighting[]
  /** Instances that were named and not described. */
  readonly undescribed: readonly string[]
  readonly topics: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

/** Seconds for which others remember us: who goes without goodbye is forgotten then. */
export const RECORD_TTL_S = 120
/** Topic announcements are to be heard, not remembered. */
export const TOPIC_TTL_S = 1
export const SERVICES_NAME = '_services._dns-sd._udp.local'
/** Records of one packet that are looked at. */
export const MAX_LAN_RECORDS = 128
/** A host has one address per family and network, and maybe some more. */
export const MAX_SIGHTING_ADDRESSES = 4
/** Instances and announcements of one packet that are followed up. */
const MAX_PER_PACKET = 16
/** RFC 1035, section 2.3.4. */
const MAX_LABEL_BYTES = 63
/** What is left of a label beside the fingerprint. */
const MAX_LABEL_LENGTH = 40
const RENDEZVOUS_NAME = /^[0-9a-f]{32}$/

/** `judicial-cheetah-0123456789abcdef._hdp._udp.local`: 64 bits of the key make it unique, so it needs no probing. */
export function instanceName({ label, peerId }: Pick<LanService, 'label' | 'peerId'>): string {
  const words = label.toLowerCase().replace(/[^a-z0-9]+/g, '-').slice(0, MAX_LABEL_LENGTH)
  return `${words}-${peerId.slice(0, 16)}.${LAN_SERVICE}`
}

/** Not the machine's own name, which is Avahi's or Bonjour's to answer for. */
export function hostName({ peerId }: Pick<LanService, 'peerId'>): string {
  return `hdp-${peerId.slice(0, 16)}.local`
}

/** Everything that we have to say: the pointer, then the description. */
export function ownRecords(service: LanService, ttl = RECORD_TTL_S): { readonly pointer: DnsRecord; readonly enumeration: DnsRecord; readonly description: DnsRecord[] } {
  const instance = instanceName(service)
  const host = hostName(service)
  return {
    pointer: { name: LAN_SERVICE, type: 'PTR', class: 'IN', ttl, data: instance },
    enumeration: { name: SERVICES_NAME, type: 'PTR', class: 'IN', ttl, data: LAN_SERVICE },
    description: [
      { name: instance, type: 'SRV', class: 'IN', ttl, flush: true, data: { port: service.port, target: host, priority: 0, weight: 0 } },
      { name: instance, type: 'TXT', class: 'IN', ttl, flush: true, data: encodeLanAnnouncement(service) },
      ...service.hosts.map((data) => ({ name: host, type: data.includes(':') ? 'AAAA' : 'A', class: 'IN', ttl, flush: true, data }) as const),
    ],
  }
}

/** @param name the rendezvous name */
export function topicRecord(name: string, bytes: Uint8Array): DnsRecord {
  return { name: `${name}.${LAN_TOPIC_SUFFIX}`, type: 'TXT', class: 'IN', ttl: TOPIC_TTL_S, data: splitTxt(bytes) }
}

/**
 * Makes sense of a response, or of as much of it as makes sense.
 * @param source whom the packet came from, without a zone
 * @param subnets of the interface on which it was heard: addresses elsewhere are passed over, so that nobody can send us against others
 */
export function readLanResponse(records: readonly DnsRecord[], source: string, subnets: readonly LanSubnet[]): LanResponse {
  const known = usableRecords(records)
  const of = (type: DnsType) => known.filter((record) => record.type === type)
  const hosts = new Map<string, string[]>()
  for (const { name, data } of [...of('A'), ...of('AAAA')]) {
    const host = typeof data === 'string' ? parseHost(data) : undefined
    if (host?.ok && isNear(host.value, subnets)) push(hosts, name.toLowerCase(), host.value)
  }
  const texts = new Map(of('TXT').map((record) => [record.name.toLowerCase(), record]))
  const described = new Set<string>()
  const sightings: LanSighting[] = []
  for (const { name, data, ttl } of of('SRV').slice(0, MAX_PER_PACKET)) {
    const instance = name.toLowerCase()
    const target = readTarget(data)
    const text = texts.get(instance)
    if (!instance.endsWith(`.${LAN_SERVICE}`) || target === undefined || text === undefined) continue
    const announcement = decodeLanAnnouncement(stringsOf(text.data))
    if (!announcement.ok) continue
    described.add(instance)
    const own = isNear(source, subnets) ? [source] : []
    const addresses = [...new Set([...own, ...(hosts.get(target.host) ?? [])])].slice(0, MAX_SIGHTING_ADDRESSES)
    const endpoints = addresses.map((host) => ({ host, port: target.port }))
    sightings.push({ ...announcement.value, endpoints, ttl: Math.min(ttl, text.ttl, RECORD_TTL_S) })
  }
  const named = known.flatMap((record) => (record.ttl > 0 ? (pointedInstance(record) ?? []) : []))
  const undescribed = [...new Set(named)].filter((instance) => !described.has(instance)).slice(0, MAX_PER_PACKET)
  return { sightings, undescribed, topics: of('TXT').slice(0, MAX_PER_PACKET).flatMap(readTopic) }
}

/** The instance of our service that a record points to, in lower case; undefined for any other record, and for names that could not be sent on. */
export function pointedInstance({ name, type, data }: DnsRecord): string | undefined {
  if (type !== 'PTR' || typeof data !== 'string' || name.toLowerCase() !== LAN_SERVICE) return undefined
  const instance = data.toLowerCase()
  const label = instance.slice(0, -LAN_SERVICE.length - 1)
  const isInstance = instance.endsWith(`.${LAN_SERVICE}`) && label !== '' && !label.includes('.') && utf8Length(wellFormed(label)) <= MAX_LABEL_BYTES
  return isInstance ? instance : undefined
}

function readTopic({ name, data }: DnsRecord): LanResponse['topics'] {
  const suffix = `.${LAN_TOPIC_SUFFIX}`
  const rendezvous = name.slice(0, -suffix.length)
  if (!name.toLowerCase().endsWith(suffix) || !RENDEZVOUS_NAME.test(rendezvous)) return []
  const bytes = joinTxt(stringsOf(data), TOPIC_ANNOUNCEMENT_BYTES)
  return bytes === undefined ? [] : [{ name: rendezvous, bytes }]
}

/** Whether an address belongs to one of the networks of an interface. */
export function isNear(host: string, subnets: readonly LanSubnet[]): boolean {
  return subnets.some((subnet) => isOnSubnet(host, subnet))
}

function isOnSubnet(host: string, subnet: LanSubnet): boolean {
  if (host.includes(':') !== subnet.host.includes(':')) return false
  const parsed = parseHost(host)
  if (!parsed.ok) return false
  const [ours, theirs] = [encodeHost(subnet.host), encodeHost(parsed.value)]
  for (let bit = 0; bit < subnet.prefix; bit++) {
    const mask = 0x80 >> (bit & 7)
    if (((ours[bit >> 3] ?? 0) & mask) !== ((theirs[bit >> 3] ?? 0) & mask)) return false
  }
  return true
}

/** As many records of a stranger's packet as are looked at, without those that the library could not make sense of. */
export function usableRecords(records: readonly DnsRecord[]): DnsRecord[] {
  return records.slice(0, MAX_LAN_RECORDS).filter((record) => typeof record === 'object' && record !== null
    && typeof record.name === 'string' && typeof record.type === 'string' && Number.isFinite(record.ttl) && record.ttl >= 0)
}

function readTarget(data: unknown): { readonly host: string; readonly port: number } | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const { target, port } = data as { target?: unknown; port?: unknown }
  if (typeof target !== 'string' || typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) return undefined
  return { host: target.toLowerCase(), port }
}

/** A TXT record comes as one byte string or as several. */
function stringsOf(data: unknown): Uint8Array[] {
  return (Array.isArray(data) ? data : [data]).filter((part) => part instanceof Uint8Array)
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
