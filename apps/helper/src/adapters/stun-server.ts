/** Names of STUN servers: reads what a person wrote, and looks the names up. Speaks no STUN. */
import { lookup } from 'node:dns/promises'
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

/** Every address of a server in a family; none when the name does not resolve. Never rejects. */
export async function resolveStunServer({ host, port }: StunServer, family: 4 | 6): Promise<Endpoint[]> {
  const literal = isIP(host)
  if (literal !== 0) return literal === family ? [{ host, port }] : []
  try {
    const found = await lookup(host, { all: true, family })
    return found.map(({ address }) => ({ host: address, port }))
  } catch {
    return []
  }
}
