/**
 * Knows whose knocks and answers arrive: looks their hints up among those of the peers that are wanted or punched to. Bounded, for anybody can send
 * datagrams, and a strange one costs no more than that look; what follows from a knock is decided elsewhere.
 */
import {
  type Endpoint, type Hmac, type PeerId, PUNCH_HINT_BYTES, decodePunchOf, keyHashOf, punchBucketOf, punchHintOf, punchKeyOf, punchTypeOf,
} from '@harddrive-party/protocol'

export interface KnockPacket {
  readonly socket: number
  readonly from: Endpoint
  readonly bytes: Uint8Array
}

export interface KnockBookOptions {
  readonly selfHash: Uint8Array
  secrets(): readonly Uint8Array[]
  wanted(): readonly PeerId[]
  /** Key hashes of those whom we punch to, hex. */
  punched(): Iterable<string>
  readonly hmac: Hmac
}

/** Datagrams looked at per second: more than the quickest search sends us. */
const LOOKS_PER_SECOND = 2_000
/** Wanted peers listened for, beside those who are punched to: making the hints of one costs eight HMACs, every half minute or when there is a change. */
const MAX_WANTED = 128
/** Knocks kept until somebody punches back, the oldest forgotten first. */
const MAX_KEPT = 32
/** Hints and flags come before them (see the layout of a punch packet). */
const AT_HINT = 2

interface Key {
  readonly keyHash: string
  readonly key: Uint8Array
  readonly bucket: number
}

export class KnockBook {
  readonly #options: KnockBookOptions
  /** By hint, for the present half minute and its neighbours. */
  #keys = new Map<string, Key>()
  #madeFor = ''
  #kept = new Map<string, KnockPacket>()
  #looks = { left: LOOKS_PER_SECOND, since: 0 }

  constructor(options: KnockBookOptions) {
    this.#options = options
  }

  /** Counts one datagram. @returns whether there are too many to look at this one */
  isFlooded(now: number): boolean {
    if (now - this.#looks.since >= 1000) this.#looks = { left: LOOKS_PER_SECOND, since: now }
    return this.#looks.left-- <= 0
  }

  /** @returns hex of the key hash of the wanted or punched peer that made this for us now; the rest may be forged, replayed or both */
  whose(packet: KnockPacket, unixMs: number): string | undefined {
    if (punchTypeOf(packet.bytes) === undefined) return undefined
    this.#makeKeys(unixMs)
    const found = this.#keys.get(hex(packet.bytes.subarray(AT_HINT, AT_HINT + PUNCH_HINT_BYTES)))
    if (!found || !decodePunchOf(packet.bytes, found.key, found.bucket, this.#options.hmac).ok) return undefined
    return found.keyHash
  }

  /** A knock waits for our own punching to begin. */
  keep(keyHash: string, packet: KnockPacket): void {
    this.#kept.delete(keyHash)
    this.#kept.set(keyHash, packet)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
  }

  /** The last knock of this peer, once. */
  recall(keyHash: string): KnockPacket | undefined {
    const packet = this.#kept.get(keyHash)
    this.#kept.delete(keyHash)
    return packet
  }

  #makeKeys(unixMs: number): void {
    const { selfHash, hmac } = this.#options
    const bucket = punchBucketOf(unixMs)
    const wanted = this.#options.wanted().slice(0, MAX_WANTED)
    const secrets = this.#options.secrets()
    const punched = [...this.#options.punched()]
    const madeFor = [bucket, ...secrets.map(hex), ...wanted, ...punched].join(' ')
    if (madeFor === this.#madeFor) return
    this.#madeFor = madeFor
    this.#keys = new Map()
    for (const keyHash of new Set([...punched, ...wanted.map((peerId) => hex(keyHashOf(peerId)))])) {
      const theirs = Buffer.from(keyHash, 'hex')
      for (const secret of secrets) {
        const key = punchKeyOf(secret, theirs, selfHash, hmac)
        for (const at of [bucket - 1, bucket, bucket + 1]) {
          if (at >= 0) this.#keys.set(hex(punchHintOf(key, at, hmac)), { keyHash, key, bucket: at })
        }
      }
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
