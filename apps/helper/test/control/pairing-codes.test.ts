import { describe, expect, it } from 'vitest'
import { PAIRING_CODE_LIFETIME_MS, createPairingCodes } from '../../src/control/pairing-codes.ts'

describe('a pairing code, when somebody sets the clock', () => {
  const HOUR = 3_600_000

  it('ends after its time, also when the clock goes back', () => {
    let wall = 1_000 * HOUR
    let elapsed = 5
    const codes = createPairingCodes({ now: () => wall, elapsed: () => elapsed })
    const { code, expiresAt } = codes.create('control')
    expect(expiresAt).toBe(wall + PAIRING_CODE_LIFETIME_MS)
    wall -= 24 * HOUR
    elapsed += PAIRING_CODE_LIFETIME_MS
    expect(codes.redeem((candidate) => candidate === code)).toBe('wrong')
  })

  it('stays good when the clock goes forward, and wrong tries are not forgotten', () => {
    let wall = 1_000 * HOUR
    const codes = createPairingCodes({ now: () => wall, elapsed: () => 5 })
    const { code } = codes.create('view')
    for (let i = 0; i < 4; i++) expect(codes.redeem(() => false)).toBe('wrong')
    wall += 24 * HOUR
    expect(codes.redeem((candidate) => candidate === code)).toEqual({ role: 'view' })
    expect(codes.redeem(() => false)).toBe('wrong')
    expect(codes.redeem(() => false)).toBe('limited')
  })
})
