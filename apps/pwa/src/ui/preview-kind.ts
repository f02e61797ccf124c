/** How a file can be looked at in the app, by the end of its name. A browser may still not know the format; then it says so. */
export type PreviewKind = 'image' | 'audio' | 'video' | 'text' | 'pdf'

const KINDS: readonly (readonly [PreviewKind, RegExp])[] = [
  ['image', /\.(jpe?g|jfif|png|gif|webp|avif|bmp|svg)$/i],
  ['audio', /\.(mp3|flac|ogg|oga|opus|m4a|aac|wav)$/i],
  ['video', /\.(mp4|m4v|webm|mkv|mov|ogv)$/i],
  // Documents with scripts and styles are shown as what they are written in, never as what they would become.
  ['text', /\.(txt|md|log|nfo|srt|vtt|sub|m3u8?|cue|csv|tsv|json|ya?ml|toml|ini|conf|xml|html?|css|js|mjs|ts|py|rs|go|c|h|cpp|java|sh|tex|sfv|md5|sha256)$/i],
  ['pdf', /\.pdf$/i],
]

export function previewKind(name: string): PreviewKind | null {
  return KINDS.find(([, pattern]) => pattern.test(name))?.[0] ?? null
}

/** Images that other helpers make small pictures of. */
export function hasThumbnail(name: string): boolean {
  return /\.(jpe?g|jfif|png|gif|webp)$/i.test(name)
}
