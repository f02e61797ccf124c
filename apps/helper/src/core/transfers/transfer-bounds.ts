import type { BandwidthLimits } from './bandwidth.ts'
import { PRIORITY_WEIGHTS } from './peer-weights.ts'
import type { UploadLimits } from './upload-scheduler.ts'

/** Turns what a person has set into the bounds that the machines keep to. */

export interface WantedLimits {
  /** Bytes per second, null = none. */
  readonly up: number | null
  readonly down: number | null
  readonly peerUp: number | null
  readonly peerDown: number | null
  readonly localIsFree: boolean
  readonly slots: number
  readonly filesPerPeer: number
  readonly queuePerPeer: number
  readonly peers: readonly {
    readonly peerId: string
    readonly up: number | null | 'none'
    readonly down: number | null | 'none'
    readonly priority: keyof typeof PRIORITY_WEIGHTS
  }[]
}

export function bandwidthOf(limits: WantedLimits, direction: 'up' | 'down'): BandwidthLimits {
  const own = new Map<string, number | null>()
  for (const peer of limits.peers) {
    const rate = peer[direction]
    if (rate !== null) own.set(peer.peerId, rate === 'none' ? null : rate)
  }
  return {
    all: limits[direction], each: direction === 'up' ? limits.peerUp : limits.peerDown, own, weights: weightsOf(limits), localIsFree: limits.localIsFree,
  }
}

/** @param usual what nobody has set */
export function uploadBoundsOf(limits: WantedLimits, usual: UploadLimits): UploadLimits {
  // As many again as usual in proportion, for peers that have none.
  const reserve = Math.floor((limits.slots * usual.reserve) / usual.slots)
  return { ...usual, slots: limits.slots, reserve, files: limits.filesPerPeer, queue: limits.queuePerPeer, weights: weightsOf(limits) }
}

/**
 * How many reads of one peer are sent side by side under a limit: each is whole only at its end, so few and quick ones lose less when a connection is
 * lost. @returns undefined = as many as usual
 */
export function slotsUnder(limit: number | null): number | undefined {
  return limit === null ? undefined : Math.max(1, Math.floor(limit / RATE_PER_READ))
}

/** A read of 4 MiB then takes a minute. */
const RATE_PER_READ = 64 * 1024

function weightsOf({ peers }: WantedLimits): ReadonlyMap<string, number> {
  return new Map(peers.map(({ peerId, priority }) => [peerId, PRIORITY_WEIGHTS[priority]]))
}
