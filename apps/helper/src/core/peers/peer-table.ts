import type { PeerId } from '@harddrive-party/protocol'
import { keyHashText, newPeer } from './peer-link-state.ts'
import type { Peer, Wish } from './peer-link-state.ts'

/** The peers that `peer-links.ts` has to do with, and the wishes for peers of whom only the hash of a key is known. Decides nothing. */
export class PeerTable extends Map<PeerId, Peer> {
  /** By key hash, until the whole key is known. */
  readonly wishes = new Map<string, Wish>()

  /** Made if need be. Whom we are dialling by the hash of a key gets a whole key now. */
  of(peerId: PeerId): Peer {
    const known = this.get(peerId)
    if (known) return known
    const peer = newPeer(peerId)
    this.set(peerId, peer)
    const wish = this.wishes.get(keyHashText(peerId))
    if (wish) {
      this.wishes.delete(wish.keyHash)
      peer.wish = wish
      peer.dialling = wish.dialling
      if (wish.dialling) wish.dialling.peer = peer
    }
    return peer
  }

  byKeyHash(keyHash: string): Peer | undefined {
    return [...this.values()].find((peer) => keyHashText(peer.peerId) === keyHash)
  }

  /** Whether the person, the policy or a connection named it. */
  isNamed(peerId: PeerId): boolean {
    return this.has(peerId) || this.wishes.has(keyHashText(peerId))
  }
}
