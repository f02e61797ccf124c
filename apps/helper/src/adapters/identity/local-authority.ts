/**
 * The helper's own certificate authority, which phones in the house are told to trust, and the certificates it gives out. It can vouch for names and
 * addresses of local networks only: a thief of its key gains no website. Decides nothing about who is served.
 */
import { type KeyObject, X509Certificate, createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import { CodedError, encodeHost } from '@harddrive-party/protocol'
import * as v from 'valibot'
import { bits, integer, octets, oid, pem, sequence, set, time, tlv, utf8, yes } from './der.ts'
import { readPrivateFile, writePrivateFile } from './private-file.ts'

export interface LocalAuthority {
  /** As phones list it. */
  readonly name: string
  readonly certificatePem: string
  readonly certificateDer: Uint8Array
  /** SHA-256, as phones show it. */
  readonly fingerprint: string
  /** Of the names, those that the authority may vouch for; the others would make the whole certificate worthless. */
  issue(wanted: { readonly names: readonly string[]; readonly addresses: readonly string[] }): ServerCertificate
}

export interface ServerCertificate {
  readonly certificatePem: string
  readonly keyPem: string
  /** Names and addresses in it, lower case; a name may begin with `*.` where somebody else has made the certificate. */
  readonly names: readonly string[]
  readonly addresses: readonly string[]
  readonly expiresAt: number
}

const DAY_MS = 24 * 60 * 60 * 1000
/** Trusting it is work for a person on every phone: once should be enough. */
const AUTHORITY_YEARS = 10
/** Renewed long before; a copy of an old key is soon worth nothing. */
const CERTIFICATE_DAYS = 30
/** Clocks of phones may be behind ours. */
const CLOCK_SLACK_MS = DAY_MS
/** Domains that are local by convention or by standard (RFC 6762, RFC 8375), besides the machine's own name. */
const LOCAL_DOMAINS = ['local', 'localhost', 'lan', 'home', 'home.arpa', 'internal']
/** Address and mask: RFC 1918, RFC 6598 (also used by private overlays), link-local and loopback; RFC 4193 and the like. */
const LOCAL_NETWORKS = [
  ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['100.64.0.0', 10], ['169.254.0.0', 16], ['127.0.0.0', 8], ['fc00::', 7], ['fe80::', 10], ['::1', 128],
] as const

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))
const KEPT = v.object({ version: v.literal(1), keyPem: v.string(), certificatePem: v.string(), host: v.string(), name: v.string() })

/**
 * Opens the authority of this storage, or makes one.
 * @param host the machine's own name, or empty
 * @throws CodedError `disk-error`
 */
export async function openLocalAuthority(options: { storage: string; host: string; owner: string; now: () => number }): Promise<LocalAuthority> {
  const file = join(options.storage, 'local-authority.json')
  const text = await readPrivateFile(file)
  const kept = text === undefined ? await make(file, options) : parse(file, text)
  const key = createPrivateKey(kept.keyPem)
  const certificate = new X509Certificate(kept.certificatePem)
  const domains = domainsOf(kept.host)
  return {
    name: kept.name,
    certificatePem: kept.certificatePem,
    certificateDer: new Uint8Array(certificate.raw),
    fingerprint: fingerprintOf(certificate.raw),
    issue: ({ names, addresses }) => {
      const allowed = names.map((name) => name.toLowerCase()).filter((name) => domains.some((domain) => name === domain || name.endsWith(`.${domain}`)))
      const expiresAt = options.now() + CERTIFICATE_DAYS * DAY_MS
      const made = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
      const der = certify({
        issuer: nameOf(kept.name), subject: nameOf('harddrive-party helper'), publicKey: made.publicKey, signer: key, issuerKey: certificate.publicKey,
        from: options.now() - CLOCK_SLACK_MS, to: expiresAt,
        extensions: [
          extension('2.5.29.19', true, sequence()),
          extension('2.5.29.15', true, bits(Uint8Array.of(0x80), 7)), // digitalSignature
          extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))), // serverAuth
          extension('2.5.29.17', false, sequence(...allowed.map((name) => tlv(0x82, Buffer.from(name, 'latin1'))), ...addresses.map((address) => tlv(0x87, encodeHost(address))))),
        ],
      })
      return { certificatePem: pem('CERTIFICATE', der), keyPem: pkcs8(made.privateKey), names: allowed, addresses, expiresAt }
    },
  }
}

