import { CodedError, MAX_STREAMS_PER_PEER, formatEndpoint, keyHashOf } from '@harddrive-party/protocol'
import type { Endpoint, PeerId } from '@harddrive-party/protocol'
import type { CloseCode, CloseReason, DialTarget, KnockKind, PeerConnection, PeerStream, Transport, TransportEvents } from '../../src/adapters/peers/transport.ts'

/** The fake of every transport: connections and streams between objects of one process, with backpressure, ends and losses, but no packets. */

/** What one direction of a stream holds before its writer has to wait. */
const WINDOW_BYTES = 4 * 1024 * 1024

export interface MemoryHost {
  readonly peerId: PeerId
  readonly endpoint: Endpoint
  /** Secrets that let a dialler in, now; hex. */
  secrets(): { readonly code: string; readonly known: string }
  readonly events: TransportEvents
}

export interface MemoryNetworkOptions {
  /**
   * How many turns of the event loop it takes to the other side; order is then kept within a connection, not between them.
   * Absent = one turn for everything, in the order in which it was sent.
   */
  readonly turns?: () => number
}

/** Carries things to the other side, in order. */
type Deliver = (what: () => void) => void

function openLane(turns: (() => number) | undefined): Deliver {
  if (!turns) return setImmediate
  const waiting: (() => void)[] = []
  let left = 0
  const turn = (): void => {
    if (left > 1) {
      left--
      return void setImmediate(turn)
    }
    for (const what of waiting.splice(0)) what()
    left = 0
    if (waiting.length > 0) start()
  }
  const start = (): void => {
    left = Math.max(1, turns())
    setImmediate(turn)
  }
  return (what) => {
    waiting.push(what)
    if (left === 0) start()
  }
}

/** The wire between hosts. */
export class MemoryNetwork {
  readonly #hosts = new Map<string, MemoryHost>()
  readonly #pairs = new Set<Pair>()
  readonly #turns: (() => number) | undefined

  constructor({ turns }: MemoryNetworkOptions = {}) {
    this.#turns = turns
  }

