import type { PeerId } from '../peer-id.ts'

/** How much others get from me and I take from them: limits, their times, bounds for each peer, and who comes first. Part of the control contract. */
export interface LimitsApi {
  /** What is left out stays. Holds at once, also for what runs. */
  setLimits(args: Partial<LimitSettings>): Promise<LimitsInfo>
  /** For one peer; what is left out stays. */
  setPeerLimits(args: { peerId: PeerId } & Partial<PeerLimits>): Promise<LimitsInfo>
}

export const LIMITS_METHODS = ['setLimits', 'setPeerLimits'] as const satisfies readonly (keyof LimitsApi)[]

/** Bytes per second; null = no limit. */
export type Rate = number | null

export interface LimitSettings {
  /** For all peers together. */
  readonly up: Rate
  readonly down: Rate
  /** For each peer. */
  readonly peerUp: Rate
  readonly peerDown: Rate
  /** Peers on the same network, or on this machine, do not count, but for limits of their own. */
  readonly localIsFree: boolean
  /** Other limits for all peers together at some times; the first that holds counts. */
  readonly rules: readonly LimitRule[]
  /** Parts of files (4 MiB at most) sent at once. */
  readonly slots: number
  /** Files sent to one peer at once. */
  readonly filesPerPeer: number
  /** Parts that one peer may have asked for and not yet got; more are refused. */
  readonly queuePerPeer: number
}

export interface LimitRule {
  /** 0 = Sunday … 6 = Saturday: on which days it begins. */
  readonly days: readonly number[]
  /** Local time, `HH:MM`. An end at or before the beginning is on the next day. */
  readonly from: string
  readonly to: string
  readonly up: Rate
  readonly down: Rate
}

/** `high` gets four turns for one of `normal`, `low` one for four. */
export type PeerPriority = 'high' | 'normal' | 'low'

export interface PeerLimits {
  /** Bytes per second, wherever the peer is; null = as for every peer, `none` = only the limit for all together. */
  readonly up: Rate | 'none'
  readonly down: Rate | 'none'
  readonly priority: PeerPriority
}

export interface LimitsInfo {
  readonly settings: LimitSettings
  /** Those with anything of their own. */
  readonly peers: readonly (PeerLimits & { readonly peerId: PeerId })[]
  /** What holds now for all together, and which rule says so (its index; null = none). */
  readonly now: { readonly up: Rate; readonly down: Rate; readonly rule: number | null }
}

/** What one peer is being sent, and what it waits for. */
export interface UploadPeerInfo {
  readonly peerId: PeerId
  readonly peerName: string
  readonly bytesPerSecond: number
  /** Parts of files. */
  readonly sending: number
  readonly waiting: number
  /** Its place among peers that wait for a turn; null while it waits for none. */
  readonly place: number | null
  /** The limit that holds for it alone or for all, whichever is less. */
  readonly limit: Rate
  /** A limit of ours holds it up just now. */
  readonly isLimited: boolean
}

/** Bounds of what may be set, with their reasons. */
/** Less, and one part of a file takes so long that the other side gives up on it. */
export const MIN_RATE = 10_000
/** More than any line. */
export const MAX_RATE = 100_000_000_000
export const MAX_RULES = 16
/** Each part is up to 4 MiB of memory, and half as many again are kept for peers that have none. */
export const MAX_UPLOAD_SLOTS = 24
export const MAX_FILES_PER_PEER = 8
/** As many streams as a peer may open. */
export const MAX_QUEUE_PER_PEER = 64

export const DEFAULT_LIMITS: LimitSettings = {
  up: null, down: null, peerUp: null, peerDown: null, localIsFree: true, rules: [], slots: 16, filesPerPeer: MAX_FILES_PER_PEER, queuePerPeer: MAX_QUEUE_PER_PEER,
}

/** @returns minutes since midnight of `HH:MM`, undefined for anything else */
export function parseTimeOfDay(text: string): number | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text)
  return match === null ? undefined : Number(match[1]) * 60 + Number(match[2])
}
