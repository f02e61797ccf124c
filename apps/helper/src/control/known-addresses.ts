/** Decides which addresses of a known peer are kept: those where it was reached before its own claims, and of these not so many that claims crowd out the rest. */

/** An address where the peer was reached, and when last (milliseconds since 1970). */
export type WorkedAddress = readonly [address: string, at: number]

/** Remembered and given to the network for one peer. */
export const MAX_KNOWN_ADDRESSES = 16
/** Of them, what the peer only claims, while there is something that worked. */
const MAX_CLAIMS_FIRST = 8
/** Providers give addresses to others in the end. */
const WORKED_FOR_MS = 90 * 24 * 60 * 60_000

/** @param seen where it was reached just now @returns the latest first */
export function rememberWorked(before: readonly WorkedAddress[], seen: readonly string[], now: number): WorkedAddress[] {
  const kept = before.filter(([address, at]) => !seen.includes(address) && at > now - WORKED_FOR_MS)
  return [...[...new Set(seen)].map((address): WorkedAddress => [address, now]), ...kept].slice(0, MAX_KNOWN_ADDRESSES)
}

/**
 * Best first: where it was last reached, what it says of itself, where it was reached before.
 * @param told what it said in its last hello
 */
export function dialOrder(worked: readonly WorkedAddress[], told: readonly string[], now: number): string[] {
  const [last, ...older] = worked.filter(([, at]) => at > now - WORKED_FOR_MS).map(([address]) => address)
  const ordered = [...(last === undefined ? [] : [last]), ...told.slice(0, MAX_CLAIMS_FIRST), ...older, ...told.slice(MAX_CLAIMS_FIRST)]
  return [...new Set(ordered)].slice(0, MAX_KNOWN_ADDRESSES)
}
