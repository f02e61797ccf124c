/**
 * The three languages of a UPnP router (UDA 1.1, IGD:1 and :2): SSDP to find it, XML to read what it offers, SOAP to ask for it. Text only, read with
 * bounds and in one pass; nothing here resolves addresses or opens anything.
 */
import { type Result, refuse, succeed } from '@harddrive-party/protocol'

export const SSDP_GROUP = '239.255.255.250'
export const SSDP_PORT = 1900

/** Routers of version 2 must answer to version 1 too; not all do. */
export const SSDP_TARGETS = ['urn:schemas-upnp-org:device:InternetGatewayDevice:1', 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'] as const

/** Descriptions have 2 to 20 KB. */
export const MAX_UPNP_BYTES = 64 * 1024
const MAX_SSDP_BYTES = 2048
const MAX_LOCATION_LENGTH = 512
/** Services in one description: routers have about ten. */
const MAX_SERVICES = 64

export function encodeSsdpSearch(target: string): string {
  return ['M-SEARCH * HTTP/1.1', `HOST: ${SSDP_GROUP}:${SSDP_PORT}`, 'MAN: "ssdp:discover"', 'MX: 2', `ST: ${target}`, '', ''].join('\r\n')
}

/** @returns where the router's description is, as it says; to be checked before it is asked for */
export function decodeSsdpAnswer(text: string): Result<{ readonly location: string }> {
  if (text.length > MAX_SSDP_BYTES) return refuse('too-long', 'too long for SSDP')
  const [first = '', ...lines] = text.split(/\r?\n/)
  if (!/^HTTP\/1\.[01] 200\b/.test(first)) return refuse('unexpected-type', 'not an answer to a search')
  const headers = new Map(lines.map((line) => {
    const at = line.indexOf(':')
    return [line.slice(0, Math.max(0, at)).trim().toLowerCase(), line.slice(at + 1).trim()] as const
  }))
  const location = headers.get('location') ?? ''
  if (!(headers.get('st') ?? '').includes(':InternetGatewayDevice:')) return refuse('unexpected-type', 'not a router')
  if (!/^http:\/\//i.test(location) || location.length > MAX_LOCATION_LENGTH) return refuse('bad-location', 'no place to read more')
  return succeed({ location })
}

export interface UpnpService {
  readonly type: string
  /** As written: absolute, or relative to the description. */
  readonly controlUrl: string
}

/** What a router offers, as far as we can use it. */
export interface UpnpServices {
  /** Best first: version 2 knows how to choose a free port. */
  readonly connections: readonly UpnpService[]
  readonly firewall: UpnpService | null
}

const CONNECTIONS = ['urn:schemas-upnp-org:service:WANIPConnection:2', 'urn:schemas-upnp-org:service:WANIPConnection:1', 'urn:schemas-upnp-org:service:WANPPPConnection:1']
const FIREWALL = 'urn:schemas-upnp-org:service:WANIPv6FirewallControl:1'

export function parseUpnpDescription(xml: string): Result<UpnpServices> {
  if (xml.length > MAX_UPNP_BYTES) return refuse('too-long', 'too long for a description')
  const services: UpnpService[] = []
  let type = ''
  let controlUrl = ''
  for (const { tag, text } of readTags(xml)) {
    if (tag === 'serviceType') type = text
    else if (tag === 'controlURL') controlUrl = text
    else if (tag === '/service') {
      if (type !== '' && controlUrl !== '' && controlUrl.length <= MAX_LOCATION_LENGTH && services.length < MAX_SERVICES) services.push({ type, controlUrl })
      type = ''
      controlUrl = ''
    }
  }
  const connections = CONNECTIONS.flatMap((wanted) => services.filter((service) => service.type === wanted))
  const firewall = services.find((service) => service.type === FIREWALL) ?? null
  return connections.length === 0 && firewall === null ? refuse('no-service', 'not a router that opens ports') : succeed({ connections, firewall })
}

export type UpnpArguments = readonly (readonly [string, string | number])[]

/** @param args our own words and numbers, in the order that the service's description demands */
export function encodeSoap(serviceType: string, action: string, args: UpnpArguments): string {
  const fields = args.map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`).join('')
  return '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
    `s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${escapeXml(serviceType)}">${fields}</u:${action}></s:Body></s:Envelope>\r\n`
}

export interface UpnpAnswer {
  /** 0 = it was done; else UPnP's number, or -1 for a fault without one. */
  readonly error: number
  /** Values by the name of their argument, without name spaces. */
  readonly fields: Readonly<Record<string, string>>
}

/** Names of arguments that we read; nothing else is kept. */
const FIELDS = new Set(['NewExternalIPAddress', 'NewReservedPort', 'UniqueID'])

/** Answers and faults alike. */
export function decodeSoap(xml: string): Result<UpnpAnswer> {
  if (xml.length > MAX_UPNP_BYTES) return refuse('too-long', 'too long for an answer')
  const fields: Record<string, string> = {}
  let error = 0
  let isEnvelope = false
  for (const { tag, text } of readTags(xml)) {
    if (tag === 'Envelope') isEnvelope = true
    else if (tag === 'Fault' && error === 0) error = -1
    else if (tag === 'errorCode' && /^\d{1,5}$/.test(text)) error = Number(text)
    else if (FIELDS.has(tag) && text.length <= 64) fields[tag] = text
  }
  return isEnvelope ? succeed({ error, fields }) : refuse('unexpected-type', 'not SOAP')
}

/** Every tag (closing ones with `/`, name spaces and attributes left out) with the text right behind it. One pass, whatever is in there. */
function* readTags(xml: string): Generator<{ tag: string; text: string }> {
  for (let at = xml.indexOf('<'); at !== -1;) {
    const end = xml.indexOf('>', at)
    if (end === -1) return
    const next = xml.indexOf('<', end)
    const [name = ''] = xml.slice(at + 1, Math.min(end, at + 129)).split(/[\s>]/, 1)
    const closing = name.startsWith('/') ? '/' : ''
    yield { tag: closing + name.slice(Math.max(name.indexOf(':') + 1, closing.length)).replace(/\/$/, ''), text: xml.slice(end + 1, next === -1 ? xml.length : next).trim() }
    at = next
  }
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
