/** Answers the control methods about audiences and groups. Every change reaches the network process before the answer. */
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import type { AccessApi, Audience } from '@harddrive-party/protocol/control'
import type { AccessBook } from './access-book.ts'
import type { Shares } from './services.ts'

export interface AccessServiceOptions {
  readonly access: AccessBook
  readonly shares: Pick<Shares, 'infos'>
  /** Throws for a peer that is not known. */
  readonly knownPeer: (peerId: PeerId) => unknown
  readonly publishShares: () => Promise<void>
}

export function createAccessService({ access, shares, knownPeer, publishShares }: AccessServiceOptions): AccessApi {
  return {
    setAudience: async ({ shareId, audience }) => {
      if (!shares.infos().some((share) => share.shareId === shareId)) throw new CodedError('not-found', 'there is no such share')
      checkPeers(audience, knownPeer, access.audienceOf(shareId))
      await access.setAudience(shareId, audience)
      await publishShares()
      return access.info()
    },
    addGroup: async ({ name, members = [] }) => {
      members.forEach(knownPeer)
      return access.addGroup(name, members)
    },
    changeGroup: async ({ groupId, ...change }) => {
      // Whoever is in it may have been forgotten since; that must not be in the way of others.
      const before = access.info().groups.find((group) => group.groupId === groupId)?.members ?? []
      change.members?.filter((peerId) => !before.includes(peerId)).forEach(knownPeer)
      const group = await access.changeGroup(groupId, change)
      await publishShares()
      return group
    },
    removeGroup: async ({ groupId }) => {
      await access.removeGroup(groupId)
      await publishShares()
    },
  }
}

/** @param before whose peers were checked then @throws what `knownPeer` throws */
export function checkPeers(audience: Audience, knownPeer: (peerId: PeerId) => unknown, before: Audience = 'everyone'): void {
  if (audience === 'everyone') return
  const known = before === 'everyone' ? [] : before.peers
  for (const peerId of audience.peers) if (!known.includes(peerId)) knownPeer(peerId)
}
