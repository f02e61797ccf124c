import { addressScope } from '@harddrive-party/protocol'
import type { PeerConnection } from '../peers/transport.ts'

/** Whether a connection stays on this machine or its network, as far as the address tells: such bytes take nothing from the line that people share. */
export function isLocalTo({ remote }: PeerConnection): boolean {
  const scope = addressScope(remote.host)
  return scope === 'loopback' || scope === 'private' || scope === 'link-local'
}
