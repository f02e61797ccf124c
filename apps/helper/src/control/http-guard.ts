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
  return createGuard({
    scheme: 'http', host: `${host}${suffix}`, isHost: (asked) => hosts.has(asked), trustedOrigins: new Set(trustedOrigins),
    // Any port: the files origin gets a new one at every start, while the service worker keeps this header with the page it belongs to.
    filesOf: () => 'http://127.0.0.1:*',
  })
}

/**
 * The guard of the door to the local network.
 * @param names exactly those that the certificate vouches for; one may begin with `*.`
 * @param addresses IP addresses
 */
export function createLanGuard(names: readonly string[], addresses: readonly string[], port: number): HttpGuard {
  const suffix = port === 443 ? '' : `:${port}`
  const exact = new Set([...names, ...addresses.map(urlHost)].map((name) => name + suffix))
  const wild = names.filter((name) => name.startsWith('*.')).map((name) => name.slice(1) + suffix)
  const isHost = (asked: string) => exact.has(asked) || wild.some((end) => asked.endsWith(end) && /^[a-z0-9-]+$/.test(asked.slice(0, -end.length)))
  const [first = 'localhost'] = [...addresses.map(urlHost), ...names]
  return createGuard({ scheme: 'https', host: `${first}${suffix}`, isHost, trustedOrigins: new Set(), filesOf: (asked) => `https://${asked.replace(/:\d+$/, '')}:*` })
}

/** An IP address as URLs have it. */
export function urlHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

interface GuardFacts {
  readonly scheme: 'http' | 'https'
  /** That people are given, with its port. */
  readonly host: string
  readonly isHost: (asked: string) => boolean
  readonly trustedOrigins: ReadonlySet<string>
  /** Where the app under this host gets files from, for its policy. */
  readonly filesOf: (host: string) => string
}

function createGuard({ scheme, host, isHost, trustedOrigins, filesOf }: GuardFacts): HttpGuard {
  const isOwnOrigin = (headers: IncomingHttpHeaders) => headers.origin === `${scheme}://${headers.host}` || trustedOrigins.has(headers.origin ?? '')
  return {
    origin: `${scheme}://${host}`,
    refusal: (headers, kind) => {
      if (!isHost(headers.host ?? '')) return 'this address is not served here'
      if (headers.origin !== undefined && !isOwnOrigin(headers)) return 'requests from other pages are refused'
      const site = headers['sec-fetch-site']
      if (kind === 'page' && headers['sec-fetch-mode'] === 'navigate') return undefined
      if (site !== undefined && !OWN_SITES.has(String(site)) && !trustedOrigins.has(headers.origin ?? '')) return 'requests from other pages are refused'
      return undefined
    },
    originOf: (headers) => headers.origin ?? `${scheme}://${headers.host}`,
    answerHeaders: (requested) => {
      const asked = isHost(requested) ? requested : host
      return {
        'Content-Security-Policy': contentSecurityPolicy(scheme === 'https' ? `wss://${asked}` : `ws://${asked}`, filesOf(asked)),
        'X-Content-Type-Options': 'nosniff',
        'X-Frame-Options': 'DENY',
        'Referrer-Policy': 'no-referrer',
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Resource-Policy': 'same-origin',
        'Origin-Agent-Cluster': '?1',
        'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=(), payment=(), display-capture=()',
      }
    },
  }
}

function contentSecurityPolicy(socket: string, files: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    `connect-src 'self' ${socket}`,
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
