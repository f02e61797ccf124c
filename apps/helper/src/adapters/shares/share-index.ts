import type { Entry, ListPage, ListRequest, SharePath } from '@harddrive-party/protocol'
import type { SharedRoot } from '../../network/network-api.ts'

/** Shares that whoever asks may see, by id, with the names under which they are seen; absent = all. The others are as if they were not there. */
export interface Visibility {
  readonly visible?: ReadonlyMap<string, string>
}

export interface ListOptions extends Visibility {
  readonly signal?: AbortSignal
}

/**
 * The read side of the share index: both processes open it, only the scanner's owner writes. One implementation, in `share-index-reader.ts`.
 */
export interface ShareIndexReader {
  /**
   * One page. Bounded work per call: a long search returns early with a cursor, possibly with no entries.
   * @throws CodedError `not-found`, `bad-request` (a cursor that is not ours or whose index is gone: start over), `aborted`
   */
  list(request: ListRequest, options?: ListOptions): Promise<ListPage>
  /** @returns the entry, and where it is on disk; undefined when the index does not have it */
  find(path: SharePath, options?: Visibility): { readonly entry: Entry; readonly root: SharedRoot; readonly file: string } | undefined
  /** Of all shares that may be seen: another text when something about them has changed. */
  state(options?: Visibility): string
  /** Paths of a share's directories below its own, which is `''` and comes first. */
  directories(shareId: string): Iterable<string>
  /** The shares changed. */
  setShares(shares: readonly SharedRoot[]): void
  close(): Promise<void>
}
