/** Names of STUN servers: reads what a person wrote, and looks the names up. Speaks no STUN. */
import { Resolver, lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Endpoint, type Result, refuse, succeed } from '@harddrive-party/protocol'

export interface StunServer {
  /** A name or an address. */
  readonly host: string
  readonly port: number
}

/** Run by different operators, so that no single one going away (or lying) decides. They learn our address and nothing else. */
export const DEFAULT_STUN_SERVERS = ['stun.cloudflare.com:3478', 'stun.l.google.com:19302', 'stun.nextcloud.com:3478'] as const

const DEFAULT_PORT = 3478

/** Asking more brings nothing, and each is asked at every change of network. */
export const MAX_STUN_SERVERS = 8

/** @param text `host`, `host:port`, `address:port` or `[v6]:port`, with or without `stun:` in front */
export function parseStunServer(text: string): Result<StunServer> {
  const bare = text.trim().replace(/^stun:/i, '')
  const bracketed = /^\[([0-9a-f:.]+)\](?::(\d{1,5}))?$/i.exec(bare)
  const plain = /^([^\s:[\]/@]{1,253})(?::(\d{1,5}))?$/.exec(bare)
  const host = bracketed?.[1] ?? plain?.[1]
  if (host === undefined || (bracketed !== null && isIP(host) !== 6)) return refuse('bad-stun-server', `"${text}" is not a STUN server; write host:port`)
  const port = Number(bracketed?.[2] ?? plain?.[2] ?? DEFAULT_PORT)
  if (port < 1 || port > 65_535) return refuse('bad-stun-server', `${port} is not a port`)
  return succeed({ host, port })
}

/** Every address of a server in a family; none when the name does not resolve. Never rejects. Names are looked up once for both families. */
export async function resolveStunServer({ host, port }: StunServer, family: 4 | 6, { signal, find = findAddresses }: { signal: AbortSignal; find?: FindAddresses }): Promise<Endpoint[]> {
  const literal = isIP(host)
  if (literal !== 0) return literal === family ? [{ host, port }] : []
  let asked = underWay.get(host)
  if (asked === undefined) {
    asked = find(host, { signal }).catch(() => []).finally(() => underWay.delete(host))
    underWay.set(host, asked)
  }
  return (await asked).flatMap((address) => (address.family === family ? [{ host: address.address, port }] : []))
}

export type FindAddresses = (host: string, options: { signal: AbortSignal }) => Promise<readonly { readonly address: string; readonly family: number }[]>

const underWay = new Map<string, ReturnType<FindAddresses>>()

/** One try of a look-up; there are two. */
const DNS_TIMEOUT_MS = 2_000

/**
 * Asks name servers itself first: the system's own look-up cannot be called off, and each occupies a thread that files need too, for many seconds where
 * there is no network. That one is only asked what they do not know: it also reads the hosts file.
 */
async function findAddresses(host: string, { signal }: { signal: AbortSignal }): ReturnType<FindAddresses> {
  // A new one each time: it reads the system's list of servers once, and networks change.
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 2 })
  const cancel = (): void => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  const [v4, v6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  signal.removeEventListener('abort', cancel)
  const found = [
    ...(v4.status === 'fulfilled' ? v4.value.map((address) => ({ address, family: 4 })) : []),
    ...(v6.status === 'fulfilled' ? v6.value.map((address) => ({ address, family: 6 })) : []),
  ]
  const isSilent = [v4, v6].some((result) => result.status === 'rejected' && /TIMEOUT|CANCELLED/.test(String(result.reason)))
  return found.length > 0 || isSilent || signal.aborted ? found : lookup(host, { all: true })
}
