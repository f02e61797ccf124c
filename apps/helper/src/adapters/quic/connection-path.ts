/** Where one connection's peer is: runs the path follower on real packets, keys and time. */
import { createHmac, randomBytes } from 'node:crypto'
import { decodeEcho, decodeProbe, encodeEcho, encodeProbe, type Endpoint, type Hmac, PROBE_NONCE_BYTES } from '@harddrive-party/protocol'
import { type PathEffect, PathFollower, type PathInput } from '../../core/peers/path-follower.ts'

export interface PathKeys {
  /** 16 bytes each: what we gave the peer and check its datagrams with, and what it gave us. */
  readonly ours: Uint8Array
  readonly theirs: Uint8Array
}

const hmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

export class ConnectionPath {
  #keys: PathKeys | null = null
  readonly #follower: PathFollower
  readonly #transmit: (datagram: Uint8Array, to: Endpoint) => void
  readonly #onFollow: () => void

  constructor(start: Endpoint, transmit: (datagram: Uint8Array, to: Endpoint) => void, onFollow: () => void) {
    this.#follower = new PathFollower(start)
    this.#transmit = transmit
    this.#onFollow = onFollow
  }

  get current(): Endpoint {
    return this.#follower.current
  }

  get deadline(): number | undefined {
    return this.#follower.deadline
  }

  set keys(keys: PathKeys) {
    this.#keys = keys
  }

  /** Whether a packet from there would be a reason to ask who is there. */
  isNews(host: string, port: number): boolean {
    const { current } = this.#follower
    return this.#keys !== null && (port !== current.port || host !== current.host)
  }

  /** A packet from there has proved to be the peer's. */
  heard(now: number, from: Endpoint): void {
    this.#run(now, { type: 'heard', from, nonce: randomBytes(PROBE_NONCE_BYTES) })
  }

  /** @returns whether the datagram was made for this connection */
  receive(now: number, type: 'probe' | 'echo', bytes: Uint8Array, from: Endpoint): boolean {
    if (this.#keys === null) return false
    const decoded = type === 'probe' ? decodeProbe(bytes, this.#keys.ours, hmac) : decodeEcho(bytes, this.#keys.ours, hmac)
    if (decoded.ok) this.#run(now, { type, from, nonce: decoded.value })
    return decoded.ok
  }

  tick(now: number): void {
    if (this.deadline !== undefined && now >= this.deadline) this.#run(now, { type: 'tick' })
  }

  #run(now: number, input: PathInput): void {
    for (const effect of this.#follower.step(now, input)) this.#do(effect)
  }

  #do(effect: PathEffect): void {
    if (this.#keys === null) return
    if (effect.type === 'send-probe') this.#transmit(encodeProbe(effect.nonce, this.#keys.theirs, hmac), effect.to)
    else if (effect.type === 'send-echo') this.#transmit(encodeEcho(effect.nonce, this.#keys.theirs, hmac), effect.to)
    else this.#onFollow()
  }
}
