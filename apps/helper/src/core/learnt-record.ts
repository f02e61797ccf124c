import { chosenLink, isStranger, keyHashText } from './peer-link-state.ts'
import type { LinksInput, RecordOrigin } from './peer-link-messages.ts'
import type { Peer } from './peer-link-state.ts'
import type { PeerId } from '@harddrive-party/protocol'

/** Decides what a signed record means for the peer that it is about. Dials nobody itself, and checks no signature. */

export type RecordInput = Extract<LinksInput, { type: 'learned' }>

/** `admit`: it waits for an answer, and the record is that answer. `dial`: now. `retry`: soon, among others. */
export type RecordMeaning = 'nothing' | 'admit' | 'dial' | 'retry'

/** Whether a record from there makes us dial somebody whom nobody here has named: a topic that we joined, an introduction that we accepted. */
export function introduces(origin: RecordOrigin): boolean {
  return origin === 'topic' || origin === 'introduction'
}

/**
 * Keeps the record with the peer if it is the newest, and wishes for a peer that is introduced by it.
 * @returns what is to be done, and whether the record is newer than the one before
 */
export function takeRecord(self: PeerId, peer: Peer, { record, knockSecret, origin, live }: RecordInput): { readonly isNews: boolean; readonly meaning: RecordMeaning } {
  const before = peer.reach?.record.sequence ?? -1
  if (peer.policy?.blocked || record.sequence < before) return { isNews: false, meaning: 'nothing' }
  const isNews = record.sequence > before
  if (isNews) peer.reach = { record, knockSecret }
  if (peer.away || chosenLink(self, peer)) return { isNews, meaning: 'nothing' }
  if (isStranger(peer)) {
    if (!introduces(origin)) return { isNews, meaning: 'nothing' }
    peer.wish = { keyHash: keyHashText(record.peerId), knockSecret, addresses: [], nat: null, connects: [], held: false, patient: false, dialling: null }
  }
  const links = [...peer.links]
  if (links.some((link) => link.phase === 'asks') && peer.wish) return { isNews, meaning: 'admit' }
  if (peer.dialling || links.some((link) => link.role === 'dialler')) return { isNews, meaning: 'nothing' }
  return { isNews, meaning: live || peer.wish ? 'dial' : isNews ? 'retry' : 'nothing' }
}
