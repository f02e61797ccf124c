import type { SearchTarget } from '../src/control/index.ts'

/** Wishes for tests. */
export function search(words: string, more: Partial<SearchTarget> = {}): SearchTarget {
  return { kind: 'search', words, extensions: [], minSize: null, maxSize: null, peerId: null, peerName: null, ...more }
}
