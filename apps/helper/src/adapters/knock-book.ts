/**
 * Knows whose knocks arrive while we do not punch towards anybody: tries the keys of the peers that are wanted. Bounded, for anybody can send datagrams;
 * what follows from a knock is decided elsewhere.
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
  readonly hmac: Hmac
}

/** Datagrams looked at per second: more than the quickest search sends us. */
const LOOKS_PER_SECOND = 2_000
/** Peers listened for: making the hints of one costs six HMACs, every half minute at most. */
const MAX_WANTED = 256
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

  /** @returns hex of the key hash of the wanted peer that made this knock for us now; it is kept for `recall` */
  whose(packet: KnockPacket, unixMs: number): string | undefined {
    if (punchTypeOf(packet.bytes) !== 'knock') return undefined
    this.#makeKeys(unixMs)
    const found = this.#keys.get(hex(packet.bytes.subarray(AT_HINT, AT_HINT + PUNCH_HINT_BYTES)))
    if (!found || !decodePunchOf(packet.bytes, found.key, found.bucket, this.#options.hmac).ok) return undefined
    this.#keep(found.keyHash, packet)
    return found.keyHash
  }

  /** The last knock of this peer, once. */
  recall(keyHash: string): KnockPacket | undefined {
    const packet = this.#kept.get(keyHash)
    this.#kept.delete(keyHash)
    return packet
  }

  #keep(keyHash: string, packet: KnockPacket): void {
    this.#kept.delete(keyHash)
    this.#kept.set(keyHash, packet)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
  }

  #makeKeys(unixMs: number): void {
    const { selfHash, hmac } = this.#options
    const bucket = punchBucketOf(unixMs)
    const wanted = this.#options.wanted().slice(0, MAX_WANTED)
    const secrets = this.#options.secrets()
    const madeFor = [bucket, ...secrets.map(hex), ...wanted].join(' ')
    if (madeFor === this.#madeFor) return
    this.#madeFor = madeFor
    this.#keys = new Map()
    for (const peerId of wanted) {
      const theirs = keyHashOf(peerId)
      for (const secret of secrets) {
        const key = punchKeyOf(secret, theirs, selfHash, hmac)
        for (const at of [bucket - 1, bucket, bucket + 1]) {
          if (at >= 0) this.#keys.set(hex(punchHintOf(key, at, hmac)), { keyHash: hex(theirs), key, bucket: at })
        }
      }
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
