/** One-time pairing codes: made, redeemed once, forgotten. Decides when a code is good; the role that comes with it was chosen by whoever had it made. */
import { randomBytes } from 'node:crypto'
import { type DeviceRole, PAIRING_CODE_BYTES, pairingCodeFromBytes } from '@harddrive-party/protocol/control'

export interface PairingCodes {
  /** @returns 32 hex digits, and when the code ends (milliseconds since 1970) */
  create(role: DeviceRole): { readonly code: string; readonly expiresAt: number }
  /**
   * @param isFor whether what the device sent was made with this code; must compare in constant time
   * @returns the role of the code, at most once per code; `limited` = too many wrong tries of late, nothing was looked at
   */
  redeem(isFor: (code: string) => boolean): { readonly role: DeviceRole } | 'wrong' | 'limited'
}

/** Long enough to walk to another room, short enough that an old terminal window is no key. */
export const PAIRING_CODE_LIFETIME_MS = 10 * 60 * 1000
/** Links waiting to be used: the newest ones count. */
const MAX_CODES = 8
/** 128 bits cannot be guessed; somebody who tries anyway ends every open invitation and must wait. */
const MAX_WRONG_TRIES = 5
const TRIES_WINDOW_MS = 60 * 1000

/**
 * @param options.now the wall clock, only for what people are told
 * @param options.elapsed milliseconds that pass however the wall clock is set: an old code must not come alive when it is set back
 */
export function createPairingCodes({ now, elapsed = () => performance.now() }: { readonly now: () => number; readonly elapsed?: () => number }): PairingCodes {
  let codes: { code: string; role: DeviceRole; endsAt: number }[] = []
  let wrongTries: number[] = []
  const stillGood = () => codes.filter(({ endsAt }) => endsAt > elapsed())
  return {
    create: (role) => {
      const code = pairingCodeFromBytes(randomBytes(PAIRING_CODE_BYTES))
      codes = [...stillGood(), { code, role, endsAt: elapsed() + PAIRING_CODE_LIFETIME_MS }].slice(-MAX_CODES)
      return { code, expiresAt: now() + PAIRING_CODE_LIFETIME_MS }
    },
    redeem: (isFor) => {
      wrongTries = wrongTries.filter((at) => at > elapsed() - TRIES_WINDOW_MS)
      if (wrongTries.length >= MAX_WRONG_TRIES) return 'limited'
      codes = stillGood()
      const used = codes.filter(({ code }) => isFor(code))
      const [first] = used
      if (first !== undefined) {
        codes = codes.filter((candidate) => !used.includes(candidate))
        return { role: first.role }
      }
      wrongTries.push(elapsed())
      if (wrongTries.length >= MAX_WRONG_TRIES) codes = []
      return 'wrong'
    },
  }
}
