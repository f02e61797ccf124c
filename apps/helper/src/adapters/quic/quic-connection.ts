/** One QUIC connection: packets in, packets out, its clocks, and its end. Who may connect and which socket is used is decided elsewhere. */
import type { RemoteInfo } from 'node:dgram'
import { CodedError, type Endpoint, type PeerId, peerIdFromKey } from '@harddrive-party/protocol'
import { Liveness, type LivenessInput } from '../../core/peers/liveness.ts'
import { ed25519KeyFromCertificate } from '../identity/certificate.ts'
import { CLOSE_CODES, type CloseCode, type CloseReason, type PeerConnection, type PeerStream } from '../peers/transport.ts'
import { RECV_INFO } from './config.ts'
import type { ConnectionHost, HandshakeListener } from './connection-host.ts'
import { ConnectionPath, type PathKeys } from './connection-path.ts'
import { type NativeConnection, type NativeQuic, nativeErrorName } from './native.ts'
import { Pacer } from './pacer.ts'
import { isLoopback } from './packet-header.ts'
import type { QuicStream, StreamOwner } from './quic-stream.ts'
import { StreamTable } from './stream-table.ts'

/** Packets between two flushes of a connection that only receives: one acknowledgement for many costs a third of the CPU. */
const PACKETS_PER_FLUSH = 64

/** Longest wait for that; on a short path even this would be felt. */
const FLUSH_INTERVAL_MS = 2
const SHORT_PATH_FLUSH_INTERVAL_MS = 1
const SHORT_PATH_RTT_MS = 4

/** Packets sent in one turn of the event loop, so that nobody else waits long. */
const SENDS_PER_FLUSH = 256

/** Path figures are read this often while sending. */
const PACING_INTERVAL_MS = 10

/** Packets between two looks at how much lies unread (at most 22 MB). */
const PACKETS_PER_AUDIT = 16_384

/** After our goodbye: packets that show that the peer missed it are answered with it again, a few times. */
const LINGER_MS = 1000
const MAX_GOODBYES = 4

const CLOSE_NAMES = new Map<number, CloseCode>(Object.entries(CLOSE_CODES).map(([name, code]) => [code, name as CloseCode]))

export class QuicConnection implements PeerConnection, StreamOwner {
  readonly transport = 'quic'
  readonly role: 'dialler' | 'listener'
  readonly engine: NativeQuic
  readonly native: NativeConnection
  /** Our socket that it lives on, for good: a punched hole belongs to one port. */
  readonly socket: number
  /** What the transport files this connection under: connection IDs as map keys. */
  readonly cidKeys: readonly string[]
  /** Whether anything has arrived on it at all. */
  heard = false
  ended = false
  turn = 0
  /** When `tick` has something to do, in the host's clock. */
  dueAt = 0
  /** Kept by the host: it will be flushed in this turn. */
  awake = false
  readonly #host: ConnectionHost
  readonly #handshake: HandshakeListener
  readonly #streams: StreamTable
  readonly #pacer: Pacer
  readonly #liveness: Liveness
  readonly #path: ConnectionPath
  #peerId: PeerId | null = null
  #established = false
  #drained = false
  /** About so many bytes that the engine was given wait in it. */
  #backlog = 0
  #unread = false
  #packets = 0
  #packetsTotal = 0
  #lastFlush = Number.NEGATIVE_INFINITY
  #rttMs = 0
  #sentAndLost = { sent: 0, lost: 0 }
  #figuresAt = Number.NEGATIVE_INFINITY
  readonly #handshakeBy: number
  /** When the engine's own timer is due. */
  #engineDue: number | null = null
  #reason: CloseReason | null = null
  #onClose: ((reason: CloseReason) => void) | null = null
  #announced = false
  #goodbye: Uint8Array | null = null
  #goodbyes = 0
  #lingerUntil = 0
  #badCertificate = false

