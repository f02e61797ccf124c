/** What a QUIC connection needs of the transport that it lives in, and tells of its handshake. Types only. */
import type { Endpoint } from '@harddrive-party/protocol'
import type { CloseReason } from '../peers/transport.ts'
import type { NativeQuic } from './native.ts'
import type { QuicConnection } from './quic-connection.ts'

/** What a connection needs of the transport. */
export interface ConnectionHost {
  readonly engine: NativeQuic
  /** Milliseconds of a monotonic clock. */
  now(): number
  /** No more packets now: the system does not keep up. The connection is flushed again when it does. */
  stalled(connection: QuicConnection): boolean
  /** A buffer for one packet. Valid until as many packets were sent as the system may hold. */
  packetBuffer(): Uint8Array
  transmit(packet: Uint8Array, to: Endpoint, socket: number): void
  /** Sends the first bytes of the buffer, at once or together with what follows before `transmitted`. */
  transmitBuffer(length: number, to: Endpoint, socket: number): void
  /** That was all for now. */
  transmitted(): void
  /** Flush at the end of this turn of the event loop. */
  wake(connection: QuicConnection): void
  /** Flush in a millisecond or two. */
  wakeSoon(connection: QuicConnection): void
  /** Call `tick` at `at`, or earlier. */
  wakeAt(at: number): void
  /** Its connection IDs may be forgotten. */
  gone(connection: QuicConnection): void
}

export interface HandshakeListener {
  /** The key behind `connection.peerId` is proved. @returns whether it may stay; if not it says `wrong-identity` */
  established(connection: QuicConnection): boolean
  /** It ended before that. */
  failed(connection: QuicConnection, reason: CloseReason, badCertificate: boolean): void
}
