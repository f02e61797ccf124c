import type { LinkFault, LinksEffect } from '../peers/peer-link-messages.ts'
import type { Peer, Wish } from '../peers/peer-link-state.ts'
import type { PeerTable } from '../peers/peer-table.ts'

/** What becomes of a person's wish to be connected: who is told, and when it is dropped. Dials nobody. */

/** It came true, as far as it depends on us. @returns who is to be told */
export function settleWish(peer: Peer, state: 'connected' | 'waiting'): LinksEffect[] {
  if (!peer.wish) return []
  const { peerId } = peer
  const told = peer.wish.connects.map((connect): LinksEffect => ({ type: 'connect-succeeded', connect, peerId, state }))
  peer.wish.connects = []
  if (state === 'connected') peer.wish = null
  return told
}

/** It failed for now: dropped, unless the other person may still accept or start to punch. @returns who is to be told */
export function giveUpWish(peers: PeerTable, peer: Peer | null, wish: Wish, fault: LinkFault): LinksEffect[] {
  const told = wish.connects.map((connect): LinksEffect => ({ type: 'connect-failed', connect, fault }))
  wish.connects = []
  if ((wish.held || wish.patient) && fault.code !== 'aborted' && fault.code !== 'blocked') return told
  if (peer?.wish === wish) peer.wish = null
  if (peers.wishes.get(wish.keyHash) === wish) peers.wishes.delete(wish.keyHash)
  return told
}

/** Nobody punches for it any more, so nothing speaks for waiting. @returns who is to be told */
export function endPatience(peers: PeerTable, keyHash: string): LinksEffect[] {
  const peer = peers.byKeyHash(keyHash)
  const wish = peer ? peer.wish : peers.wishes.get(keyHash)
  if (!wish?.patient) return []
  wish.patient = false
  return wish.dialling || wish.connects.length > 0 ? [] : giveUpWish(peers, peer ?? null, wish, { code: 'timed-out', message: 'no answer' })
}
