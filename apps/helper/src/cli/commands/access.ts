/** Commands about who may see which share, and the groups made for it. */
import type { AccessInfo, Audience, GroupInfo, PeerInfo, ShareInfo } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { HelperSession } from '../helper-session.ts'
import { findPeer } from '../peer-reference.ts'
import { escapeName, formatTable, nameSlug } from '../text-format.ts'

export async function listGroups({ api, output }: HelperSession): Promise<void> {
  const { access, peers } = await api.snapshot()
  if (output.json) return output.line(JSON.stringify(access.groups.map(groupJson)))
  if (access.groups.length === 0) {
    output.note('There is no group yet. "hdp group add NAME PEER…" makes one.')
    return
  }
  const rows = access.groups.map(({ name, members }) => [escapeName(name), String(members.length), namesOf(members, peers)])
  for (const line of formatTable([{ title: 'GROUP' }, { title: 'PEERS', align: 'right' }, { title: '' }], rows)) await output.line(line)
}

export async function addGroup(session: HelperSession, name: string, names: readonly string[]): Promise<void> {
  const { peers } = await session.api.snapshot()
  await printGroup(session, await session.api.addGroup({ name, members: names.map((text) => findPeer(peers, text).peerId) }))
}

export async function removeGroup({ api, output }: HelperSession, name: string): Promise<void> {
  const group = findGroup((await api.snapshot()).access, name)
  await api.removeGroup({ groupId: group.groupId })
  if (output.json) return output.line(JSON.stringify(groupJson(group)))
  await output.line(`The group "${escapeName(group.name)}" is gone. What only it could see, nobody sees now.`)
}

export async function changeMembers(session: HelperSession, change: 'join' | 'leave', name: string, names: readonly string[]): Promise<void> {
  const { access, peers } = await session.api.snapshot()
  const { groupId, members } = findGroup(access, name)
  const meant = names.map((text) => findPeer(peers, text).peerId)
  const next = change === 'join' ? [...new Set([...members, ...meant])] : members.filter((peerId) => !meant.includes(peerId))
  await printGroup(session, await session.api.changeGroup({ groupId, members: next }))
}

/** @param names of peers and groups, or `everyone`, or `nobody` */
export async function setShareAudience({ api, output }: HelperSession, share: ShareInfo, names: readonly string[]): Promise<void> {
  const { access, peers } = await api.snapshot()
  const audience = audienceOf(access, peers, names)
  const after = await api.setAudience({ shareId: share.shareId, audience })
  if (output.json) return output.line(JSON.stringify({ id: share.shareId, name: share.name, audience }))
  await output.line(`${escapeName(share.name)} is seen by ${audienceText(audience, after, peers)}.`)
}

/** @throws CommandError for a name that fits nobody, or several */
export function audienceOf(access: AccessInfo, peers: readonly PeerInfo[], names: readonly string[]): Audience {
  if (names.length === 1 && names[0] === 'everyone') return 'everyone'
  if (names.length === 1 && names[0] === 'nobody') return { peers: [], groups: [] }
  const groups: string[] = []
  const chosen: PeerInfo['peerId'][] = []
  for (const name of names) {
    const group = access.groups.find((known) => known.name.toLowerCase() === name.toLowerCase())
    if (group === undefined) chosen.push(findPeer(peers, name).peerId)
    else groups.push(group.groupId)
  }
  return { peers: chosen, groups }
}

export function audienceText(audience: Audience, access: AccessInfo, peers: readonly PeerInfo[]): string {
  if (audience === 'everyone') return 'everyone you connect with'
  const groups = audience.groups.flatMap((groupId) => access.groups.find((group) => group.groupId === groupId) ?? []).map(({ name }) => escapeName(name))
  const names = [...groups, ...(audience.peers.length === 0 ? [] : [namesOf(audience.peers, peers)])]
  return names.length === 0 ? 'nobody' : names.join(', ')
}

function findGroup({ groups }: AccessInfo, name: string): GroupInfo {
  const group = groups.find((known) => known.name.toLowerCase() === name.toLowerCase() || known.groupId === name)
  if (group === undefined) throw new CommandError(EXIT.notFound, 'not-found', `there is no group "${escapeName(name)}"; "hdp groups" lists them`)
  return group
}

async function printGroup({ api, output }: HelperSession, group: GroupInfo): Promise<void> {
  if (output.json) return output.line(JSON.stringify(groupJson(group)))
  await output.line(`${escapeName(group.name)}: ${group.members.length === 0 ? 'nobody yet' : namesOf(group.members, (await api.snapshot()).peers)}`)
}

function groupJson({ groupId, name, members }: GroupInfo): object {
  return { id: groupId, name, members }
}

function namesOf(members: readonly string[], peers: readonly PeerInfo[]): string {
  return members.map((peerId) => escapeName(nameSlug(peers.find((peer) => peer.peerId === peerId)?.name ?? peerId.slice(0, 16)))).join(', ')
}
