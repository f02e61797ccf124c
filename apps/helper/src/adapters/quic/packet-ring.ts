/** Buffers for packets on their way into the system, laid end to end so that a system that can cut takes many in one call. Sends nothing by itself. */
import type { Endpoint } from '@harddrive-party/protocol'
import { MAX_QUEUED_PACKETS } from '../reach/udp-socket.ts'
import { MAX_PACKET_BYTES } from './config.ts'

/** More than may be queued in the system: a packet stays as it is until it is gone. */
const SLOTS = 2 * MAX_QUEUED_PACKETS

export interface PacketRingOptions {
  /** How many packets one send on this way may hold, at least 1. */
  most(to: Endpoint, socket: number): number
  /** @param bytes that many packets end to end, all of MAX_PACKET_BYTES but the last, which may be shorter */
  send(bytes: Uint8Array, to: Endpoint, socket: number, packets: number): void
}

export class PacketRing {
  readonly #options: PacketRingOptions
  readonly #memory = new Uint8Array(SLOTS * MAX_PACKET_BYTES)
  readonly #slots = Array.from({ length: SLOTS }, (_, slot) => this.#memory.subarray(slot * MAX_PACKET_BYTES, (slot + 1) * MAX_PACKET_BYTES))
  #at = 0
  /** The send that is being put together: `packets` slots from `first` on. */
  #first = 0
  #packets = 0
  #bytes = 0
  #most = 1
  #to: Endpoint | undefined
  #socket = 0

  constructor(options: PacketRingOptions) {
    this.#options = options
  }

  /** Where the next packet is to be written, MAX_PACKET_BYTES long. */
  get buffer(): Uint8Array {
    return this.#slots[this.#at]!
  }

  /** The packet in `buffer` is `length` bytes long and goes to `to`; with others of the same way, and at the latest with `flush`. */
  push(length: number, to: Endpoint, socket: number): void {
    if (this.#packets > 0 && (to !== this.#to || socket !== this.#socket)) this.flush()
    if (this.#packets === 0) {
      this.#first = this.#at
      this.#bytes = 0
      this.#to = to
      this.#socket = socket
      this.#most = this.#options.most(to, socket)
    }
    this.#packets++
    this.#bytes += length
    this.#at = (this.#at + 1) % SLOTS
    // A short one is the last of its send, and nothing lies end to end around the end of the ring.
    if (length < MAX_PACKET_BYTES || this.#packets >= this.#most || this.#at === 0) this.flush()
  }

  flush(): void {
    const packets = this.#packets
    if (packets === 0 || this.#to === undefined) return
    this.#packets = 0
    const start = this.#first * MAX_PACKET_BYTES
    this.#options.send(this.#memory.subarray(start, start + this.#bytes), this.#to, this.#socket, packets)
  }
}
