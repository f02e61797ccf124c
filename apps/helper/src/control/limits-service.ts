/** Answers the control methods about limits. */
import type { PeerId } from '@harddrive-party/protocol'
import type { LimitsApi } from '@harddrive-party/protocol/control'
import type { LimitsBook } from './limits-book.ts'

/** @param knownPeer throws for a peer that is not known */
export function createLimitsService(limits: LimitsBook, knownPeer: (peerId: PeerId) => unknown): LimitsApi {
  return {
    setLimits: async (change) => {
      await limits.set(change)
      return limits.info()
    },
    setPeerLimits: async ({ peerId, ...change }) => {
      knownPeer(peerId)
      await limits.setPeer(peerId, change)
      return limits.info()
    },
  }
}
