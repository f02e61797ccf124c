import { type PairingInvitation, parsePairingFragment } from '@harddrive-party/protocol/control'
import { type Result, succeed } from '@harddrive-party/protocol'

/** Decides which addresses may stand in the list of one's helpers: HTTPS, or plain HTTP on this computer. Touches nothing. */

export interface HelperAddress {
  /** Scheme, host and port, as browsers write it. */
  readonly origin: string
  /** From a pairing link: what is used up there, not here. */
  readonly pairing: PairingInvitation | null
}

/** Longer than any address with a pairing code. */
export const MAX_HELPER_ADDRESS = 512

const LOOPBACK = new Set(['127.0.0.1', 'localhost'])

/** Pages that every helper has. Others name people or hold codes, which are no business of another helper. */
const PAGES = new Set(['/peers', '/search', '/wishes', '/transfers', '/shares', '/shares/browse', '/activity', '/settings', '/connection'])

/** Why an address was refused; the words for it are in the locales. */
export type AddressProblem = 'address' | 'scheme' | 'plain' | 'credentials' | 'path' | 'pairing'

/** @param text as it was pasted: the address of a helper's app, or a pairing link */
export function parseHelperAddress(text: string): Result<HelperAddress, AddressProblem> {
  const url = readUrl(text)
  if (url === null) return refused('address')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refused('scheme')
  if (url.username !== '' || url.password !== '') return refused('credentials')
  if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname)) return refused('plain')
  if (url.pathname !== '/' || url.search !== '') return refused('path')
  if (!url.hash.startsWith('#/pair/')) return succeed({ origin: url.origin, pairing: null })
  const pairing = parsePairingFragment(url.hash)
  return pairing.ok ? succeed({ origin: url.origin, pairing: pairing.value }) : refused('pairing')
}

/** @param text an origin that was kept or come from elsewhere. @returns whether it may be gone to, exactly as it is written */
export function isHelperOrigin(text: string): boolean {
  const parsed = parseHelperAddress(text)
  return parsed.ok && parsed.value.origin === text
}

/** @param path of the page that is shown here. @returns the same page at another helper, or its first page where the path is more than a page */
export function formatHelperPage(origin: string, path: string): string {
  return `${origin}/#${PAGES.has(path) ? path : '/peers'}`
}

/** @returns host and port, for people */
export function hostOf(origin: string): string {
  return origin.replace(/^https?:\/\//, '')
}

/** @returns whether the address leads no further than the computer it is used on */
export function isLoopbackOrigin(origin: string): boolean {
  const url = readUrl(origin)
  return url !== null && LOOPBACK.has(url.hostname)
}

function readUrl(text: string): URL | null {
  const trimmed = text.trim()
  if (trimmed === '' || trimmed.length > MAX_HELPER_ADDRESS) return null
  try {
    return new URL(trimmed)
  } catch {
    return null
  }
}

function refused(error: AddressProblem): Result<never, AddressProblem> {
  return { ok: false, error }
}
