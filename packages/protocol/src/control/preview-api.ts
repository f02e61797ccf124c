import type { PeerId, SharePath } from '../index.ts'

/** Looking at files before they are fetched, and at those that were. Nothing is written to disk. Part of the control contract. */
export interface PreviewApi {
  /**
   * Where pictures of a peer's images are: `url?path=…&size=…&mtime=…&edge=…`, with size and time as its listing gave them and the longer side in pixels
   * (at most MAX_THUMBNAIL_EDGE). Null = this peer makes none. `peerId: null` = of my own shares.
   */
  thumbnailsUrl(args: { peerId: PeerId | null }): Promise<{ url: string | null }>
  /** The start of a file as text, at most half a mebibyte of it: of a peer's, with `peerId: null` of my own shares, or of a downloaded one as in `downloadedFileUrl`. */
  previewText(args: PreviewedFile): Promise<TextPreview>
}

export type PreviewedFile = { readonly peerId: PeerId | null; readonly path: SharePath } | { readonly transferId: string; readonly path?: string }

export interface TextPreview {
  readonly text: string
  readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252'
  /** There is more of it. */
  readonly cut: boolean
}

export const PREVIEW_METHODS = ['thumbnailsUrl', 'previewText'] as const satisfies readonly (keyof PreviewApi)[]
