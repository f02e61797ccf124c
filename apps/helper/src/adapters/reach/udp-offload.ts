/**
 * Lets the Linux kernel cut one large send into packets (UDP_SEGMENT) and hand over several received ones at once (UDP_GRO): at full speed most of
 * the cost of a packet is the way into and out of the kernel. A speed-up only: wherever anything of it is missing, packets go one by one.
 */
import type { Socket } from 'node:dgram'
import { createRequire } from 'node:module'

/** From <linux/udp.h>, the same on every architecture. */
const SOL_UDP = 17
const UDP_SEGMENT = 103
const UDP_GRO = 104

type SetOption = (fd: number, level: number, option: number, value: Int32Array, length: number) => number

let setOption: SetOption | null | undefined

/**
 * @param segmentBytes what the kernel cuts a send into; every datagram up to this size goes out as before
 * @returns whether sends may be cut
 */
export function enableOffload(socket: Socket, segmentBytes: number): boolean {
  setOption ??= loadSetOption()
  const fd = descriptorOf(socket)
  if (setOption === null || fd === undefined) return false
  const set = (option: number, value: number) => setOption?.(fd, SOL_UDP, option, Int32Array.of(value), 4) === 0
  // Without the first the second brings little on our own machine, and much from a fast network card.
  set(UDP_GRO, 1)
  return set(UDP_SEGMENT, segmentBytes)
}

/**
 * What the kernel says when the device or the route cannot cut (udp(7); net/ipv4/udp.c: no checksum offload, a path smaller than a segment).
 * Anything else, such as a network that is down, says nothing about cutting and passes.
 */
const CANNOT_CUT: ReadonlySet<string> = new Set(['EIO', 'EINVAL', 'EMSGSIZE', 'EOPNOTSUPP'])

/** @param code of the error that a send of several packets ended with */
export function meansNoCutting(code: string): boolean {
  return CANNOT_CUT.has(code)
}

/** Node has no call for socket options it does not know. */
function loadSetOption(): SetOption | null {
  if (process.platform !== 'linux') return null
  try {
    const koffi = createRequire(import.meta.url)('koffi') as { load(library: string): { func(definition: string): SetOption } }
    return koffi.load('libc.so.6').func('int setsockopt(int fd, int level, int option, const int *value, unsigned int length)')
  } catch {
    return null
  }
}

/** Node keeps it to itself; a version that keeps it elsewhere gets no offload. */
function descriptorOf(socket: Socket): number | undefined {
  const state = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const fd = state === undefined ? undefined : (socket as unknown as Record<symbol, { handle?: { fd?: unknown } } | undefined>)[state]?.handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}
