/** What we use of the package `multicast-dns` 7, which has no types of its own. */
declare module 'multicast-dns' {
  import type { EventEmitter } from 'node:events'
  import type { RemoteInfo, Socket } from 'node:dgram'

  interface Packet {
    readonly type: 'query' | 'response'
    readonly questions: readonly { readonly name: string; readonly type: string }[]
    readonly answers: readonly DnsRecord[]
    readonly additionals: readonly DnsRecord[]
  }
  interface DnsRecord {
    readonly name: string
    readonly type: string
    readonly ttl: number
    readonly class?: 'IN'
    readonly flush?: boolean
    readonly data: unknown
  }
  interface MulticastDns extends EventEmitter {
    on(event: 'query' | 'response', listener: (packet: Packet, from: RemoteInfo) => void): this
    on(event: 'error' | 'warning', listener: (error: Error) => void): this
    on(event: 'ready', listener: () => void): this
    query(query: { questions: readonly object[]; answers?: readonly DnsRecord[] }, callback?: (error?: Error | null) => void): void
    respond(response: { answers: readonly DnsRecord[]; additionals?: readonly DnsRecord[] }, callback?: (error?: Error | null) => void): void
    destroy(callback?: () => void): void
  }
  export default function multicastDns(options: {
    socket: Socket; type: 'udp4' | 'udp6'; ip: string; port: number; interface: string; bind: string
  }): MulticastDns
}
