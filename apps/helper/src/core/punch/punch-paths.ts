/** What is known of each pair of a socket of ours and an endpoint of theirs during one attempt: knocked, heard, confirmed. Decides only what is forgotten. */
import { type Endpoint, formatEndpoint } from '@harddrive-party/protocol'
import { nonceKey } from './punch-reader.ts'
import { type PathRank, rankOf } from './punch-targets.ts'

export interface PunchPath {
  readonly socket: number
  readonly endpoint: Endpoint
  readonly rank: PathRank
  /** One of the peer's known addresses, or a place where something of it was seen. */
  readonly isTarget: boolean
  /** When a packet of the peer's last came this way. */
  heardAt: number | undefined
  /** The shortest round trip; set = the peer has heard us here and we have heard it. */
  rttMs: number | undefined
  nextKnockAt: number
  /** Sparse knocks in this round. */
  sparse: number
}

interface Knock {
  readonly socket: number
  readonly to: Endpoint
  readonly at: number
  readonly chosen: boolean
}

/** Places beside the known addresses: two or three are real, the rest could only be copies of packets sent from elsewhere. */
const MAX_SEEN_PATHS = 24

/** Knocks whose answers still count: a search of four seconds, or a minute of knocking. */
const MAX_KNOCKS = 4096

export class PunchPaths {
  readonly #paths = new Map<string, PunchPath>()
  readonly #knocks = new Map<string, Knock>()
  /** Every (socket, endpoint) that was sent to: only new ones cost places in tables of routers. */
  readonly #flows = new Set<string>()

  all(): Iterable<PunchPath> {
    return this.#paths.values()
  }

  get(socket: number, endpoint: Endpoint): PunchPath | undefined {
    return this.#paths.get(keyOf(socket, endpoint))
  }

  /** The known addresses, from now on; those of before that nothing was heard from are forgotten. */
  setTargets(now: number, endpoints: readonly Endpoint[]): void {
    for (const [key, path] of this.#paths) if (path.heardAt === undefined) this.#paths.delete(key)
    for (const endpoint of endpoints) {
      const key = keyOf(0, endpoint)
      if (!this.#paths.has(key)) this.#paths.set(key, newPath(0, endpoint, true, now))
    }
  }

  /** A good packet came from there to that socket. @returns undefined when there are too many such places already */
  heard(now: number, socket: number, from: Endpoint): PunchPath | undefined {
    const key = keyOf(socket, from)
    let path = this.#paths.get(key)
    if (path === undefined) {
      let seen = 0
      for (const { isTarget } of this.#paths.values()) if (!isTarget) seen++
      if (seen >= MAX_SEEN_PATHS) return undefined
      path = newPath(socket, from, false, now)
      this.#paths.set(key, path)
    }
    path.heardAt = now
    return path
  }

  isNewFlow(socket: number, to: Endpoint): boolean {
    return !this.#flows.has(keyOf(socket, to))
  }

  knocked(nonce: Uint8Array, knock: Knock): void {
    this.#flows.add(keyOf(knock.socket, knock.to))
    this.#knocks.set(nonceKey(nonce), knock)
    for (const oldest of this.#knocks.keys()) {
      if (this.#knocks.size <= MAX_KNOCKS) break
      this.#knocks.delete(oldest)
    }
  }

  /** An answer counts once, from where its knock went, to the socket that it left from. */
  answered(nonce: Uint8Array, socket: number, from: Endpoint): Knock | undefined {
    const key = nonceKey(nonce)
    const knock = this.#knocks.get(key)
    if (knock === undefined || knock.socket !== socket || keyOf(0, knock.to) !== keyOf(0, from)) return undefined
    this.#knocks.delete(key)
    return knock
  }

  /** The best of the confirmed ones: nearest, then fastest. */
  best(): PunchPath | undefined {
    let best: PunchPath | undefined
    for (const path of this.#paths.values()) {
      if (path.rttMs !== undefined && (best === undefined || isBetter(path, best))) best = path
    }
    return best
  }

  /** Whether anything that is still being tried would be nearer than this. */
  hasNearer(rank: PathRank): boolean {
    for (const path of this.#paths.values()) if (path.rttMs === undefined && path.rank < rank) return true
    return false
  }
}

function newPath(socket: number, endpoint: Endpoint, isTarget: boolean, now: number): PunchPath {
  return { socket, endpoint, rank: rankOf(endpoint), isTarget, heardAt: undefined, rttMs: undefined, nextKnockAt: now, sparse: 0 }
}

function isBetter(a: PunchPath, b: PunchPath): boolean {
  return a.rank === b.rank ? (a.rttMs ?? 0) < (b.rttMs ?? 0) : a.rank < b.rank
}

function keyOf(socket: number, endpoint: Endpoint): string {
  return `${socket} ${formatEndpoint(endpoint)}`
}
