import { CodedError, type PeerId } from '@harddrive-party/protocol'
import {
  type AccessApi, type AccessInfo, type Audience, type ControlChange, DEFAULT_LIMITS, type GroupInfo, type LimitsApi, type LimitsInfo, type PeerInfo, type PeerLimits,
} from '@harddrive-party/protocol/control'

/** The mock's part for limits, groups and audiences: keeps what is set and limits nothing. */
export interface MockSharing {
  readonly methods: AccessApi & LimitsApi
  limits(): LimitsInfo
  access(): AccessInfo
  setAudience(shareId: string, audience: Audience): void
  forget(peerId: PeerId): void
}

export interface MockSharingOptions {
  readonly emit: (change: ControlChange) => void
  /** Throws where there is none. */
  readonly knownPeer: (peerId: PeerId) => PeerInfo
  readonly ownShare: (shareId: string) => unknown
  readonly groups: readonly GroupInfo[]
}

const PLAIN: PeerLimits = { up: null, down: null, priority: 'normal' }

export function openMockSharing({ emit, knownPeer, ownShare, groups: first }: MockSharingOptions): MockSharing {
  let settings = DEFAULT_LIMITS
  let number = 0
  const peers = new Map<PeerId, PeerLimits>()
  const groups = new Map(first.map((group) => [group.groupId, group]))
  const audiences = new Map<string, Exclude<Audience, 'everyone'>>()

  const limits = (): LimitsInfo => ({ settings, peers: [...peers].map(([peerId, own]) => ({ peerId, ...own })), now: { up: settings.up, down: settings.down, rule: null } })
  const access = (): AccessInfo => ({
    groups: [...groups.values()].sort((a, b) => a.name.localeCompare(b.name)), audiences: [...audiences].map(([shareId, audience]) => ({ shareId, audience })),
  })
  const group = (groupId: string): GroupInfo => {
    const found = groups.get(groupId)
    if (found === undefined) throw new CodedError('not-found', 'there is no such group')
    return found
  }
  const freeName = (name: string, except?: string) => {
    const isTaken = [...groups.values()].some((other) => other.groupId !== except && other.name.toLowerCase() === name.toLowerCase())
    if (isTaken) throw new CodedError('conflict', `name: there is a group “${name}” already`)
  }
  const tellAccess = () => emit({ type: 'access', access: access() })
  const tellLimits = (): LimitsInfo => {
    emit({ type: 'limits', limits: limits() })
    return limits()
  }
  const putGroup = (next: GroupInfo): GroupInfo => {
    groups.set(next.groupId, next)
    tellAccess()
    return next
  }
  const setAudience = (shareId: string, audience: Audience) => {
    if (audience === 'everyone') audiences.delete(shareId)
    else {
      audience.peers.forEach(knownPeer)
      audience.groups.forEach(group)
      audiences.set(shareId, audience)
    }
    tellAccess()
  }

  return {
    limits,
    access,
    setAudience,
    forget: (peerId) => {
      peers.delete(peerId)
      for (const one of groups.values()) groups.set(one.groupId, { ...one, members: one.members.filter((id) => id !== peerId) })
      for (const [shareId, audience] of audiences) audiences.set(shareId, { ...audience, peers: audience.peers.filter((id) => id !== peerId) })
      tellAccess()
      tellLimits()
    },
    methods: {
      setLimits: async (change) => {
        settings = { ...settings, ...change }
        return tellLimits()
      },
      setPeerLimits: async ({ peerId, ...change }) => {
        knownPeer(peerId)
        const next = { ...(peers.get(peerId) ?? PLAIN), ...change }
        if (next.up === null && next.down === null && next.priority === 'normal') peers.delete(peerId)
        else peers.set(peerId, next)
        return tellLimits()
      },
      setAudience: async ({ shareId, audience }) => {
        ownShare(shareId)
        setAudience(shareId, audience)
        return access()
      },
      addGroup: async ({ name, members = [] }) => {
        freeName(name)
        members.forEach(knownPeer)
        number += 1
        return putGroup({ groupId: `group-${number}`, name, members })
      },
      changeGroup: async ({ groupId, name, members }) => {
        const before = group(groupId)
        if (name !== undefined) freeName(name, groupId)
        members?.forEach(knownPeer)
        return putGroup({ groupId, name: name ?? before.name, members: members ?? before.members })
      },
      removeGroup: async ({ groupId }) => {
        group(groupId)
        groups.delete(groupId)
        for (const [shareId, audience] of audiences) audiences.set(shareId, { ...audience, groups: audience.groups.filter((id) => id !== groupId) })
        tellAccess()
      },
    },
  }
}
