/** What the NAT in front of a helper does, as far as it is known. */
export const NAT_KINDS = ['unknown', 'open', 'consistent', 'counting', 'block', 'random'] as const
export type NatKind = (typeof NAT_KINDS)[number]

/** What is known of the public IPv4 ports that a NAT hands out: `block` for the kind of that name, `step` and `lastPort` for `counting`. */
export interface NatPorts {
  /** The lowest and highest port, both included. */
  readonly block?: { readonly low: number; readonly high: number }
  /** How far apart the ports of two new flows are. */
  readonly step?: number
  /** The port that was handed out last; ages quickly. */
  readonly lastPort?: number
}
