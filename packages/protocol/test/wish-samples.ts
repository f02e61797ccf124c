import type { SearchTarget } from '../src/control/index.ts'

/** Wishes for tests. */
export function search(text: string): SearchTarget {
  return { kind: 'search', text, peerId: null, peerName: null }
}
