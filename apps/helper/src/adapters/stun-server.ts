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

/**
 * Every address of a server in a family; none when the name does not resolve. Never rejects. Names are looked up once for both families, and two at a
 * time: the system's look-ups occupy threads that files need too, each for many seconds where there is no network.
 */
export async function resolveStunServer({ host, port }: StunServer, family: 4 | 6, find: FindAddresses = systemLookup): Promise<Endpoint[]> {
  const literal = isIP(host)
  if (literal !== 0) return literal === family ? [{ host, port }] : []
  const found = await lookUpOnce(host, find)
  return found.flatMap((address) => (address.family === family ? [{ host: address.address, port }] : []))
}

export type FindAddresses = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>

const MAX_LOOKUPS = 2
const underWay = new Map<string, ReturnType<FindAddresses>>()
const waiting: (() => void)[] = []
let running = 0

function systemLookup(host: string): ReturnType<FindAddresses> {
  return lookup(host, { all: true })
}

function lookUpOnce(host: string, find: FindAddresses): ReturnType<FindAddresses> {
  const known = underWay.get(host)
  if (known !== undefined) return known
  const asked = inTurn(() => find(host)).catch(() => []).finally(() => underWay.delete(host))
  underWay.set(host, asked)
  return asked
}

async function inTurn<T>(act: () => Promise<T>): Promise<T> {
  if (running >= MAX_LOOKUPS) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    return await act()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}
