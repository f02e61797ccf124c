/**
 * A STUN server (RFC 8489 binding, and CHANGE-REQUEST and OTHER-ADDRESS of RFC 5780) on two addresses and two ports: enough to tell every kind of
 * NAT apart. Written apart from the helper's client, so that the two check each other.
 */
import { type Socket, createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'

export const STUN_PORT = 3478
export const STUN_OTHER_PORT = 3479

const MAGIC = 0x2112_a442
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const CHANGE_REQUEST = 0x0003
const XOR_MAPPED_ADDRESS = 0x0020
const OTHER_ADDRESS = 0x802c
const CHANGE_IP = 0x4
const CHANGE_PORT = 0x2

export interface StunAddress {
  readonly host: string
  readonly port: number
}

/** @param hosts two addresses of this machine, of one family @returns how to end it */
export async function openStunResponder(hosts: readonly [string, string]): Promise<{ close(): void }> {
  const sockets = new Map<string, Socket>()
  for (const host of hosts) {
    for (const port of [STUN_PORT, STUN_OTHER_PORT]) {
      const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' })
      await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(port, host, resolve))
      // A client that is gone answers with errors.
      socket.removeAllListeners('error').on('error', () => {})
      sockets.set(`${host} ${port}`, socket)
      socket.on('message', (request, from) => {
        const changes = readRequest(request)
        if (changes === undefined) return
        const otherHost = host === hosts[0] ? hosts[1] : hosts[0]
        const otherPort = port === STUN_PORT ? STUN_OTHER_PORT : STUN_PORT
        const answering = sockets.get(`${(changes & CHANGE_IP) === 0 ? host : otherHost} ${(changes & CHANGE_PORT) === 0 ? port : otherPort}`)
        answering?.send(formatAnswer(request, { host: from.address, port: from.port }, { host: otherHost, port: otherPort }), from.port, from.address)
      })
    }
  }
  return {
    close: () => {
      for (const socket of sockets.values()) socket.close()
    },
  }
}

/** @returns the flags of CHANGE-REQUEST, or undefined for what is no binding request */
function readRequest(bytes: Buffer): number | undefined {
  if (bytes.length < 20 || bytes.readUInt16BE(0) !== BINDING_REQUEST || bytes.readUInt32BE(4) !== MAGIC) return undefined
  for (let at = 20; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16BE(at + 2)
    if (bytes.readUInt16BE(at) === CHANGE_REQUEST && length === 4 && at + 8 <= bytes.length) return bytes.readUInt32BE(at + 4)
    at += 4 + length + ((4 - (length % 4)) % 4)
  }
  return 0
}

/** @returns a binding request, 20 bytes, or 28 with flags */
export function formatRequest(transactionId: Uint8Array, change: { readonly host: boolean; readonly port: boolean } = { host: false, port: false }): Buffer {
  const flags = (change.host ? CHANGE_IP : 0) | (change.port ? CHANGE_PORT : 0)
  const request = Buffer.alloc(flags === 0 ? 20 : 28)
  request.writeUInt16BE(BINDING_REQUEST, 0)
  request.writeUInt16BE(request.length - 20, 2)
  request.writeUInt32BE(MAGIC, 4)
  request.set(transactionId.subarray(0, 12), 8)
  if (flags !== 0) {
    request.writeUInt16BE(CHANGE_REQUEST, 20)
    request.writeUInt16BE(4, 22)
    request.writeUInt32BE(flags, 24)
  }
  return request
}

/** @returns the mapped address, or undefined when it is no answer to that transaction */
export function readAnswer(bytes: Buffer, transactionId: Uint8Array): StunAddress | undefined {
  if (bytes.length < 20 || bytes.readUInt16BE(0) !== BINDING_SUCCESS || !bytes.subarray(8, 20).equals(transactionId)) return undefined
  for (let at = 20; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16BE(at + 2)
    if (bytes.readUInt16BE(at) === XOR_MAPPED_ADDRESS && at + 4 + length <= bytes.length && length >= 8) {
      const value = Buffer.from(bytes.subarray(at + 4, at + 4 + length))
      xor(value, bytes)
      const host = length === 8 ? [...value.subarray(4, 8)].join('.') : formatIPv6(value.subarray(4, 20))
      return { host, port: value.readUInt16BE(2) }
    }
    at += 4 + length + ((4 - (length % 4)) % 4)
  }
  return undefined
}

function formatAnswer(request: Buffer, mapped: StunAddress, other: StunAddress): Buffer {
  const header = Buffer.from(request.subarray(0, 20))
  const mappedValue = formatAddress(mapped)
  xor(mappedValue, request)
  const body = Buffer.concat([attribute(XOR_MAPPED_ADDRESS, mappedValue), attribute(OTHER_ADDRESS, formatAddress(other))])
  header.writeUInt16BE(BINDING_SUCCESS, 0)
  header.writeUInt16BE(body.length, 2)
  return Buffer.concat([header, body])
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(value.length, 2)
  return Buffer.concat([head, value])
}

function formatAddress({ host, port }: StunAddress): Buffer {
  const bytes = isIPv6(host) ? parseIPv6(host) : host.split('.').map(Number)
  const value = Buffer.alloc(4 + bytes.length)
  value.writeUInt8(bytes.length === 4 ? 1 : 2, 1)
  value.writeUInt16BE(port, 2)
  value.set(bytes, 4)
  return value
}

/** The port with the cookie's first half, the address with the cookie and the transaction id. */
function xor(value: Buffer, message: Buffer): void {
  for (let i = 0; i < 2; i++) value.writeUInt8(value.readUInt8(2 + i) ^ message.readUInt8(4 + i), 2 + i)
  for (let i = 4; i < value.length; i++) value.writeUInt8(value.readUInt8(i) ^ message.readUInt8(i), i)
}

function parseIPv6(host: string): number[] {
  const [head = '', tail] = host.split('::')
  const first = parseGroups(head)
  const last = parseGroups(tail ?? '')
  const all = tail === undefined ? first : [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last]
  return all.flatMap((group) => [group >> 8, group & 0xff])
}

function parseGroups(part: string): number[] {
  return part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
}

function formatIPv6(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(group * 2).toString(16)).join(':')
}
