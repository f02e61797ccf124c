/** One connection between two peers over TCP: a control lane, lanes for bulk data beside it, and the streams on them. */
import type { TLSSocket } from 'node:tls'
import { CodedError, type Endpoint, type LaneFrame, MAX_LANE_STREAM, MAX_STREAMS_PER_PEER, type PeerId } from '@harddrive-party/protocol'
import { Liveness, type LivenessInput } from '../../core/peers/liveness.ts'
import { CLOSE_CODES, type CloseCode, type CloseReason, type PeerConnection, type PeerStream } from '../peers/transport.ts'
import { Lane, type LaneBatch, type LaneOwner } from './lane.ts'
import { INITIAL_WINDOW_BYTES, type StreamOwner, TcpStream } from './tcp-stream.ts'

/** What an admitted peer may have sent on one stream without our having read it: one whole `read`. */
export const WINDOW_BYTES = 4 * 1024 * 1024

/** Bytes of a stream after which it goes on beside the control lane, so that what is small never waits behind what is large. */
const SMALL_BYTES = 32 * 1024

/** Bytes moved before there is a lane for bulk data: less is over before it would be open. */
const BULK_FROM_BYTES = 512 * 1024

/** After a lane could not be opened. */
const LANE_RETRY_MS = 30_000

/** Payload of one frame, so that every stream has its turn soon. */
const FRAME_BYTES = 64 * 1024

/** Given to a socket at once: on a slow line this is what something small waits for. */
const BATCH_BYTES = { control: 64 * 1024, bulk: 512 * 1024 }

/** The system has taken nothing for so long though the other side reads whatever comes: the way is gone. */
const STUCK_MS = 20_000

/** Streams given up whose last words may still arrive, in either direction. */
const MAX_LEAVING = 1024

const CLOSE_NAMES: ReadonlyMap<number, CloseCode> = new Map(Object.entries(CLOSE_CODES).map(([name, code]) => [code, name as CloseCode]))
const NOTHING = new Uint8Array(0)

export interface TcpConnectionOptions {
  readonly role: 'dialler' | 'listener'
  readonly peerId: PeerId
  readonly remote: Endpoint
  readonly rttMs: number | null
  /** Of the control lane, handshake complete. */
  readonly socket: TLSSocket
  /** As the dialler: opens another lane to the same peer. */
  openLane?(): Promise<TLSSocket>
  /** Called once, when nothing of it is left but goodbyes. */
  gone(connection: TcpConnection): void
}

export class TcpConnection implements PeerConnection, StreamOwner, LaneOwner {
  readonly peerId: PeerId
  readonly role: 'dialler' | 'listener'
  readonly transport = 'tcp'
  readonly remote: Endpoint
  rttMs: number | null
  ended = false
  window = INITIAL_WINDOW_BYTES
  readonly #options: TcpConnectionOptions
  readonly #lanes: Lane[] = []
  readonly #streams = new Map<number, TcpStream>()
  #nextId: number
  #ours = 0
  #theirs = 0
  /** Per lane: streams with something to send. */
  readonly #writers: TcpStream[][] = []
  #first: { readonly frame: LaneFrame; readonly payload: Uint8Array } | null = null
  #control: LaneFrame[] = []
  readonly #controlDue = new Set<TcpStream>()
  readonly #flushDue = new Set<TcpStream>()
  #flushing = false
  /** Where the payload that is arriving on each lane goes; null = nowhere. */
  readonly #receiving: (TcpStream | null)[] = []
  #moved = 0
  #laneTriedAt = Number.NEGATIVE_INFINITY
  #ping: { readonly nonce: number; readonly at: number } | null = null
  #lastPing = 0
  #pong: number | null = null
  readonly #liveness = new Liveness(performance.now())
  #timer: NodeJS.Timeout | null = null
  #onStream: ((stream: PeerStream) => void) | null = null
  #early: TcpStream[] = []
  #onClose: ((reason: CloseReason) => void) | null = null
  #reason: CloseReason | null = null
  #announced = false

  constructor(options: TcpConnectionOptions) {
    this.#options = options
    this.peerId = options.peerId
    this.role = options.role
    this.remote = options.remote
    this.rttMs = options.rttMs
    this.#nextId = options.role === 'dialler' ? 0 : 1
    this.addLane(options.socket)
    // Who was dialled does not know yet how far away the other side is.
    if (options.rttMs === null) this.nudge()
    else this.#arm()
  }

