/** One-time pairing codes: made, redeemed once, forgotten. Decides when a code is good; what its holder may do is decided elsewhere. */
import { randomBytes } from 'node:crypto'
import { PAIRING_CODE_BYTES, pairingCodeFromBytes } from '@harddrive-party/protocol/control'

export interface PairingCodes {
  /** @returns 32 hex digits, and when the code ends (milliseconds since 1970) */
  create(): { readonly code: string; readonly expiresAt: number }
  /**
   * @param isFor whether what the device sent was made with this code; must compare in constant time
   * @returns `redeemed` at most once per code; `limited` = too many wrong tries of late, nothing was looked at
   */
  redeem(isFor: (code: string) => boolean): 'redeemed' | 'wrong' | 'limited'
}

/** Long enough to walk to another room, short enough that an old terminal window is no key. */
export const PAIRING_CODE_LIFETIME_MS = 10 * 60 * 1000
/** Links waiting to be used: the newest ones count. */
const MAX_CODES = 8
/** 128 bits cannot be guessed; somebody who tries anyway ends every open invitation and must wait. */
const MAX_WRONG_TRIES = 5
const TRIES_WINDOW_MS = 60 * 1000

export function createPairingCodes({ now }: { now: () => number }): PairingCodes {
  let codes: { code: string; expiresAt: number }[] = []
  let wrongTries: number[] = []
  return {
    create: () => {
      const made = { code: pairingCodeFromBytes(randomBytes(PAIRING_CODE_BYTES)), expiresAt: now() + PAIRING_CODE_LIFETIME_MS }
      codes = [...codes.filter(({ expiresAt }) => expiresAt > now()), made].slice(-MAX_CODES)
      return made
    },
    redeem: (isFor) => {
      wrongTries = wrongTries.filter((at) => at > now() - TRIES_WINDOW_MS)
      if (wrongTries.length >= MAX_WRONG_TRIES) return 'limited'
      codes = codes.filter(({ expiresAt }) => expiresAt > now())
      const used = codes.filter(({ code }) => isFor(code))
      if (used.length > 0) {
        codes = codes.filter((candidate) => !used.includes(candidate))
        return 'redeemed'
      }
      wrongTries.push(now())
      if (wrongTries.length >= MAX_WRONG_TRIES) codes = []
      return 'wrong'
    },
  }
}
