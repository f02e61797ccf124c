/** Finds the peer that a person means by a name, a fingerprint or the beginning of an id. Decides by what is unique; never guesses. */
import type { PeerInfo } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from './exit-codes.ts'
import { escapeName, nameSlug } from './text-format.ts'

/** What the command line needs of a peer to find it. */
export type NamedPeer = Pick<PeerInfo, 'peerId' | 'name' | 'fingerprint'>

/**
 * A whole name or a whole id first; else what begins with the text, name or id.
 * @throws CommandError when none or several fit, listing them
 */
export function findPeer<P extends NamedPeer>(peers: readonly P[], text: string): P {
  const wanted = nameSlug(text)
  if (wanted === '') throw new CommandError(EXIT.usage, 'usage', 'name a peer')
  const exact = peers.filter((peer) => nameSlug(peer.name) === wanted || peer.peerId === wanted || peer.fingerprint === wanted)
  const fitting = exact.length > 0 ? exact : peers.filter((peer) => nameSlug(peer.name).startsWith(wanted) || peer.peerId.startsWith(wanted))
  const [first, ...others] = fitting
  if (first === undefined) throw new CommandError(EXIT.notFound, 'not-found', `no known peer is called "${escapeName(text)}"${suggest(peers)}`)
  if (others.length === 0) return first
  const list = fitting.map((peer) => `  ${escapeName(nameSlug(peer.name))}  ${peer.fingerprint}`).join('\n')
  throw new CommandError(EXIT.notFound, 'ambiguous', `"${escapeName(text)}" fits several peers; use the fingerprint:\n${list}`)
}

function suggest(peers: readonly NamedPeer[]): string {
  return peers.length === 0 ? '. Nobody is known yet: "hdp connect CODE" adds a peer' : '. "hdp peers" lists whom you know'
}

/** `PEER/PATH` as typed: what is before the first slash, and the rest without slashes around it (empty for the peer's root). */
export function splitPeerPath(text: string): { readonly peer: string; readonly path: string } {
  const slash = text.indexOf('/')
  if (slash === -1) return { peer: text, path: '' }
  return { peer: text.slice(0, slash), path: text.slice(slash + 1).replace(/^\/+|\/+$/g, '') }
}
