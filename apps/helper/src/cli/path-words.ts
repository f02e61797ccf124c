/** Words for how a peer is reached, the same in every command. */
import type { PeerPath } from '@harddrive-party/protocol/control'

export const PATH_KIND_WORDS: Record<PeerPath['kind'], string> = {
  loopback: 'this computer',
  lan: 'same network',
  ipv6: 'direct over IPv6',
  direct: 'direct',
  mapped: 'through a port that a router keeps open',
  punched: 'through NATs, opened from both sides',
}
