/** The part of the control contract that is about the room that this program takes on the helper's disks. */
export interface StorageApi {
  /** Looks at the disk: a moment's work with few files, some seconds with very many. */
  storage(): Promise<StorageInfo>
}

export const STORAGE_METHODS = ['storage'] as const satisfies readonly (keyof StorageApi)[]

/** Bytes. */
export interface StorageInfo {
  /** On the disk of the download folder; null where the system does not say. */
  readonly freeBytes: number | null
  /** What is in the download folder, and how many files; without what is unfinished. */
  readonly downloads: { readonly bytes: number; readonly files: number }
  /** Of downloads that are not through. It goes when they are cancelled. */
  readonly unfinishedBytes: number
  /** What is known of the shares, for listing and searching. */
  readonly indexBytes: number
  /** Small pictures of shared images: made anew when they are gone. */
  readonly thumbnailBytes: number
  /** Files from browsers that wait to be sent. */
  readonly stagedBytes: number
  /** False when there were too many files to look at all of them: it is more than this. */
  readonly isComplete: boolean
}
