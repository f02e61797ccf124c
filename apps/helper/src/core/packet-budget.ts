/**
 * Bounds what punching may send, all attempts of the process together: packets per second, packets towards one address, and new flows, which cost places
 * in the tables of routers that a whole household shares. Pure accounting; who asks in vain tries again later.
 */

/** All punching together, sustained and at once. The fastest search sends 1,000 packets per second. */
export const PACKETS_PER_SECOND = 1200
export const PACKET_BURST = 600

/** Towards one address: a search of 2,048 flows with repetitions, then what sparse knocking needs. Whoever has us pointed at a victim gets no more than this. */
export const PACKETS_PER_HOST = 5000
export const HOST_REFILL_PER_SECOND = 25

/** Routers at home keep 1,000 to 4,000 flows and forget unanswered ones after 30 s or more (a router with 1,024 was measured to be full after 1,000 probes). */
export const FLOWS_AT_ONCE = 2400
export const FLOW_REFILL_PER_SECOND = 40

/** Addresses remembered; full ones are forgotten first, since they owe nothing. */
const MAX_HOSTS = 256

interface Bucket {
  tokens: number
  at: number
}

export class PacketBudget {
  readonly #packets: Bucket = { tokens: PACKET_BURST, at: 0 }
  readonly #flows: Bucket = { tokens: FLOWS_AT_ONCE, at: 0 }
  readonly #hosts = new Map<string, Bucket>()

  /**
   * @param host the address that one packet is to go to
   * @param newFlow whether its (socket, address, port) has not been used before
   * @returns false when it must not be sent now; nothing is spent then
   */
  spend(now: number, host: string, newFlow: boolean): boolean {
    refill(this.#packets, now, PACKETS_PER_SECOND, PACKET_BURST)
    refill(this.#flows, now, FLOW_REFILL_PER_SECOND, FLOWS_AT_ONCE)
    const towards = this.#towards(now, host)
    if (towards === undefined || towards.tokens < 1 || this.#packets.tokens < 1 || (newFlow && this.#flows.tokens < 1)) return false
    towards.tokens--
    this.#packets.tokens--
    if (newFlow) this.#flows.tokens--
    return true
  }

  #towards(now: number, host: string): Bucket | undefined {
    const known = this.#hosts.get(host)
    if (known !== undefined) {
      refill(known, now, HOST_REFILL_PER_SECOND, PACKETS_PER_HOST)
      return known
    }
    if (this.#hosts.size >= MAX_HOSTS) this.#forget(now)
    if (this.#hosts.size >= MAX_HOSTS) return undefined
    const fresh = { tokens: PACKETS_PER_HOST, at: now }
    this.#hosts.set(host, fresh)
    return fresh
  }

  #forget(now: number): void {
    for (const [host, bucket] of this.#hosts) {
      refill(bucket, now, HOST_REFILL_PER_SECOND, PACKETS_PER_HOST)
      if (bucket.tokens >= PACKETS_PER_HOST) this.#hosts.delete(host)
    }
  }
}

function refill(bucket: Bucket, now: number, perSecond: number, most: number): void {
  bucket.tokens = Math.min(most, bucket.tokens + (Math.max(0, now - bucket.at) * perSecond) / 1000)
  bucket.at = now
}
