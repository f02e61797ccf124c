/** What the NAT in front of a helper does, as far as it is known. */
export const NAT_KINDS = ['unknown', 'open', 'consistent', 'counting', 'block', 'random'] as const
export type NatKind = (typeof NAT_KINDS)[number]
