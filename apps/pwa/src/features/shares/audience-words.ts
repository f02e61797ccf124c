import type { AccessInfo, Audience, PeerInfo } from '@harddrive-party/protocol/control'
import { isolate, t } from '../../i18n.ts'

/** Who sees a share, in a few words. */
export function audienceWords(audience: Audience, { groups }: AccessInfo, peers: ReadonlyMap<string, PeerInfo>): string {
  if (audience === 'everyone') return t('sharing.audience.everyoneShort')
  const names = [
    ...audience.groups.flatMap((groupId) => groups.find((group) => group.groupId === groupId)?.name ?? []),
    ...audience.peers.flatMap((peerId) => peers.get(peerId)?.name ?? []),
  ].map(isolate)
  return names.length === 0 ? t('sharing.audience.nobodyShort') : names.join(', ')
}
