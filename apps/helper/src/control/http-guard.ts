/**
 * Who may speak to the control server at all, judged by headers that a browser sets and a page cannot forge; and the headers that go with every
 * answer. Knows nothing of devices or tokens.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

export interface HttpGuard {
  /** The origin that people are given. */
  readonly origin: string
  /** @returns why the request is refused, or undefined. Any page may navigate here (it gets the app, not its data), nothing else. */
  refusal(headers: IncomingHttpHeaders, kind: 'page' | 'api' | 'socket'): string | undefined
  /** The origin that an admitted request speaks for, which both sides sign. */
  originOf(headers: IncomingHttpHeaders): string
  /** For every answer to this Host. */
  answerHeaders(host: string): OutgoingHttpHeaders
}

/** Fetch Metadata of requests that our own page, or a person typing an address, makes. */
const OWN_SITES = new Set(['same-origin', 'none'])

/**
 * @param host the bound address as in URLs: `127.0.0.1`, `[::1]` or `localhost`
 * @param trustedOrigins of development servers that proxy to this one
 */
export function createHttpGuard(host: string, port: number, trustedOrigins: readonly string[] = []): HttpGuard {
  // Browsers leave out the default port.
  const suffix = port === 80 ? '' : `:${port}`
  // A page under another name that was made to point here (DNS rebinding) sends that name.
  const hosts = new Set(['127.0.0.1', 'localhost', '[::1]'].map((name) => name + suffix))
  const origins = new Set(trustedOrigins)
  const isOwnOrigin = (headers: IncomingHttpHeaders) => headers.origin === `http://${headers.host}` || origins.has(headers.origin ?? '')
  return {
    origin: `http://${host}${suffix}`,
    refusal: (headers, kind) => {
      if (!hosts.has(headers.host ?? '')) return 'this address is not served here'
      if (headers.origin !== undefined && !isOwnOrigin(headers)) return 'requests from other pages are refused'
      const site = headers['sec-fetch-site']
      if (kind === 'page' && headers['sec-fetch-mode'] === 'navigate') return undefined
      if (site !== undefined && !OWN_SITES.has(String(site)) && !origins.has(headers.origin ?? '')) return 'requests from other pages are refused'
      return undefined
    },
    originOf: (headers) => headers.origin ?? `http://${headers.host}`,
    answerHeaders: (requested) => ({
      'Content-Security-Policy': contentSecurityPolicy(hosts.has(requested) ? requested : `${host}${suffix}`),
      'X-Content-Type-Options': 'nosniff',
      'X-Frame-Options': 'DENY',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Origin-Agent-Cluster': '?1',
      'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=(), payment=(), display-capture=()',
    }),
  }
}

function contentSecurityPolicy(host: string): string {
  // Any port: the files origin gets a new one at every start, while the service worker keeps this header with the page it belongs to.
  const files = 'http://127.0.0.1:*'
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    `connect-src 'self' ws://${host}`,
    `img-src 'self' data: blob: ${files}`,
    `media-src ${files}`,
    `frame-src ${files}`,
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
