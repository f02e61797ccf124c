import type { Endpoint, PeerId } from '@harddrive-party/protocol'

/**
 * The seam between peers and the ways to reach them. QUIC is the first transport, TCP with TLS 1.3 the second, with the same identities and messages.
 * `test/support/transport-contract.ts` is what every transport must pass; `test/support/memory-transport.ts` is the fake, held to the same suite.
 */
export interface Transport {
  readonly kind: 'quic' | 'tcp'
  /** Ports we listen on, null where the family is not available. */
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /**
   * Connects to one endpoint. Resolves when the handshake is complete and the other side's key is the expected one.
   * @throws CodedError `timed-out`, `unreachable`, `refused`, `wrong-identity`, `aborted`, `closed`
   */
  dial(target: DialTarget, options: { signal: AbortSignal }): Promise<PeerConnection>
  close(): Promise<void>
}

export interface DialTarget {
  readonly endpoint: Endpoint
  /** 16 bytes, from the code or from an earlier hello: without it the other side stays silent. */
  readonly knockSecret: Uint8Array
  /** Who must answer: the whole key when known, else the 16-byte key hash from an announce code. */
  readonly expect: { readonly peerId: PeerId } | { readonly keyHash: Uint8Array }
  /** The transport's number of the socket to dial from, where it has several; absent or 0 = the main one. */
  readonly socket?: number
}

export interface TransportEvents {
  /** Somebody who knows one of our knock secrets has connected and proved a key. `knock` names the secret that was used. */
  onConnection(connection: PeerConnection, knock: KnockKind): void
}

/** Which of our secrets an incoming connection knew: the current code's, the one given to known peers in `hello`, or the one announced on the local network. */
export type KnockKind = 'code' | 'known' | 'lan'

/** An authenticated, encrypted connection: the key behind `peerId` has been proved. Nothing has been said on it yet. */
export interface PeerConnection {
  readonly peerId: PeerId
  readonly role: 'dialler' | 'listener'
  readonly transport: 'quic' | 'tcp'
  /** Our sight of the peer's address now; it changes when the peer's does. */
  readonly remote: Endpoint
  /** Smoothed round-trip time in milliseconds, null before the first sample. */
  readonly rttMs: number | null
  /** Packets sent so far, and how many of them were lost; absent where the transport does not know. */
  readonly packets?: { readonly sent: number; readonly lost: number }
  /** Set once by the owner: a stream the peer opened. Streams that arrive earlier are kept. */
  onStream: ((stream: PeerStream) => void) | null
  /** Set once by the owner: called exactly once when the connection has ended, for whatever reason. */
  onClose: ((reason: CloseReason) => void) | null
  /** @throws CodedError `connection-lost` or `busy` (too many open streams) */
  openStream(): PeerStream
  /** Keys both sides gave in hello: from then on an address change is followed after a probe and its echo. 16 bytes each. */
  setPathKeys(keys: { readonly ours: Uint8Array; readonly theirs: Uint8Array }): void
  /** While true (a transfer is running) the peer is checked often enough to notice its death within 5 s; else within 30 s. */
  setBusy(busy: boolean): void
  /** Our network may have changed: says something at once, so that the peer sees where we are now, and hears soon whether it is still there. */
  nudge?(): void
  /** Says goodbye with a reason the other side can read. Idempotent. */
  close(reason: CloseCode): void
}

/** Application close codes on the wire. */
export const CLOSE_CODES = { goodbye: 0, duplicate: 1, refused: 2, blocked: 3, protocol: 4, restart: 5, 'wrong-identity': 6 } as const
export type CloseCode = keyof typeof CLOSE_CODES

export interface CloseReason {
  readonly by: 'us' | 'peer' | 'timeout' | 'transport'
  readonly code: CloseCode | 'lost'
}

export interface PeerStream {
  readonly id: number
  /**
   * Fills `into` from its start with at least one byte, in stream order; resolves with the count, 0 = the peer has finished.
   * @throws CodedError `stream-reset`, `connection-lost`, `aborted` (we aborted)
   */
  read(into: Uint8Array): Promise<number>
  /**
   * Resolves when all bytes were handed to the transport; until then the buffer must not change. Backpressure: await before the next.
   * @throws CodedError `stream-reset`, `connection-lost`, `aborted`
   */
  write(bytes: Uint8Array): Promise<void>
  /** No more writes from us. To be called in the same turn as the last write ends: the end then travels with the last bytes, and costs no packet. */
  finish(): void
  /** Gives up both directions. Idempotent, and harmless on a stream that has ended. */
  abort(): void
}
