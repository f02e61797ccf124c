import type { SearchOrder, SearchType } from '@harddrive-party/protocol'

/** What a search asks of peers, by the words typed and what was chosen beside them. Asks nobody and draws nothing. */

/** What the words are about; null = anything. */
export type SearchFilter = SearchType | null

/** The words to send: peers filter and, where it is about what comes first, sort. */
export function searchText(text: string, filter: SearchFilter): string {
  const term = text.trim()
  return filter === null || term === '' ? term : `${term} type:${filter}`
}

/** The order that is asked of peers; the others are made here, of what they send. */
export function askedOrder(order: SearchOrder): 'size' | 'date' | undefined {
  return order === 'size' || order === 'date' ? order : undefined
}
