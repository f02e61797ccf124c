import type { Detail, PeerId, ReachCandidate } from '@harddrive-party/protocol'

/** Remembers what was tried lately to reach each peer and what came of it, for a person who asks why. Bounded; decides nothing. */

export type AttemptMethod = 'loopback' | 'lan' | 'ipv6' | 'direct' | 'mapped' | 'punched'

export interface Attempt<Outcome extends string> {
  /** Milliseconds since 1970. */
  readonly at: number
  /** `host:port`. */
  readonly candidate: string
  readonly source: ReachCandidate['source'] | null
  readonly method: AttemptMethod
  readonly outcome: Outcome
  readonly message: string
  readonly detail?: Detail
  readonly ms: number
  readonly packets: number
  /** Absent = QUIC. */
  readonly transport?: 'tcp'
}

export interface AttemptsOf<Outcome extends string> {
  /** Null while only the hash of the key is known. */
  readonly peerId: PeerId | null
  readonly keyHash: string
  /** Newest first. */
  readonly attempts: readonly Attempt<Outcome>[]
}

/** Two rounds over all addresses of a peer. */
export const MAX_ATTEMPTS_KEPT = 40
/** Peers remembered, those that were tried last. */
export const MAX_PEERS_KEPT = 128

interface Entry<Outcome extends string> {
  peerId: PeerId | null
  attempts: Attempt<Outcome>[]
}

export class AttemptLog<Outcome extends string> {
  readonly #peers = new Map<string, Entry<Outcome>>()

  /** @returns what replaces the attempt by what has become of it; harmless once it is forgotten */
  begin(peer: { readonly keyHash: string; readonly peerId: PeerId | null }, attempt: Attempt<Outcome>): (change: Partial<Attempt<Outcome>>) => void {
    const entry = this.#entry(peer.keyHash)
    entry.peerId ??= peer.peerId
    let present = attempt
    entry.attempts = [attempt, ...entry.attempts].slice(0, MAX_ATTEMPTS_KEPT)
    return (change) => {
      const changed = { ...present, ...change }
      entry.attempts = entry.attempts.map((kept) => (kept === present ? changed : kept))
      present = changed
    }
  }

  /** The whole key of somebody is known now. */
  name(keyHash: string, peerId: PeerId): void {
    const entry = this.#peers.get(keyHash)
    if (entry) entry.peerId = peerId
  }

  /** Those tried last come first. */
  report(): AttemptsOf<Outcome>[] {
    return [...this.#peers].map(([keyHash, { peerId, attempts }]) => ({ peerId, keyHash, attempts })).toReversed()
  }

  #entry(keyHash: string): Entry<Outcome> {
    const entry = this.#peers.get(keyHash) ?? { peerId: null, attempts: [] }
    this.#peers.delete(keyHash)
    this.#peers.set(keyHash, entry)
    const [oldest] = this.#peers.keys()
    if (this.#peers.size > MAX_PEERS_KEPT && oldest !== undefined) this.#peers.delete(oldest)
    return entry
  }
}
