import type { PeerId } from '../peer-id.ts'

/** Who may see which share, and the groups that people make for it. Part of the control contract. */
export interface AccessApi {
  /** Holds at once: whoever may not see the share any more loses what is being sent. */
  setAudience(args: { shareId: string; audience: Audience }): Promise<AccessInfo>
  addGroup(args: { name: string; members?: readonly PeerId[] }): Promise<GroupInfo>
  /** What is left out stays; members are replaced. */
  changeGroup(args: { groupId: string; name?: string; members?: readonly PeerId[] }): Promise<GroupInfo>
  /** Shares that only it could see are seen by nobody. */
  removeGroup(args: { groupId: string }): Promise<void>
}

export const ACCESS_METHODS = ['setAudience', 'addGroup', 'changeGroup', 'removeGroup'] as const satisfies readonly (keyof AccessApi)[]

/** `everyone`: whoever I am connected with. Else these peers, and the members of these groups; to others the share does not exist. */
export type Audience = 'everyone' | { readonly peers: readonly PeerId[]; readonly groups: readonly string[] }

export interface GroupInfo {
  readonly groupId: string
  readonly name: string
  readonly members: readonly PeerId[]
}

export interface AccessInfo {
  readonly groups: readonly GroupInfo[]
  /** Of the shares that are not for everyone. */
  readonly audiences: readonly { readonly shareId: string; readonly audience: Exclude<Audience, 'everyone'> }[]
}

/** More than anybody overlooks. */
export const MAX_GROUPS = 200
export const MAX_GROUP_NAME = 100
/** A list of them must fit into one message. */
export const MAX_MEMBERS = 500
