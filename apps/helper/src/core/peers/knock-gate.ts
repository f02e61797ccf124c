/**
 * Decides which first packets may cost us a TLS engine. Pure: the time comes in, the HMAC comes in, nothing is sent from here.
 * A refusal is silent by definition, so there is only one kind of it towards the outside; the reasons are for our own counters.
 */

/** Which of our secrets was known: that of the current code, that given to known peers, or that announced on the local network since this start. */
export type KnockName = 'code' | 'known' | 'lan'

/** 16 bytes each; `lan` only while we announce ourselves there. */
export type GateSecrets = Readonly<Record<'code' | 'known', Uint8Array>> & { readonly lan?: Uint8Array | undefined }

export type GateVerdict =
  | { readonly admit: true; readonly knock: KnockName }
  | { readonly admit: false; readonly reason: 'no-knock' | 'replayed' | 'too-fast' | 'half-open' | 'half-open-source' }

/** @returns whether the connection ID carries a knock made with this secret within the protocol's window around `unixMs` */
export type CheckKnock = (connectionId: Uint8Array, secret: Uint8Array, unixMs: number) => boolean

export interface FirstPacket {
  /** The source connection ID, 20 bytes, where the knock is. */
  readonly scid: Uint8Array
  /** The same as a map key: any injective text form. */
  readonly scidKey: string
  /** Whom half-open connections are counted against: the sender's address without its port. */
  readonly source: string
  /** Milliseconds of a monotonic clock. */
  readonly now: number
  /** Milliseconds since 1970, which is what a knock is made from. */
  readonly unixMs: number
}

/** Handshakes under way, all together: each costs 34 kB until it is through or given up. */
export const MAX_HALF_OPEN = 128

/** Handshakes under way from one address: a household behind one NAT dials less than this at once. */
export const MAX_HALF_OPEN_PER_SOURCE = 16

/** Admissions per second, sustained and at once. Also bounds the replay cache, which forgets nothing before its time. */
export const ADMISSIONS_PER_SECOND = 50
export const ADMISSION_BURST = 128

/** Knock checks per second (up to 45 µs each: three secrets, three time buckets): what a flood beyond this contains is not even looked at. */
export const CHECKS_PER_SECOND = 5000

/** A knock is good in its 30 s bucket and the neighbouring ones; a used one is remembered for longer than that. */
export const REPLAY_MEMORY_MS = 100_000

const REPLAY_CAPACITY = ADMISSION_BURST + Math.ceil((ADMISSIONS_PER_SECOND * REPLAY_MEMORY_MS) / 1000)

export class KnockGate {
  readonly #check: CheckKnock
  #secrets: GateSecrets
  #checks: Bucket = { tokens: CHECKS_PER_SECOND, at: 0 }
  #admissions: Bucket = { tokens: ADMISSION_BURST, at: 0 }
  /** Used knocks and when they may be forgotten, oldest first. */
  readonly #used = new Map<string, number>()
  readonly #bySource = new Map<string, number>()
  #halfOpen = 0

  constructor(check: CheckKnock, secrets: GateSecrets) {
    this.#check = check
    this.#secrets = secrets
  }

  get halfOpen(): number {
    return this.#halfOpen
  }

  /** Knocks made with the former secrets are no longer good. */
  setSecrets(secrets: GateSecrets): void {
    this.#secrets = secrets
  }

  /** An admitted packet counts as half open until {@link settle} is called for its source. */
  judge(packet: FirstPacket): GateVerdict {
    // Cheapest first: what a flood can make us do is decided by the order of these lines.
    if (this.#halfOpen >= MAX_HALF_OPEN) return { admit: false, reason: 'half-open' }
    if (this.#used.has(packet.scidKey)) return { admit: false, reason: 'replayed' }
    if (!take(this.#checks, packet.now, CHECKS_PER_SECOND, CHECKS_PER_SECOND)) return { admit: false, reason: 'too-fast' }
    const knock = this.#recognise(packet)
    if (knock === null) return { admit: false, reason: 'no-knock' }
    const fromSource = this.#bySource.get(packet.source) ?? 0
    if (fromSource >= MAX_HALF_OPEN_PER_SOURCE) return { admit: false, reason: 'half-open-source' }
    this.#forget(packet.now)
    if (this.#used.size >= REPLAY_CAPACITY || !take(this.#admissions, packet.now, ADMISSIONS_PER_SECOND, ADMISSION_BURST)) {
      return { admit: false, reason: 'too-fast' }
    }
    this.#used.set(packet.scidKey, packet.now + REPLAY_MEMORY_MS)
    this.#bySource.set(packet.source, fromSource + 1)
    this.#halfOpen++
    return { admit: true, knock }
  }

  /** The handshake of an admitted packet has succeeded, failed or been given up: exactly once for each. */
  settle(source: string): void {
    const left = (this.#bySource.get(source) ?? 0) - 1
    if (left > 0) this.#bySource.set(source, left)
    else this.#bySource.delete(source)
    this.#halfOpen--
  }

  #recognise({ scid, unixMs }: FirstPacket): KnockName | null {
    const { code, known, lan } = this.#secrets
    if (this.#check(scid, code, unixMs)) return 'code'
    if (this.#check(scid, known, unixMs)) return 'known'
    return lan !== undefined && this.#check(scid, lan, unixMs) ? 'lan' : null
  }

  #forget(now: number): void {
    for (const [key, until] of this.#used) {
      if (until > now) return
      this.#used.delete(key)
    }
  }
}

interface Bucket {
  tokens: number
  at: number
}

function take(bucket: Bucket, now: number, perSecond: number, most: number): boolean {
  bucket.tokens = Math.min(most, bucket.tokens + ((now - bucket.at) * perSecond) / 1000)
  bucket.at = now
  if (bucket.tokens < 1) return false
  bucket.tokens--
  return true
}
