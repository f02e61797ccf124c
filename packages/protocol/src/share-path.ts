/** A path that a peer named and that has passed every rule. Made only by `parseSharePath`. Parts are joined by `/`; no leading or trailing slash. */
export type SharePath = string & { readonly __brand: 'SharePath' }