/** SHA-256 as 32 pairs of hexadecimal digits. */
export function fingerprintOf(der: Uint8Array): string {
  return (createHash('sha256').update(der).digest('hex').toUpperCase().match(/../g) ?? []).join(':')
}

function parse(file: string, text: string): v.InferOutput<typeof KEPT> {
  try {
    const kept = v.parse(KEPT, JSON.parse(text))
    if (!new X509Certificate(kept.certificatePem).checkPrivateKey(createPrivateKey(kept.keyPem))) throw new TypeError('the key is of another certificate')
    return kept
  } catch (cause) {
    throw new CodedError('disk-error', `the file ${file} is damaged; remove it and a new authority will be made, which phones have to trust anew`, { cause })
  }
}

async function make(file: string, options: { host: string; owner: string; now: () => number }): Promise<v.InferOutput<typeof KEPT>> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const name = `harddrive-party of ${options.owner}`.slice(0, 64)
  const from = options.now() - CLOCK_SLACK_MS
  const der = certify({
    issuer: nameOf(name), subject: nameOf(name), publicKey, signer: privateKey, issuerKey: publicKey, from, to: from + AUTHORITY_YEARS * 365 * DAY_MS,
    extensions: [
      extension('2.5.29.19', true, sequence(yes, integer(Uint8Array.of(0)))), // an authority, with none below it
      extension('2.5.29.15', true, bits(Uint8Array.of(0x06), 1)), // keyCertSign, cRLSign
      extension('2.5.29.30', true, sequence(tlv(0xa0, ...domainsOf(options.host).map((domain) => sequence(tlv(0x82, Buffer.from(domain, 'latin1')))), ...LOCAL_NETWORKS.map(([network, length]) => sequence(tlv(0x87, encodeHost(network), maskOf(length, isIPv4(network) ? 4 : 16))))))),
    ],
  })
  const kept = { version: 1 as const, keyPem: pkcs8(privateKey), certificatePem: pem('CERTIFICATE', der), host: options.host, name }
  await writePrivateFile(file, `${JSON.stringify(kept)}\n`)
  return kept
}

function domainsOf(host: string): readonly string[] {
  return host === '' ? LOCAL_DOMAINS : [...LOCAL_DOMAINS, host]
}

function maskOf(length: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff)
}

interface Statement {
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly publicKey: KeyObject
  readonly issuerKey: KeyObject
  readonly signer: KeyObject
  readonly from: number
  readonly to: number
  readonly extensions: readonly Uint8Array[]
}

/** RFC 5280. @returns the certificate in DER */
function certify({ issuer, subject, publicKey, issuerKey, signer, from, to, extensions }: Statement): Uint8Array {
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  const keyIds = [extension('2.5.29.14', false, octets(keyIdOf(publicKey))), extension('2.5.29.35', false, sequence(tlv(0x80, keyIdOf(issuerKey))))]
  const body = sequence(
    tlv(0xa0, integer(Uint8Array.of(2))), integer(serial), ECDSA_SHA256, issuer, sequence(time(from), time(to)), subject, spkiOf(publicKey),
    tlv(0xa3, sequence(...extensions, ...keyIds)),
  )
  return sequence(body, ECDSA_SHA256, bits(sign('sha256', body, signer)))
}

function extension(id: string, critical: boolean, content: Uint8Array): Uint8Array {
  return critical ? sequence(oid(id), yes, octets(content)) : sequence(oid(id), octets(content))
}

function nameOf(commonName: string): Uint8Array {
  return sequence(set(sequence(oid('2.5.4.3'), utf8(commonName))))
}

function spkiOf(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'spki' })
}

/** RFC 7093 method 1, in short: any function of the key will do. */
function keyIdOf(key: KeyObject): Uint8Array {
  return createHash('sha256').update(spkiOf(key)).digest().subarray(0, 20)
}

function pkcs8(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}
