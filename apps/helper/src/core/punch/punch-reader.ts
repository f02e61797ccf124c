/** Decides whether a datagram is from the peer that we are punching to: right secret, right time, not seen before. Answers nothing itself. */
import {
  type Hmac, type PunchPacket, PUNCH_BYTES, decodePunchOf, hasPunchHint, punchBucketOf, punchHintOf,
} from '@harddrive-party/protocol'

/** Knocks remembered in one attempt, so that a copy sent from elsewhere is not answered: more than one attempt receives. */
const MAX_SEEN = 4096

interface Lock {
  readonly key: Uint8Array
  readonly hint: Uint8Array
  readonly bucket: number
}

export class PunchReader {
  readonly #keys: readonly Uint8Array[]
  readonly #hmac: Hmac
  readonly #seen = new Set<string>()
  /** Everything that a packet may be made with at this time. */
  #locks: readonly Lock[] = []
  #bucket = -1

  /** @param keys `punchKeyOf` from the peer to us, one for each secret of ours that it may hold */
  constructor(keys: readonly Uint8Array[], hmac: Hmac) {
    this.#keys = keys
    this.#hmac = hmac
  }

  /** @returns undefined for everything that is not a fresh packet of this peer's to us */
  read(bytes: Uint8Array, unixMs: number): PunchPacket | undefined {
    if (bytes.length !== PUNCH_BYTES) return undefined
    const lock = this.#locksOf(punchBucketOf(unixMs)).find(({ hint }) => hasPunchHint(bytes, hint))
    if (lock === undefined) return undefined
    const decoded = decodePunchOf(bytes, lock.key, lock.bucket, this.#hmac)
    if (!decoded.ok) return undefined
    const packet = decoded.value
    return packet.type === 'answer' || this.#isNew(nonceKey(packet.nonce)) ? packet : undefined
  }

  #isNew(nonce: string): boolean {
    if (this.#seen.has(nonce)) return false
    for (const oldest of this.#seen) {
      if (this.#seen.size < MAX_SEEN) break
      this.#seen.delete(oldest)
    }
    this.#seen.add(nonce)
    return true
  }

  #locksOf(bucket: number): readonly Lock[] {
    if (bucket !== this.#bucket) {
      this.#bucket = bucket
      const buckets = [bucket, bucket - 1, bucket + 1].filter((each) => each >= 0)
      this.#locks = buckets.flatMap((each) => this.#keys.map((key) => ({ key, bucket: each, hint: punchHintOf(key, each, this.#hmac) })))
    }
    return this.#locks
  }
}

/** A nonce as a key of a map. */
export function nonceKey(nonce: Uint8Array): string {
  return String.fromCharCode(...nonce)
}
