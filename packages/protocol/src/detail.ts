/**
 * What exactly an error code means this time, for interfaces that say it in the language of their person: a name, and the values that its sentence needs.
 * A refinement only: whoever does not know a name falls back to the error code. It never comes from a peer.
 */
interface Details {
  // codes and links
  'own-code': Nothing
  'you-blocked': Nothing
  'not-asking': Nothing
  // folders of the helper's machine
  'not-absolute': Nothing
  'not-a-folder': { readonly path: string }
  'not-writable': { readonly path: string }
  'not-there': { readonly path: string }
  'not-readable': { readonly path: string }
  'own-data': { readonly path: string }
  'shared-already': Nothing
  // as many as there may be
  'too-many-topics': Limit
  'too-many-wishes': Nothing
  'too-many-groups': Limit
  'too-many-offers': Limit
  'too-many-checks': Limit
  'too-many-devices': Limit
  // things that do not fit together
  'group-exists': { readonly name: string }
  'last-admin': Nothing
  'cli-role': Nothing
  'role-needed': { readonly role: string }
  'lan-off': Nothing
  'lan-none': Nothing
  'offer-answered': Nothing
  'offer-over': Nothing
  'offer-empty': Nothing
  'still-fetched': Nothing
  'ended-already': Nothing
  'no-target-yet': Nothing
  'folders-only': Nothing
  // this machine
  'starting': Nothing
  // two networks
  'same-network': Nothing
  'routers-random': Whose
  'routers-vague': Whose
  'port-not-found': Nothing
  'no-udp-out': Nothing
  'no-internet': Nothing
  'no-address-known': Nothing
}

type Nothing = Readonly<Record<never, never>>
interface Limit {
  readonly max: number
}
interface Whose {
  readonly whose: 'both' | 'ours' | 'theirs'
}

/** A typed union over a table of names and their values. */
export type Named<T> = { [C in keyof T & string]: { readonly code: C; readonly values: T[C] } }[keyof T & string]

export type Detail = Named<Details>

/** @returns undefined for what has not the shape of a detail; whether its name is known, whoever makes words of it sees */
export function decodeDetail(raw: unknown): Detail | undefined {
  const { code, values } = (raw ?? {}) as { code?: unknown; values?: unknown }
  if (typeof code !== 'string' || typeof values !== 'object' || values === null) return undefined
  const isPlain = Object.values(values).every((value) => typeof value === 'string' || typeof value === 'number')
  return isPlain ? ({ code, values } as Detail) : undefined
}
