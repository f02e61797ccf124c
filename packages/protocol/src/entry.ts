import type { SharePath } from './share-path.ts'

/** One file or directory as a listing shows it. */
export interface Entry {
  /** From the root of all shares: `Music/Artist/Song.flac`. The first part is the share's display name. */
  readonly path: SharePath
  /** Bytes; for a directory the sum of all files below it. */
  readonly size: number
  /** Last modification, milliseconds since 1970; fractions kept as the file system gives them. */
  readonly mtime: number
  readonly isDirectory: boolean
}

/** What to list. Both between peers and between a UI and its helper. */
export interface ListRequest {
  /** Where to start; absent = the root, whose entries are the shares. A file's path lists that one file. */
  readonly path?: SharePath
  /** Keep only entries that this finds (`parseSearch`). Implies nothing about `recursive`; with it, the best come first. */
  readonly search?: string
  /** Everything below, each directory before its contents, in one defined order; else direct children only. */
  readonly recursive: boolean
  /**
   * Another order than that: of one directory's children, `name` (as people count, directories first), `size` (largest first) or `date` (newest
   * first); of a recursive search, `rank` (the default), `size` or `date`.
   */
  readonly sort?: ListSort
  /** Turns the order of one directory's children around. */
  readonly reverse?: boolean
  /** From the page before. */
  readonly cursor?: string
  /** Entries wanted, 1 to MAX_PAGE_ENTRIES. */
  readonly limit: number
}

export const LIST_SORTS = ['name', 'size', 'date', 'rank'] as const
export type ListSort = (typeof LIST_SORTS)[number]

export interface ListPage {
  readonly entries: readonly Entry[]
  /** Present when there may be more. A page may be empty and still have a cursor (a long search in progress). */
  readonly cursor?: string
}