  open(host: MemoryHost): Transport {
    const key = formatEndpoint(host.endpoint)
    if (this.#hosts.has(key)) throw new CodedError('address-in-use', `${key} is taken`)
    this.#hosts.set(key, host)
    return {
      kind: 'quic',
      ports: { v4: host.endpoint.host.includes(':') ? null : host.endpoint.port, v6: host.endpoint.host.includes(':') ? host.endpoint.port : null },
      dial: (target, { signal }) => this.#dial(host, target, signal),
      close: async () => {
        if (this.#hosts.get(key) !== host) return
        this.#hosts.delete(key)
        for (const pair of this.#pairs) for (const end of pair.ends) if (end.owner === host) end.close('goodbye')
      },
    }
  }

  /** The machine is gone without a word: its connections time out on the other side, and nobody answers at its address. */
  crash(host: MemoryHost): void {
    this.#hosts.delete(formatEndpoint(host.endpoint))
    for (const pair of this.#pairs) if (pair.ends.some((end) => end.owner === host)) pair.lose(host)
  }

  /** Every connection between two hosts is lost at both ends. */
  cut(a: PeerId, b: PeerId): void {
    for (const pair of this.#pairs) {
      const ids = pair.ends.map((end) => end.owner.peerId)
      if (ids.includes(a) && ids.includes(b)) pair.lose(null)
    }
  }

  async #dial(from: MemoryHost, target: DialTarget, signal: AbortSignal): Promise<PeerConnection> {
    await this.#roundTrip(signal)
    if (this.#hosts.get(formatEndpoint(from.endpoint)) !== from) throw new CodedError('closed', 'the transport is closed')
    const host = this.#hosts.get(formatEndpoint(target.endpoint))
    if (!host) throw new CodedError('unreachable', 'nobody is there')
    const knock = knockKind(host, target.knockSecret)
    // Silence is all that a stranger gets; time is short in here.
    if (knock === null) throw new CodedError('timed-out', 'no answer')
    const right = 'peerId' in target.expect ? host.peerId === target.expect.peerId : Buffer.from(keyHashOf(host.peerId)).equals(target.expect.keyHash)
    if (!right) throw new CodedError('wrong-identity', 'somebody else answers there')
    const pair = new Pair(from, host, openLane(this.#turns), () => this.#pairs.delete(pair))
    this.#pairs.add(pair)
    const [ours, theirs] = pair.ends
    host.events.onConnection(theirs, knock)
    try {
      await this.#roundTrip(signal)
    } catch (error) {
      ours.close('duplicate')
      throw error
    }
    return ours
  }

  /** @throws CodedError `aborted` */
  #roundTrip(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(new CodedError('aborted', 'the dial was given up'))
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      openLane(this.#turns)(() => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
    })
  }
}

function knockKind(host: MemoryHost, secret: Uint8Array): KnockKind | null {
  const { code, known } = host.secrets()
  const text = Buffer.from(secret).toString('hex')
  return text === code ? 'code' : text === known ? 'known' : null
}

class Pair {
  readonly ends: readonly [MemoryConnection, MemoryConnection]
  readonly deliver: Deliver
  readonly #onEnd: () => void

  constructor(dialler: MemoryHost, listener: MemoryHost, deliver: Deliver, onEnd: () => void) {
    this.deliver = deliver
    this.#onEnd = onEnd
    this.ends = [new MemoryConnection(this, dialler, listener, 'dialler'), new MemoryConnection(this, listener, dialler, 'listener')]
  }

  otherEnd(end: MemoryConnection): MemoryConnection {
    return end === this.ends[0] ? this.ends[1] : this.ends[0]
  }

  close(by: MemoryConnection, code: CloseCode): void {
    this.#onEnd()
    by.end({ by: 'us', code })
    const other = this.otherEnd(by)
    this.deliver(() => other.end({ by: 'peer', code }))
  }

  /** @param silent whose own end must not even notice, as its process is dead */
  lose(silent: MemoryHost | null): void {
    this.#onEnd()
    for (const end of this.ends) {
      if (end.owner === silent) end.onClose = null
      end.end({ by: 'timeout', code: 'lost' })
    }
  }
}

class MemoryConnection implements PeerConnection {
  readonly owner: MemoryHost
  readonly peerId: PeerId
  readonly role: 'dialler' | 'listener'
  readonly transport = 'quic'
  readonly remote: Endpoint
  readonly rttMs = 1
  /** For tests to look at. */
  pathKeys: { readonly ours: Uint8Array; readonly theirs: Uint8Array } | null = null
  busy = false
  readonly #pair: Pair
  readonly streams = new Set<MemoryStream>()
  #ended: CloseReason | null = null
  #onStream: ((stream: PeerStream) => void) | null = null
  #onClose: ((reason: CloseReason) => void) | null = null
  readonly #early: PeerStream[] = []
  #nextId: number

  constructor(pair: Pair, owner: MemoryHost, other: MemoryHost, role: 'dialler' | 'listener') {
    this.#pair = pair
    this.owner = owner
    this.peerId = other.peerId
    this.remote = other.endpoint
    this.role = role
    this.#nextId = role === 'dialler' ? 0 : 1
  }

  get onStream() {
    return this.#onStream
  }

  set onStream(take) {
    this.#onStream = take
    if (take) for (const stream of this.#early.splice(0)) take(stream)
  }

  get onClose() {
    return this.#onClose
  }

  set onClose(take) {
    this.#onClose = take
    const ended = this.#ended
    if (ended && take) queueMicrotask(() => take(ended))
  }

  openStream(): PeerStream {
    if (this.#ended) throw new CodedError('connection-lost', 'the connection has ended')
    const ours = [...this.streams].filter((stream) => stream.id % 4 === this.#nextId % 4)
    if (ours.length >= MAX_STREAMS_PER_PEER) throw new CodedError('busy', 'too many open streams')
    const other = this.#pair.otherEnd(this)
    const id = this.#nextId
    this.#nextId += 4
    const { deliver } = this.#pair
    const stream = new MemoryStream(id, this, deliver)
    const far = new MemoryStream(id, other, deliver)
    stream.far = far
    far.far = stream
    this.streams.add(stream)
    stream.announce = () => other.accept(far)
    return stream
  }

  accept(stream: MemoryStream): void {
    if (this.#ended) return
    this.streams.add(stream)
    if (this.#onStream) this.#onStream(stream)
    else this.#early.push(stream)
  }

  setPathKeys(keys: { readonly ours: Uint8Array; readonly theirs: Uint8Array }): void {
    this.pathKeys = keys
  }

  setBusy(busy: boolean): void {
    this.busy = busy
  }

  close(code: CloseCode): void {
    if (!this.#ended) this.#pair.close(this, code)
  }

  end(reason: CloseReason): void {
    if (this.#ended) return
    this.#ended = reason
    for (const stream of this.streams) stream.fail(new CodedError('connection-lost', 'the connection has ended'))
    this.streams.clear()
    this.#onClose?.(reason)
  }
}

class MemoryStream implements PeerStream {
  readonly id: number
  far: MemoryStream | null = null
  /** Makes the other side see the stream: with its first bytes, as in QUIC. */
  announce: (() => void) | null = null
  readonly #connection: MemoryConnection
  readonly #deliver: Deliver
  readonly #received: Uint8Array[] = []
  #unread = 0
  /** Bytes of ours that the other side has not read. */
  #inFlight = 0
  #finishSent = false
  #finishReceived = false
  #failure: CodedError | null = null
  #wakeReader: (() => void) | null = null
  #wakeWriter: (() => void) | null = null

  constructor(id: number, connection: MemoryConnection, deliver: Deliver) {
    this.id = id
    this.#connection = connection
    this.#deliver = deliver
  }

  async read(into: Uint8Array): Promise<number> {
    for (;;) {
      if (this.#failure) throw this.#failure
      const chunk = this.#received[0]
      if (chunk) {
        const count = Math.min(chunk.length, into.length)
        into.set(chunk.subarray(0, count))
        if (count === chunk.length) this.#received.shift()
        else this.#received[0] = chunk.subarray(count)
        this.#unread -= count
        const { far } = this
        this.#deliver(() => far?.wasRead(count))
        this.#forgetIfDone()
        return count
      }
      if (this.#finishReceived) return 0
      await new Promise<void>((resolve) => (this.#wakeReader = resolve))
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    let rest = bytes
    for (;;) {
      if (this.#failure) throw this.#failure
      if (this.#finishSent) throw new Error('a write after finish')
      const room = Math.min(rest.length, WINDOW_BYTES - this.#inFlight)
      if (room > 0) {
        this.#inFlight += room
        // A copy: the writer may use its buffer again. (A Buffer's own `slice` is none.)
        this.#send((far, piece) => far.arrive(piece), Uint8Array.from(rest.subarray(0, room)))
        rest = rest.subarray(room)
      }
      if (rest.length === 0) return
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve))
    }
  }

  finish(): void {
    if (this.#finishSent || this.#failure) return
    this.#finishSent = true
    this.#send((far) => far.arriveEnd(), new Uint8Array(0))
    this.#forgetIfDone()
  }

  abort(): void {
    if (this.#failure || (this.#finishSent && this.#finishReceived && this.#unread === 0)) return
    this.fail(new CodedError('aborted', 'we gave up the stream'))
    this.#connection.streams.delete(this)
    // One that was never seen is never heard of.
    if (this.announce) this.announce = null
    else this.#send((far) => far.reset(), new Uint8Array(0))
  }

  arrive(piece: Uint8Array): void {
    if (this.#failure) return
    this.#received.push(piece)
    this.#unread += piece.length
    this.#wake()
  }

  arriveEnd(): void {
    this.#finishReceived = true
    this.#wake()
    this.#forgetIfDone()
  }

  reset(): void {
    if (this.#finishSent && this.#finishReceived) return
    this.fail(new CodedError('stream-reset', 'the other side gave up the stream'))
    this.#connection.streams.delete(this)
  }

  wasRead(count: number): void {
    this.#inFlight -= count
    this.#wake()
  }

  fail(error: CodedError): void {
    this.#failure ??= error
    this.#received.length = 0
    this.#wake()
  }

  #send(what: (far: MemoryStream, piece: Uint8Array) => void, piece: Uint8Array): void {
    const { far, announce } = this
    this.announce = null
    this.#deliver(() => {
      announce?.()
      if (far) what(far, piece)
    })
  }

  #wake(): void {
    const wakes = [this.#wakeReader, this.#wakeWriter]
    this.#wakeReader = null
    this.#wakeWriter = null
    for (const wake of wakes) wake?.()
  }

  #forgetIfDone(): void {
    if (this.#finishSent && this.#finishReceived && this.#unread === 0) this.#connection.streams.delete(this)
  }
}
