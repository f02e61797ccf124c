/** Keeps groups of peers and the audience of each share, and says who may see what. Reads no files and answers no peer. */
import { CodedError, type PeerId, parsePeerId } from '@harddrive-party/protocol'
import { type AccessInfo, type Audience, type ControlChange, type GroupInfo, MAX_GROUPS } from '@harddrive-party/protocol/control'
import { randomBytes } from 'node:crypto'
import * as v from 'valibot'
import type { Store } from '../adapters/system/store.ts'
import type { SharedRoot } from '../network/network-api.ts'

export interface AccessBook {
  info(): AccessInfo
  audienceOf(shareId: string): Audience
  /** The same shares, each with who may see it. */
  withAudiences(roots: readonly SharedRoot[]): SharedRoot[]
  /** Known at once to whoever asks; resolves when kept. @throws CodedError `not-found` for a group */
  setAudience(shareId: string, audience: Audience): Promise<void>
  /** @throws CodedError `conflict` (the name is taken), `too-large` */
  addGroup(name: string, members: readonly PeerId[]): Promise<GroupInfo>
  /** @throws CodedError `not-found`, `conflict` */
  changeGroup(groupId: string, change: { readonly name?: string; readonly members?: readonly PeerId[] }): Promise<GroupInfo>
  /** @throws CodedError `not-found` */
  removeGroup(groupId: string): Promise<void>
  /** It is in no group and no audience any more. */
  forgetPeer(peerId: PeerId): Promise<void>
  forgetShare(shareId: string): Promise<void>
}

type Chosen = Exclude<Audience, 'everyone'>

const PEERS = v.array(v.custom<PeerId>((raw) => typeof raw === 'string' && parsePeerId(raw).ok))
const CHOSEN = v.object({ peers: PEERS, groups: v.array(v.string()) })
const GROUP = v.object({ groupId: v.string(), name: v.string(), members: PEERS })
const NOBODY: Chosen = { peers: [], groups: [] }

export function createAccessBook({ store, onChange }: { readonly store: Store; readonly onChange: (change: ControlChange) => void }): AccessBook {
  const groupTable = store.table<GroupInfo>('groups', (raw) => {
    const result = v.safeParse(GROUP, raw)
    return result.success ? result.output : undefined
  })
  // An audience that cannot be read must not become everyone.
  const audienceTable = store.table<Chosen>('audiences', (raw) => {
    const result = v.safeParse(CHOSEN, raw)
    return result.success ? result.output : NOBODY
  })
  const groups = new Map(groupTable.entries().map(({ value }) => [value.groupId, value]))
  const audiences = new Map(audienceTable.entries().map(({ key, value }) => [key, value]))

  const info = (): AccessInfo => ({
    groups: [...groups.values()].sort((a, b) => a.name.localeCompare(b.name)),
    audiences: [...audiences].map(([shareId, audience]) => ({ shareId, audience })),
  })
  const tell = () => onChange({ type: 'access', access: info() })
  const group = (groupId: string): GroupInfo => {
    const found = groups.get(groupId)
    if (found === undefined) throw new CodedError('not-found', 'there is no such group')
    return found
  }
  const checkName = (name: string, except?: string) => {
    const isTaken = [...groups.values()].some((other) => other.groupId !== except && other.name.toLowerCase() === name.toLowerCase())
    if (isTaken) throw new CodedError('conflict', `name: there is a group “${name}” already`, { detail: { code: 'group-exists', values: { name } } })
  }
  const putGroup = async (next: GroupInfo): Promise<GroupInfo> => {
    groups.set(next.groupId, next)
    tell()
    await groupTable.put(next.groupId, next)
    return next
  }
  const putAudience = async (shareId: string, audience: Audience) => {
    if (audience === 'everyone') audiences.delete(shareId)
    else audiences.set(shareId, audience)
    tell()
    await (audience === 'everyone' ? audienceTable.remove(shareId) : audienceTable.put(shareId, audience))
  }
  const membersOf = ({ peers, groups: groupIds }: Chosen): PeerId[] => [...new Set([...peers, ...groupIds.flatMap((groupId) => groups.get(groupId)?.members ?? [])])]

  return {
    info,
    audienceOf: (shareId) => audiences.get(shareId) ?? 'everyone',
    withAudiences: (roots) => roots.map((root) => {
      const audience = audiences.get(root.shareId)
      return audience === undefined ? root : { ...root, audience: membersOf(audience) }
    }),
    setAudience: async (shareId, audience) => {
      if (audience !== 'everyone') audience.groups.forEach(group)
      await putAudience(shareId, audience === 'everyone' ? audience : { peers: [...new Set(audience.peers)], groups: [...new Set(audience.groups)] })
    },
    addGroup: async (name, members) => {
      checkName(name)
      if (groups.size >= MAX_GROUPS) throw new CodedError('too-large', `there are ${MAX_GROUPS} groups, which is the most; remove one first`, { detail: { code: 'too-many-groups', values: { max: MAX_GROUPS } } })
      return putGroup({ groupId: randomBytes(8).toString('hex'), name, members: [...new Set(members)] })
    },
    changeGroup: async (groupId, { name, members }) => {
      const before = group(groupId)
      if (name !== undefined) checkName(name, groupId)
      return putGroup({ ...before, name: name ?? before.name, members: members === undefined ? before.members : [...new Set(members)] })
    },
    removeGroup: async (groupId) => {
      group(groupId)
      groups.delete(groupId)
      const left = [...audiences].filter(([, audience]) => audience.groups.includes(groupId))
      for (const [shareId, audience] of left) audiences.set(shareId, { ...audience, groups: audience.groups.filter((id) => id !== groupId) })
      tell()
      await Promise.all([groupTable.remove(groupId), ...left.map(([shareId]) => audienceTable.put(shareId, audiences.get(shareId) ?? NOBODY))])
    },
    forgetPeer: async (peerId) => {
      const inGroups = [...groups.values()].filter(({ members }) => members.includes(peerId))
      const inAudiences = [...audiences].filter(([, { peers }]) => peers.includes(peerId))
      for (const found of inGroups) groups.set(found.groupId, { ...found, members: found.members.filter((id) => id !== peerId) })
      for (const [shareId, audience] of inAudiences) audiences.set(shareId, { ...audience, peers: audience.peers.filter((id) => id !== peerId) })
      if (inGroups.length + inAudiences.length === 0) return
      tell()
      await Promise.all([
        ...inGroups.map(({ groupId }) => groupTable.put(groupId, group(groupId))),
        ...inAudiences.map(([shareId]) => audienceTable.put(shareId, audiences.get(shareId) ?? NOBODY)),
      ])
    },
    forgetShare: async (shareId) => {
      if (audiences.has(shareId)) await putAudience(shareId, 'everyone')
    },
  }
}