  /** Bulk data goes over it from now on. */
  addLane(socket: TLSSocket): Lane {
    const lane = new Lane(this.#lanes.length, socket, this)
    this.#lanes.push(lane)
    this.#writers.push([])
    this.#receiving.push(null)
    return lane
  }

  get lanes(): number {
    return this.#lanes.length
  }

  /** A frame of the transport itself, before anything else. */
  say(frame: LaneFrame, payload: Uint8Array): void {
    this.#first = { frame, payload }
    this.#lanes[0]?.wake()
  }

  // --- for the owner

  get onStream(): ((stream: PeerStream) => void) | null {
    return this.#onStream
  }

  set onStream(take: ((stream: PeerStream) => void) | null) {
    this.#onStream = take
    if (take !== null) for (const stream of this.#early.splice(0)) take(stream)
  }

  get onClose(): ((reason: CloseReason) => void) | null {
    return this.#onClose
  }

  set onClose(take: ((reason: CloseReason) => void) | null) {
    this.#onClose = take
    if (take !== null && this.#reason !== null) this.#announceEnd()
  }

  openStream(): PeerStream {
    if (this.ended) throw new CodedError('connection-lost', 'the connection to the peer is gone')
    if (this.#ours >= MAX_STREAMS_PER_PEER || this.#streams.size >= MAX_LEAVING) throw new CodedError('busy', `more than ${MAX_STREAMS_PER_PEER} streams to one peer`)
    // After two thousand million streams a new connection begins anew.
    if (this.#nextId > MAX_LANE_STREAM - 2) {
      this.close('restart')
      throw new CodedError('connection-lost', 'the connection to the peer is used up')
    }
    const stream = new TcpStream(this.#nextId, this, false)
    this.#nextId += 2
    this.#ours++
    this.#streams.set(stream.id, stream)
    return stream
  }

  /** TCP has one path. Whoever knows the keys has been let in, and may send as much as a `read` asks for. */
  setPathKeys(): void {
    this.window = WINDOW_BYTES
  }

  setBusy(busy: boolean): void {
    this.#live({ type: 'busy', busy })
  }

  nudge(): void {
    this.#live({ type: 'doubt', received: this.#heard })
  }

  close(code: CloseCode): void {
    if (this.ended) return
    this.#end({ by: 'us', code }, code)
  }

  // --- for its streams

  wantsToWrite(stream: TcpStream): void {
    if (this.ended || stream.queued || !stream.canSend) return
    if (stream.lane === 0 && stream.sent >= SMALL_BYTES && this.#lanes.length > 1) stream.lane = this.#quietestBulkLane()
    stream.queued = true
    this.#writers[stream.lane]?.push(stream)
    this.#lanes[stream.lane]?.wake()
  }

  wantsControl(stream: TcpStream): void {
    if (this.ended) return
    this.#controlDue.add(stream)
    this.#lanes[0]?.wake()
  }

  flushSoon(stream: TcpStream): void {
    this.#flushDue.add(stream)
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      const due = [...this.#flushDue]
      this.#flushDue.clear()
      for (const waiting of due) waiting.flush()
    })
  }

  released(stream: TcpStream): void {
    if (stream.theirs) this.#theirs--
    else this.#ours--
  }

  forget(stream: TcpStream): void {
    this.#streams.delete(stream.id)
    this.#controlDue.delete(stream)
  }

  // --- for its lanes

  onFrame(lane: Lane, frame: LaneFrame): void {
    if (this.ended) return
    const isControl = lane.number === 0
    switch (frame.type) {
      case 'data':
      case 'last-data': return this.#onData(lane, frame)
      case 'ping':
        // Only the newest counts: a flood of them is answered with as little as we can send.
        this.#pong = frame.stream
        return this.#lanes[0]?.wake()
      case 'pong': return this.#onPong(frame.stream)
      case 'window': return this.#streams.get(frame.stream)?.onWindow(frame.value)
      case 'reset':
        if (this.#streams.get(frame.stream)?.onReset(frame.value) === false) this.#violated()
        return
      case 'close': {
        const code = CLOSE_NAMES.get(frame.stream)
        if (isControl) this.#end(code === undefined ? { by: 'transport', code: 'lost' } : { by: 'peer', code }, null)
        return
      }
      default: this.#violated()
    }
  }

  onPayload(lane: Lane, frame: LaneFrame, piece: Uint8Array, at: number): void {
    const stream = this.#receiving[lane.number]
    if (this.ended || !stream) return
    this.#count(piece.length)
    if (!stream.take(frame.value + at, piece)) this.#violated()
  }

  nextFrames(lane: Lane): readonly LaneBatch[] {
    const frames: LaneBatch[] = []
    const isControl = lane.number === 0
    const budget = isControl ? BATCH_BYTES.control : BATCH_BYTES.bulk
    const writers = this.#writers[lane.number] ?? []
    for (let bytes = 0; bytes < budget;) {
      if (isControl) this.#addControl(frames)
      const stream = writers.shift()
      if (stream === undefined) break
      stream.queued = false
      const most = isControl && this.#lanes.length > 1 && stream.sent < SMALL_BYTES ? SMALL_BYTES - stream.sent : FRAME_BYTES
      const next = stream.nextFrame(most)
      if (next === null) continue
      frames.push(next)
      bytes += next.payload.length + 1
      this.#count(next.payload.length)
      this.wantsToWrite(stream)
    }
    if (isControl) this.#addControl(frames)
    return frames
  }

  onLaneEnd(_lane: Lane, broke: boolean): void {
    // What was under way on any lane is lost with it, and only the peers above know what to do about that.
    if (broke) this.#violated()
    else this.#end({ by: 'transport', code: 'lost' }, null)
  }

  #addControl(frames: LaneBatch[]): void {
    const add = (frame: LaneFrame): void => void frames.push({ frame, payload: NOTHING, done: null })
    if (this.#first !== null) {
      frames.push({ ...this.#first, done: null })
      this.#first = null
    }
    for (const frame of this.#control.splice(0)) add(frame)
    if (this.#pong !== null) add({ type: 'pong', stream: this.#pong, value: 0, length: 0 })
    this.#pong = null
    for (const stream of this.#controlDue) {
      this.#controlDue.delete(stream)
      for (const frame of stream.controlFrames()) add(frame)
    }
  }

  #onData(lane: Lane, frame: LaneFrame): void {
    const stream = this.#streams.get(frame.stream) ?? this.#welcome(frame)
    if (stream === null || !stream.mayTake(frame)) return this.#violated()
    this.#receiving[lane.number] = stream
  }

  /** @returns null for a stream that the peer cannot have opened */
  #welcome({ stream: id }: LaneFrame): TcpStream | null {
    if (id % 2 === this.#nextId % 2 || this.#streams.size >= 2 * MAX_LEAVING) return null
    const stream = new TcpStream(id, this, true)
    this.#streams.set(id, stream)
    this.#theirs++
    if (this.#theirs > MAX_STREAMS_PER_PEER) stream.abort()
    else if (this.#onStream === null) this.#early.push(stream)
    else this.#onStream(stream)
    return stream
  }

  #quietestBulkLane(): number {
    let best = 1
    for (let number = 2; number < this.#lanes.length; number++) {
      if ((this.#writers[number]?.length ?? 0) < (this.#writers[best]?.length ?? 0)) best = number
    }
    return best
  }

  #count(bytes: number): void {
    this.#moved += bytes
    const { openLane } = this.#options
    if (openLane === undefined || this.#lanes.length > 1 || this.#moved < BULK_FROM_BYTES) return
    const now = performance.now()
    if (now - this.#laneTriedAt < LANE_RETRY_MS) return
    this.#laneTriedAt = now
    openLane().then((socket) => {
      if (this.ended) socket.destroy()
      else this.addLane(socket)
    }, () => {
      // Everything goes over the control lane then, as before.
    })
  }

  #onPong(nonce: number): void {
    if (this.#ping?.nonce !== nonce) return
    const sample = performance.now() - this.#ping.at
    this.rttMs = this.rttMs === null ? sample : this.rttMs * 0.875 + sample * 0.125
    this.#ping = null
  }

  get #heard(): number {
    return this.#lanes.reduce((sum, { heard }) => sum + heard, 0)
  }

  #live(input: LivenessInput): void {
    if (this.ended) return
    const now = performance.now()
    for (const effect of this.#liveness.step(now, input)) {
      if (effect.type === 'dead') return this.#end({ by: 'timeout', code: 'lost' }, 'goodbye')
      this.#lastPing = (this.#lastPing + 1) % MAX_LANE_STREAM
      this.#ping = { nonce: this.#lastPing, at: now }
      this.#control = [{ type: 'ping', stream: this.#lastPing, value: 0, length: 0 }]
      this.#lanes[0]?.wake()
    }
    if (this.#lanes.some(({ stuckSince }) => stuckSince !== null && now - stuckSince > STUCK_MS)) return this.#end({ by: 'timeout', code: 'lost' }, 'goodbye')
    this.#arm()
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const { deadline } = this.#liveness
    if (deadline === undefined || this.ended) return
    this.#timer = setTimeout(() => this.#live({ type: 'tick', received: this.#heard }), Math.max(0, deadline - performance.now() + 1))
  }

  #violated(): void {
    this.#end({ by: 'us', code: 'protocol' }, 'protocol')
  }

  /** @param say what the other side is told; null = nothing */
  #end(reason: CloseReason, say: CloseCode | null): void {
    if (this.ended) return
    const last = say === null ? null : this.#lastWords(say)
    this.ended = true
    this.#reason = reason
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const lane of this.#lanes) lane.close(lane.number === 0 ? last : null)
    for (const stream of this.#streams.values()) stream.onConnectionEnd()
    this.#streams.clear()
    this.#early = []
    this.#controlDue.clear()
    this.#flushDue.clear()
    this.#options.gone(this)
    if (this.#onClose !== null) this.#announceEnd()
  }

  #lastWords(code: CloseCode): LaneFrame {
    // What was finished goes ahead of the goodbye.
    const [control] = this.#lanes
    if (control?.stuckSince === null) control.put(this.nextFrames(control))
    return { type: 'close', stream: CLOSE_CODES[code], value: 0, length: 0 }
  }

  /** Later, so that nobody is called back from within a call of their own. */
  #announceEnd(): void {
    if (this.#announced) return
    this.#announced = true
    const reason = this.#reason!
    queueMicrotask(() => this.#onClose?.(reason))
  }
}
