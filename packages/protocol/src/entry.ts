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
  /** Keep only entries whose name contains this, without regard to case. Implies nothing about `recursive`. */
  readonly search?: string
  /** Everything below, each directory before its contents, in one defined order; else direct children only. */
  readonly recursive: boolean
  /** From the page before. */
  readonly cursor?: string
  /** Entries wanted, 1 to MAX_PAGE_ENTRIES. */
  readonly limit: number
}

export interface ListPage {
  readonly entries: readonly Entry[]
  /** Present when there may be more. A page may be empty and still have a cursor (a long search in progress). */
  readonly cursor?: string
}
