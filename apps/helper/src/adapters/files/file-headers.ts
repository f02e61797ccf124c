/** Decides how a browser may treat a stranger's file: what is shown, what is only saved, and that nothing in it runs. Judged by name alone. */
import { extname } from 'node:path'
import { basename } from 'node:path/posix'

/** Types that cannot run anything. No SVG, HTML, XML: those are documents with scripts. */
const SHOWN: Readonly<Record<string, string>> = {
  '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg', '.png': 'image/png', '.gif': 'image/gif', '.webp': 'image/webp', '.avif': 'image/avif', '.bmp': 'image/bmp',
  '.mp3': 'audio/mpeg', '.m4a': 'audio/mp4', '.aac': 'audio/aac', '.flac': 'audio/flac', '.ogg': 'audio/ogg', '.oga': 'audio/ogg', '.opus': 'audio/ogg', '.wav': 'audio/wav',
  '.mp4': 'video/mp4', '.m4v': 'video/mp4', '.webm': 'video/webm', '.ogv': 'video/ogg', '.mov': 'video/quicktime', '.mkv': 'video/x-matroska',
  '.txt': 'text/plain; charset=utf-8', '.md': 'text/plain; charset=utf-8', '.log': 'text/plain; charset=utf-8', '.nfo': 'text/plain; charset=utf-8',
  '.srt': 'text/plain; charset=utf-8', '.m3u': 'text/plain; charset=utf-8', '.cue': 'text/plain; charset=utf-8', '.csv': 'text/plain; charset=utf-8',
  '.pdf': 'application/pdf',
}

/** A document, except where it is drawn: in an image nothing of it runs and nothing is loaded by it. */
const DRAWN: Readonly<Record<string, string>> = { '.svg': 'image/svg+xml' }

/**
 * @param uiOrigins that may show the file in a frame
 * @param isDrawn the browser says that it is for an image element; a page that is visited, a frame and a script say otherwise
 */
export function fileHeaders(path: string, uiOrigins: readonly string[], isDrawn = false): Record<string, string> {
  const name = basename(path.replaceAll('\\', '/'))
  const extension = extname(name).toLowerCase()
  const type = SHOWN[extension]
  const drawn = isDrawn ? DRAWN[extension] : undefined
  const ancestors = `frame-ancestors ${uiOrigins.join(' ') || "'none'"}`
  const sources = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
  return {
    'Content-Type': type ?? drawn ?? 'application/octet-stream',
    'Content-Disposition': `${type === undefined ? 'attachment' : 'inline'}; filename="${asciiName(name)}"; filename*=UTF-8''${encodeName(name)}`,
    // Browsers refuse to show a PDF in a sandbox; its viewer is one.
    'Content-Security-Policy': type === 'application/pdf' ? `default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; ${ancestors}` : `sandbox; ${sources}; ${ancestors}`,
    'X-Content-Type-Options': 'nosniff',
    // An app opened under the name `localhost` counts as another site; the address itself is the secret.
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'private, no-store',
    'X-Robots-Tag': 'noindex',
  }
}

/** RFC 6266: for programs that do not know `filename*`. */
function asciiName(name: string): string {
  return name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
}

/** RFC 8187, for headers and addresses alike. Halves of surrogate pairs cannot be encoded. */
export function encodeName(name: string): string {
  return encodeURIComponent(name.replace(/\p{Cs}/gu, '_')).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}
