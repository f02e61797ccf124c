/** What a picture may be to be made small: for the process that decodes it, and for those that need not ask it. */

/** 8192 x 8192: more than nearly every camera, and what it takes to hold one of them. */
export const MAX_SOURCE_PIXELS = 8192 * 8192