  constructor(host: ConnectionHost, handshake: HandshakeListener, setup: {
    readonly role: 'dialler' | 'listener'
    readonly native: NativeConnection
    readonly cidKeys: readonly string[]
    readonly remote: Endpoint
    readonly socket: number
    readonly handshakeMs: number
  }) {
    this.#host = host
    this.#handshake = handshake
    this.engine = host.engine
    this.role = setup.role
    this.native = setup.native
    this.cidKeys = setup.cidKeys
    this.socket = setup.socket
    this.#handshakeBy = host.now() + setup.handshakeMs
    this.#path = new ConnectionPath(
      setup.remote,
      (datagram, to) => host.transmit(datagram, to, setup.socket),
      () => host.wake(this),
    )
    this.#pacer = new Pacer(isLoopback(setup.remote.host))
    this.#liveness = new Liveness(host.now())
    this.#streams = new StreamTable(this, setup.role === 'dialler')
  }

  get peerId(): PeerId {
    if (this.#peerId === null) throw new Error('nobody has proved a key yet')
    return this.#peerId
  }

  get remote(): Endpoint {
    return this.#path.current
  }

  get rttMs(): number | null {
    if (!this.#established) return null
    if (!this.ended) this.#rttMs = this.native.pathStats()[0]?.rtt ?? this.#rttMs
    return this.#rttMs
  }

  get packets(): { readonly sent: number; readonly lost: number } {
    if (!this.ended) {
      const { sent, lost } = this.native.stats()
      this.#sentAndLost = { sent, lost }
    }
    return this.#sentAndLost
  }

  get established(): boolean {
    return this.#established
  }

  get onStream(): ((stream: PeerStream) => void) | null {
    return this.#streams.surface
  }

  set onStream(handler: ((stream: PeerStream) => void) | null) {
    this.#streams.surface = handler
  }

  get onClose(): ((reason: CloseReason) => void) | null {
    return this.#onClose
  }

  set onClose(handler: ((reason: CloseReason) => void) | null) {
    this.#onClose = handler
    // It may have ended before its owner had a chance to ask.
    if (handler !== null && this.#reason !== null) this.#announceEnd()
  }

  openStream(): PeerStream {
    if (this.ended) throw new CodedError('connection-lost', 'the connection to the peer is gone')
    return this.#streams.open()
  }

  setPathKeys(keys: PathKeys): void {
    this.#path.keys = keys
  }

  setBusy(busy: boolean): void {
    if (!this.ended) this.#live({ type: 'busy', busy })
  }

  nudge(): void {
    if (!this.ended) this.#live({ type: 'doubt', received: this.native.stats().recv })
  }

  close(code: CloseCode): void {
    if (this.ended) return
    // What the application has finished saying goes out first, as far as the path takes it.
    this.turn++
    this.#send()
    this.#closeNative(CLOSE_CODES[code])
    this.#end({ by: 'us', code })
  }

  // --- for the transport

  receive(bytes: Uint8Array, from: RemoteInfo): void {
    if (this.ended) {
      this.#repeatGoodbye()
      return
    }
    const elsewhere = this.#path.isNews(from.address, from.port)
    const before = elsewhere ? this.native.stats().recv : 0
    try {
      this.native.recv(bytes, RECV_INFO)
    } catch {
      // Nothing for us in it, or the end of the connection, which the next flush finds.
    }
    this.heard = true
    if (!this.#established && this.native.isEstablished() && !this.#establish()) return
    if (elsewhere && this.native.stats().recv > before) {
      this.#path.heard(this.#host.now(), { host: from.address, port: from.port })
      this.#arm()
    }
    this.#unread = true
    this.#packets++
    this.#scheduleAfterPacket()
  }

  /** A probe or echo that came to our port. @returns whether it was meant for this connection */
  receiveProbe(type: 'probe' | 'echo', bytes: Uint8Array, from: Endpoint): boolean {
    return !this.ended && this.#path.receive(this.#host.now(), type, bytes, from)
  }

  /** Reads, writes and sends whatever there is, within one turn's limits. */
  flush(): void {
    if (this.ended) return
    const now = this.#host.now()
    this.#lastFlush = now
    this.turn++
    this.#packetsTotal += this.#packets
    this.#packets = 0
    if (this.#unread && this.#established) {
      this.#unread = false
      if (!this.#streams.deliver(this.native.readable())) {
        this.close('protocol')
        return
      }
      if (this.#packetsTotal >= PACKETS_PER_AUDIT) {
        this.#packetsTotal = 0
        if (this.#streams.overfull(this.native.stats())) {
          this.close('protocol')
          return
        }
      }
      if (this.ended) return
    }
    this.#send()
    this.#findEnd()
    if (!this.ended) this.#arm()
  }

  /** Clocks: the engine's, the handshake's, liveness and path. */
  tick(now: number): void {
    if (now < this.dueAt) return
    if (this.ended) {
      if (now >= this.#lingerUntil) this.#host.gone(this)
      else this.#arm()
      return
    }
    if (!this.#established && now >= this.#handshakeBy) {
      this.#end({ by: 'timeout', code: 'lost' })
      return
    }
    if (this.#established) {
      if (this.#liveness.deadline !== undefined && now >= this.#liveness.deadline) {
        this.#live({ type: 'tick', received: this.native.stats().recv })
        if (this.ended) return
      }
      this.#path.tick(now)
    }
    if (this.#engineDue !== null && now >= this.#engineDue) this.native.onTimeout()
    this.flush()
  }

  /** Gives up a handshake that nobody waits for any more, telling the other side if it can be told. */
  discard(): void {
    if (this.ended) return
    this.#closeNative(CLOSE_CODES.duplicate)
    this.#end({ by: 'us', code: 'duplicate' })
  }

  // --- for its streams

  wantsToWrite(stream: QuicStream): void {
    this.#streams.queue(stream)
    this.#host.wake(this)
  }

  wantsFlush(taken: number): void {
    this.#streams.taken(taken)
    this.#host.wakeSoon(this)
  }

  released(stream: QuicStream, givenUp: boolean): void {
    this.#streams.released(stream, givenUp)
  }

  exhausted(): void {
    // From within a flush: the end must not come in the middle of it.
    queueMicrotask(() => this.close('goodbye'))
  }

  // --- inside

  #establish(): boolean {
    const der = this.native.peerCertChain()?.[0]
    const key = der === undefined ? null : ed25519KeyFromCertificate(der)
    if (key?.ok) this.#peerId = peerIdFromKey(key.value)
    this.#badCertificate = !key?.ok
    // Before anything else is sent: whoever is the wrong one learns nothing about us, not even our certificate.
    if (!key?.ok || !this.#handshake.established(this)) {
      if (!this.ended) {
        this.#closeNative(CLOSE_CODES['wrong-identity'])
        this.#end({ by: 'us', code: 'wrong-identity' })
      }
      return false
    }
    this.#established = true
    return true
  }

  #scheduleAfterPacket(): void {
    if (this.#streams.writing || this.#packets >= PACKETS_PER_FLUSH) {
      this.#host.wake(this)
      return
    }
    const interval = this.#rttMs < SHORT_PATH_RTT_MS ? SHORT_PATH_FLUSH_INTERVAL_MS : FLUSH_INTERVAL_MS
    if (this.#host.now() - this.#lastFlush > interval) this.#host.wake(this)
    else this.#host.wakeSoon(this)
  }

  #send(): void {
    this.#sendPackets()
    this.#host.transmitted()
  }

  #sendPackets(): void {
    const now = this.#host.now()
    const hadNothing = !this.#streams.writing
    let left = SENDS_PER_FLUSH
    let allowed = this.#allowed(now)
    for (;;) {
      this.#drained = false
      while (left > 0 && allowed > 0) {
        if (this.#host.stalled(this)) return
        const sent = this.#sendPacket()
        if (sent === 0) {
          this.#drained = true
          break
        }
        left--
        this.#backlog -= sent
        if (allowed === Number.POSITIVE_INFINITY) continue
        allowed -= sent
        this.#pacer.sent(sent)
      }
      if (!this.#drained) {
        if (left === 0) this.#host.wake(this)
        else this.#host.wakeSoon(this)
        return
      }
      this.#backlog = 0
      // Only now may the engine be given more: it would take a window's worth each time it is asked.
      if (!this.#established) return
      if (!this.#streams.writing) {
        // Whoever has just been relieved of a piece brings the next one before the next flush.
        if (hadNothing) this.#pacer.idle(now)
        return
      }
      if (allowed <= 0 || left === 0) {
        this.#host.wakeSoon(this)
        return
      }
      const given = this.#streams.pump()
      if (given === 0) return
      this.#backlog += given
    }
  }

  #sendPacket(): number {
    const buffer = this.#host.packetBuffer()
    let sent: [number, unknown] | null
    try {
      sent = this.native.send(buffer)
    } catch (error) {
      if (nativeErrorName(error) !== 'Done') this.#host.wakeSoon(this)
      return 0
    }
    if (sent === null) return 0
    const [length] = sent
    this.#host.transmitBuffer(length, this.#path.current, this.socket)
    return length
  }

  #allowed(now: number): number {
    if (!this.#established) return Number.POSITIVE_INFINITY
    const bulk = this.#backlog > 0 || this.#streams.writing
    if (now - this.#figuresAt >= PACING_INTERVAL_MS) {
      this.#figuresAt = now
      const [figures] = this.native.pathStats()
      this.#rttMs = figures?.rtt ?? this.#rttMs
      if (bulk && figures !== undefined) this.#pacer.update(now, figures)
    }
    // Acknowledgements and the like are few, and wait for nobody.
    return bulk ? this.#pacer.available(now) : Number.POSITIVE_INFINITY
  }

  #arm(): void {
    const now = this.#host.now()
    let due = this.#lingerUntil
    if (!this.ended) {
      const timeout = this.native.timeout()
      // One more: it is cut to whole milliseconds, and a timer that comes early comes again and again.
      this.#engineDue = timeout === null ? null : now + timeout + 1
      due = Math.min(
        this.#engineDue ?? Number.POSITIVE_INFINITY,
        this.#established ? (this.#liveness.deadline ?? Number.POSITIVE_INFINITY) : this.#handshakeBy,
        this.#path.deadline ?? Number.POSITIVE_INFINITY,
      )
    }
    this.dueAt = due
    this.#host.wakeAt(due)
  }

  #live(input: LivenessInput): void {
    for (const effect of this.#liveness.step(this.#host.now(), input)) {
      if (effect.type === 'dead') {
        this.#closeNative(CLOSE_CODES.goodbye)
        this.#end({ by: 'timeout', code: 'lost' })
        return
      }
      this.native.sendAckEliciting()
      this.#host.wake(this)
    }
    this.#arm()
  }

  #findEnd(): void {
    if (!this.native.isDraining() && !this.native.isClosed()) return
    const theirs = this.native.peerError()
    if (theirs !== null) {
      const code = theirs.isApp ? CLOSE_NAMES.get(theirs.errorCode) : undefined
      this.#end(code === undefined ? { by: 'transport', code: 'lost' } : { by: 'peer', code })
    } else this.#end({ by: this.native.isTimedOut() ? 'timeout' : 'transport', code: 'lost' })
  }

  #closeNative(code: number): void {
    try {
      this.native.close(true, code, new Uint8Array(0))
    } catch {
      // It is closing already.
    }
    const buffer = this.#host.packetBuffer()
    try {
      for (let sent = this.native.send(buffer), left = MAX_GOODBYES; sent !== null && left > 0; left--) {
        this.#goodbye = buffer.slice(0, sent[0])
        this.#host.transmit(this.#goodbye, this.#path.current, this.socket)
        sent = this.native.send(buffer)
      }
    } catch {
      // Nothing can be said any more; the other side will notice.
    }
  }

  #repeatGoodbye(): void {
    if (this.#goodbye === null || this.#goodbyes >= MAX_GOODBYES) return
    this.#goodbyes++
    this.#host.transmit(this.#goodbye, this.#path.current, this.socket)
  }

  #end(reason: CloseReason): void {
    if (this.ended) return
    this.ended = true
    this.#reason = reason
    this.#streams.end()
    if (this.#goodbye === null) this.#host.gone(this)
    else {
      this.#lingerUntil = this.#host.now() + LINGER_MS
      this.#arm()
    }
    if (!this.#established) this.#handshake.failed(this, reason, this.#badCertificate)
    else if (this.#onClose !== null) this.#announceEnd()
  }

  /** Later, so that nobody is called back from within a call of their own. */
  #announceEnd(): void {
    if (this.#announced) return
    this.#announced = true
    const reason = this.#reason!
    queueMicrotask(() => this.#onClose?.(reason))
  }
}
