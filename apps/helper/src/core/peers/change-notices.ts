import type { PeerId } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'

/**
 * Decides when connected peers are told that what they see of our shares is another state than before: soon after they connect, and after changes, but
 * never more often than every few seconds, however many there are. Does not know what the state is.
 */
export type NoticeInput =
  /** `listens`: it understands such notices. */
  | { readonly type: 'connected'; readonly peerId: PeerId; readonly listens: boolean }
  | { readonly type: 'disconnected'; readonly peerId: PeerId }
  /** Something about the shares, or about who may see them, may have changed. */
  | { readonly type: 'shares' }
  | { readonly type: 'tick' }

/** Tell it the state as it is now, unless that is the one it was told last. */
export interface NoticeEffect {
  readonly type: 'tell'
  readonly peerId: PeerId
}

/** A scan that finds change after change is one piece of news. */
export const NOTICE_MS = 3_000

export class ChangeNotices implements Machine<NoticeInput, NoticeEffect> {
  /** When each may be told next; `due`: there is something to tell. */
  readonly #peers = new Map<PeerId, { due: boolean; notBefore: number }>()

  get deadline(): number | undefined {
    let earliest = Infinity
    for (const { due, notBefore } of this.#peers.values()) if (due) earliest = Math.min(earliest, notBefore)
    return earliest === Infinity ? undefined : earliest
  }

  step(now: number, input: NoticeInput): NoticeEffect[] {
    if (input.type === 'disconnected') this.#peers.delete(input.peerId)
    else if (input.type === 'connected') {
      this.#peers.delete(input.peerId)
      if (input.listens) this.#peers.set(input.peerId, { due: true, notBefore: now })
    } else if (input.type === 'shares') {
      // Not at once: the next change may follow on its heels.
      for (const peer of this.#peers.values()) {
        if (!peer.due) Object.assign(peer, { due: true, notBefore: Math.max(peer.notBefore, now + NOTICE_MS) })
      }
    }
    const effects: NoticeEffect[] = []
    for (const [peerId, peer] of this.#peers) {
      if (!peer.due || peer.notBefore > now) continue
      Object.assign(peer, { due: false, notBefore: now + NOTICE_MS })
      effects.push({ type: 'tell', peerId })
    }
    return effects
  }
}
