import { randomBytes } from 'node:crypto'
import { checkKnockCid, KNOCK_BUCKET_MS, makeKnockCid } from '@harddrive-party/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  ADMISSION_BURST, ADMISSIONS_PER_SECOND, CHECKS_PER_SECOND, type GateVerdict, KnockGate, MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE, REPLAY_MEMORY_MS,
} from '../../src/core/peers/knock-gate.ts'

const START = Date.UTC(2026, 0, 1)

describe('the knock gate', () => {
  const secrets = { code: new Uint8Array(16).fill(1), known: new Uint8Array(16).fill(2) }
  let gate: KnockGate
  let checks: number
  let count: number

  beforeEach(() => {
    checks = 0
    count = 0
    gate = new KnockGate((cid, secret, unixMs) => {
      checks++
      return checkKnockCid(cid, secret, unixMs)
    }, secrets)
  })

  /** A knock never used before. */
  function knock(secret: Uint8Array, now = 0): Uint8Array {
    const nonce = new Uint8Array(8)
    new DataView(nonce.buffer).setUint32(0, ++count)
    return makeKnockCid(secret, nonce, START + now)
  }

  function judge(scid: Uint8Array, now = 0, source = `10.0.${count >> 8}.${count & 255}`): GateVerdict {
    return gate.judge({ scid, scidKey: Buffer.from(scid).toString('latin1'), source, now, unixMs: START + now })
  }

  function admittedAt(now: number): number {
    let admitted = 0
    for (; judge(knock(secrets.code, now), now, 'fast').admit; admitted++) gate.settle('fast')
    return admitted
  }

  it('admits a knock under either secret and says which', () => {
    expect(judge(knock(secrets.code))).toEqual({ admit: true, knock: 'code' })
    expect(judge(knock(secrets.known))).toEqual({ admit: true, knock: 'known' })
    expect(gate.halfOpen).toBe(2)
  })

  it('knows the secret of the local network while we are announced there', () => {
    const lan = new Uint8Array(16).fill(4)
    expect(judge(knock(lan))).toEqual({ admit: false, reason: 'no-knock' })
    gate.setSecrets({ ...secrets, lan })
    expect(judge(knock(lan))).toEqual({ admit: true, knock: 'lan' })
    expect(judge(knock(secrets.code))).toEqual({ admit: true, knock: 'code' })
    gate.setSecrets({ ...secrets, lan: undefined })
    expect(judge(knock(lan))).toEqual({ admit: false, reason: 'no-knock' })
  })

  it('refuses everything else', () => {
    expect(judge(knock(new Uint8Array(16)))).toEqual({ admit: false, reason: 'no-knock' })
    for (const length of [0, 8, 19, 20, 21]) expect(judge(randomBytes(length))).toMatchObject({ admit: false })
    expect(gate.halfOpen).toBe(0)
  })

  it('forgets former secrets', () => {
    gate.setSecrets({ code: new Uint8Array(16).fill(3), known: secrets.known })
    expect(judge(knock(secrets.code))).toMatchObject({ admit: false })
    expect(judge(knock(secrets.known))).toMatchObject({ admit: true })
  })

  it('admits a knock once, for as long as it could be good', () => {
    const used = knock(secrets.code)
    expect(judge(used)).toMatchObject({ admit: true })
    expect(judge(used)).toEqual({ admit: false, reason: 'replayed' })
    for (let now = 0; now < REPLAY_MEMORY_MS + 3 * KNOCK_BUCKET_MS; now += 5000) expect(judge(used, now)).toMatchObject({ admit: false })
  })

  it('limits handshakes under way, per source and in all', () => {
    for (let i = 0; i < MAX_HALF_OPEN_PER_SOURCE; i++) expect(judge(knock(secrets.code), 0, 'one')).toMatchObject({ admit: true })
    expect(judge(knock(secrets.code), 0, 'one')).toEqual({ admit: false, reason: 'half-open-source' })
    for (let i = MAX_HALF_OPEN_PER_SOURCE; i < MAX_HALF_OPEN; i++) expect(judge(knock(secrets.code), 5000)).toMatchObject({ admit: true })
    expect(judge(knock(secrets.code), 5000)).toEqual({ admit: false, reason: 'half-open' })
    for (let i = 0; i < MAX_HALF_OPEN_PER_SOURCE; i++) gate.settle('one')
    expect(gate.halfOpen).toBe(MAX_HALF_OPEN - MAX_HALF_OPEN_PER_SOURCE)
    expect(judge(knock(secrets.code), 5000, 'one')).toMatchObject({ admit: true })
  })

  it('limits the rate of admissions', () => {
    expect(admittedAt(0)).toBe(ADMISSION_BURST)
    expect(admittedAt(1000)).toBe(ADMISSIONS_PER_SECOND)
  })

  it('stops looking when there is a flood', () => {
    const noise = randomBytes(20)
    for (let i = 0; i < CHECKS_PER_SECOND + 1000; i++) judge(noise)
    expect(checks).toBe(2 * CHECKS_PER_SECOND)
    expect(judge(noise)).toEqual({ admit: false, reason: 'too-fast' })
    expect(judge(knock(secrets.code, 1000), 1000)).toMatchObject({ admit: true })
  })
})
