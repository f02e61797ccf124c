import type { PeerId } from '@harddrive-party/protocol'
import type { LinkPolicyPeer, LinksEffect, LinksInput, RecordOrigin } from './peer-link-messages.ts'
import { candidatesOf, chosenLink, isStranger, keyHashText, natOf } from './peer-link-state.ts'
import type { LearntReach, Link, Peer } from './peer-link-state.ts'

/** Decides what a signed record means for the peer that it is about. Dials nobody itself, and checks no signature. */

export type RecordInput = Extract<LinksInput, { type: 'learned' }>

/** `admit`: it waits for an answer, and the record is that answer. `dial`: now. `retry`: soon, among others. */
export type RecordMeaning = 'nothing' | 'admit' | 'dial' | 'retry'

/** Whether a record from there makes us dial somebody whom nobody here has named: a topic that we joined, an introduction that we accepted. */
export function introduces(origin: RecordOrigin): boolean {
  return origin === 'topic' || origin === 'introduction'
}

export interface Taken {
  readonly meaning: RecordMeaning
  /** What follows at once. */
  readonly effects: readonly LinksEffect[]
  /** A connection that its other end does not seem to have any more. */
  readonly doubts?: Link | undefined
}

/** Keeps the record with the peer if it is the newest, and wishes for a peer that is introduced by it. @returns what is to be done */
export function takeRecord(self: PeerId, peer: Peer, input: RecordInput): Taken {
  const { record, bytes, knockSecret, origin, live } = input
  const before = peer.reach?.record.sequence ?? -1
  if (peer.policy?.blocked || record.sequence < before) return NOTHING
  const isNews = record.sequence > before
  if (isNews) peer.reach = { record, knockSecret }
  const effects: LinksEffect[] = isNews && peer.policy ? [{ type: 'record', record, bytes }] : []
  if (peer.away) return { meaning: 'nothing', effects }
  const chosen = chosenLink(self, peer)
  // Whoever has itself introduced does not have the connection that we still believe in.
  if (chosen) return { meaning: 'nothing', effects, doubts: origin === 'introduction' ? chosen : undefined }
  if (isStranger(peer)) {
    if (!introduces(origin)) return { meaning: 'nothing', effects }
    peer.wish = { keyHash: keyHashText(record.peerId), knockSecret, addresses: [], nat: null, connects: [], held: false, patient: false, dialling: null }
  }
  const meaning = meaningOf(peer, isNews, live)
  if (live && meaning !== 'dial' && meaning !== 'admit') {
    effects.push({ type: 'punch-now', keyHash: keyHashText(peer.peerId), candidates: candidatesOf(peer, true), nat: natOf(peer) })
  }
  return { meaning, effects }
}

const NOTHING: Taken = { meaning: 'nothing', effects: [] }

function meaningOf(peer: Peer, isNews: boolean, live: boolean): RecordMeaning {
  const links = [...peer.links]
  if (links.some((link) => link.phase === 'asks') && peer.wish) return 'admit'
  if (peer.dialling || links.some((link) => link.role === 'dialler')) return 'nothing'
  return live || peer.wish ? 'dial' : isNews ? 'retry' : 'nothing'
}

/** What is known of a peer's reach after a policy, which brings what was learnt in an earlier life and the newest knock secret. */
export function rememberedReach(reach: LearntReach | null, before: LinkPolicyPeer | null, entry: LinkPolicyPeer): LearntReach | null {
  if (entry.record && entry.record.sequence > (reach?.record.sequence ?? -1)) return { record: entry.record, knockSecret: null }
  return reach && before && before.knockSecret !== entry.knockSecret ? { ...reach, knockSecret: null } : reach
}
