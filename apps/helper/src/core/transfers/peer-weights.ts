/** How many turns a peer of a priority gets for one of an ordinary peer. Never none: nobody is to starve. */
export const PRIORITY_WEIGHTS = { high: 4, normal: 1, low: 0.25 } as const
