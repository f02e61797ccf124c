/** Topics: what two people write becomes one topic, its names change daily, and announcements open for nobody else and survive no change. */
import { scryptSync } from 'node:crypto'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import vectors from '../../../docs/vectors/topics.json' with { type: 'json' }
import {
  DAY_OVERLAP_MS, MAX_TOPIC_BYTES, type PeerRecord, type SignedPeerRecord, TOPIC_ANNOUNCEMENT_BYTES, type TopicAnnouncement, TOPIC_KDF, TOPIC_KDF_SALT, type TopicKdf, type TopicKeys, decodeLanAnnouncement, decodePeerRecord, deriveTopicKeys,
  encodePeerRecord, nextNameChange, openTopicAnnouncement, parseTopic, peerIdFromKey, publicKeyOf, rendezvousNames, sealTopicAnnouncement, sign, utf8Length, verify,
} from '../src/index.ts'
import { bytes, hex } from './vector-values.ts'

const NOON = Date.UTC(2026, 0, 15, 12)
const DAY = 24 * 60 * 60_000
const seed = new Uint8Array(32).fill(1)
const other = new Uint8Array(32).fill(2)
const signWith = (key: Uint8Array) => (message: Uint8Array) => sign(message, key)

/** Cheap and different for each topic. */
const keysOf = (topic: string): Promise<TopicKeys> => deriveTopicKeys(topic, async (password) => Uint8Array.from({ length: 32 }, (_, i) => (password[i % password.length] ?? 0) + i))

function recordOf(key: Uint8Array, addresses = 2): SignedPeerRecord {
  const record: PeerRecord = {
    peerId: peerIdFromKey(publicKeyOf(key)), sequence: 5, issuedAt: NOON, expiresAt: NOON + DAY, knockSecret: new Uint8Array(16).fill(7), passOn: true,
    nat: { v4: 'consistent', v6: 'unknown' },
    addresses: Array.from({ length: addresses }, (_, i) => ({ endpoint: { host: `2001:db8:ffff:ffff:ffff:ffff:ffff:${(i + 1).toString(16)}`, port: 4433 }, source: 'stun' as const })),
  }
  const decoded = decodePeerRecord(encodePeerRecord(record, signWith(key)))
  if (!decoded.ok) throw new Error(decoded.error.message)
  return decoded.value
}

describe('the vectors', () => {
  const [{ topic, seal, name }] = vectors.keys as [{ topic: string; seal: string; name: string }]
  const keys: TopicKeys = { seal: bytes(seal), name: bytes(name) }

  it('hold for texts', () => {
    for (const { text, topic: parsed } of vectors.texts) expect(parseTopic(text)).toMatchObject(parsed === null ? { ok: false } : { ok: true, value: parsed })
  })

  it('hold for keys, whoever computes them', async () => {
    const { N, r, p, dkLen } = TOPIC_KDF
    const native: TopicKdf = async (password) => scryptSync(password, TOPIC_KDF_SALT, dkLen, { N, r, p, maxmem: 256 * 2 ** 20 })
    for (const derived of [await deriveTopicKeys(topic, native), await deriveTopicKeys(topic)]) expect(derived).toEqual(keys)
  })

  it('hold for names', () => {
    for (const { at, names } of vectors.names) expect(rendezvousNames(keys, at)).toEqual(names)
  })

  it('hold for announcements', () => {
    for (const vector of vectors.announcements) {
      const opened = openTopicAnnouncement(bytes(vector.sealed), { keys, name: vector.name })
      if (!opened.ok) throw new Error(opened.error.message)
      expect({ ...vector, kind: opened.value.kind, at: opened.value.at, record: hex(opened.value.signed.bytes) }).toEqual(vector)
      const again = sealTopicAnnouncement(opened.value, { keys, name: vector.name, nonce: bytes(vector.nonce), sign: signWith(new Uint8Array(32).fill(7)) })
      expect(hex(again)).toBe(vector.sealed)
    }
  })

  it('hold for the local network', () => {
    for (const { peerId, knockSecret, strings } of vectors.lan) {
      expect(decodeLanAnnouncement(strings.map((text) => Uint8Array.from(Buffer.from(text))))).toEqual({ ok: true, value: { peerId, knockSecret: bytes(knockSecret) } })
    }
  })
})

describe('a topic', () => {
  it('is the same however people write it', () => {
    for (const text of ['Brave Otters', '  brave   otters ', 'ｂｒａｖｅ\totters', 'BRAVE OTTERS\n']) expect(parseTopic(text)).toEqual({ ok: true, value: 'brave otters' })
    expect(parseTopic('Cafe\u0301')).toEqual(parseTopic('CAFÉ'))
    expect(parseTopic('brave-otters')).not.toEqual(parseTopic('brave otters'))
  })

  it('is something, and not too much', () => {
    for (const text of ['', ' ', '\u3000\n']) expect(parseTopic(text)).toMatchObject({ ok: false, error: { code: 'empty' } })
    expect(parseTopic('x'.repeat(MAX_TOPIC_BYTES))).toMatchObject({ ok: true })
    for (const text of ['x'.repeat(MAX_TOPIC_BYTES + 1), 'é'.repeat(MAX_TOPIC_BYTES), 'x'.repeat(1e6)]) expect(parseTopic(text)).toMatchObject({ ok: false, error: { code: 'too-long' } })
  })

  it('stays itself when it is read again, whatever it was', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      const once = parseTopic(text)
      if (!once.ok) return
      expect(parseTopic(once.value)).toEqual(once)
      expect(utf8Length(once.value)).toBeLessThanOrEqual(MAX_TOPIC_BYTES)
    }))
  })

  it('has one name a day, and two around midnight', async () => {
    const keys = await keysOf('otters')
    const midnight = Date.UTC(2026, 0, 16)
    const [today] = rendezvousNames(keys, NOON)
    const [tomorrow] = rendezvousNames(keys, NOON + DAY)
    expect(today).toMatch(/^[0-9a-f]{32}$/)
    expect(tomorrow).not.toBe(today)
    expect(rendezvousNames(keys, NOON)).toEqual([today])
    for (const at of [midnight - DAY_OVERLAP_MS, midnight - 1, midnight, midnight + DAY_OVERLAP_MS - 1]) expect(rendezvousNames(keys, at).toSorted()).toEqual([today, tomorrow].toSorted())
    expect(rendezvousNames(keys, midnight + DAY_OVERLAP_MS)).toEqual([tomorrow])
    expect(rendezvousNames(await keysOf('badgers'), NOON)).not.toContain(today)
  })

  it('knows when its names change', async () => {
    const keys = await keysOf('otters')
    fc.assert(fc.property(fc.integer({ min: NOON, max: NOON + 3 * DAY }), (at) => {
      const next = nextNameChange(at)
      expect(next).toBeGreaterThan(at)
      expect(rendezvousNames(keys, next - 1).toSorted()).toEqual(rendezvousNames(keys, at).toSorted())
      expect(rendezvousNames(keys, next).toSorted()).not.toEqual(rendezvousNames(keys, at).toSorted())
    }), { numRuns: 40 })
  })
})

describe('an announcement', () => {
  let keys: TopicKeys
  let name: string
  const nonce = new Uint8Array(24).fill(9)
  const signed = recordOf(seed)
  const announcement: TopicAnnouncement = { kind: 'ask', at: NOON, signed }
  let sealed: Uint8Array

  beforeAll(async () => {
    keys = await keysOf('otters')
    name = rendezvousNames(keys, NOON)[0] ?? ''
    sealed = sealTopicAnnouncement(announcement, { keys, name, nonce, sign: signWith(seed) })
  })

  it('opens for those who know the topic', () => {
    expect(openTopicAnnouncement(sealed, { keys, name })).toEqual({ ok: true, value: announcement })
  })

  it('has one size, whatever it says', () => {
    for (const count of [0, 1, 16]) {
      const long = sealTopicAnnouncement({ kind: 'answer', at: NOON, signed: recordOf(seed, count) }, { keys, name, nonce, sign: signWith(seed) })
      expect(long).toHaveLength(TOPIC_ANNOUNCEMENT_BYTES)
      expect(openTopicAnnouncement(long, { keys, name })).toMatchObject({ ok: true, value: { kind: 'answer' } })
    }
  })

  it('opens in no other topic and under no other name', async () => {
    expect(openTopicAnnouncement(sealed, { keys: await keysOf('badgers'), name })).toMatchObject({ ok: false, error: { code: 'not-sealed' } })
    expect(openTopicAnnouncement(sealed, { keys, name: rendezvousNames(keys, NOON + DAY)[0] ?? '' })).toMatchObject({ ok: false, error: { code: 'not-sealed' } })
  })

  it('shows a watcher nothing of who it is about', () => {
    expect(hex(sealed)).not.toContain(signed.record.peerId)
    expect(hex(sealed)).not.toContain(Buffer.from(signed.record.knockSecret).toString('hex'))
  })

  it('is not made by another member in the name of this one', () => {
    const forged = sealTopicAnnouncement({ ...announcement, at: NOON + 1000 }, { keys, name, nonce, sign: signWith(other) })
    expect(openTopicAnnouncement(forged, { keys, name })).toMatchObject({ ok: false, error: { code: 'bad-signature' } })
  })

  it('is not moved to another time or kind', () => {
    const signature = sign(Uint8Array.of(1), seed)
    const forged = sealTopicAnnouncement(announcement, { keys, name, nonce, sign: () => signature })
    expect(openTopicAnnouncement(forged, { keys, name })).toMatchObject({ ok: false, error: { code: 'bad-signature' } })
  })

  it('survives no change of a bit', () => {
    fc.assert(fc.property(fc.nat(TOPIC_ANNOUNCEMENT_BYTES * 8 - 1), (bit) => {
      const changed = Uint8Array.from(sealed)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(openTopicAnnouncement(changed, { keys, name })).toMatchObject({ ok: false, error: { code: 'not-sealed' } })
    }), { numRuns: 50 })
  })

  it('is nothing when it is any other bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2 * TOPIC_ANNOUNCEMENT_BYTES }), (bytes) => {
      expect(openTopicAnnouncement(bytes, { keys, name }).ok).toBe(false)
    }))
    fc.assert(fc.property(fc.uint8Array({ minLength: TOPIC_ANNOUNCEMENT_BYTES, maxLength: TOPIC_ANNOUNCEMENT_BYTES }), (bytes) => {
      expect(openTopicAnnouncement(bytes, { keys, name }).ok).toBe(false)
    }))
  })

  it('may say anything inside, from a member who means harm, and never throws', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 640 }), fc.boolean(), (bytes, isValid) => {
      const hostile = sealTopicAnnouncement({ kind: 'ask', at: NOON, signed: { record: signed.record, bytes } }, { keys, name, nonce, sign: signWith(seed) })
      expect(openTopicAnnouncement(hostile, { keys, name, verify: isValid ? () => true : verify }).ok).toBe(false)
    }))
  })
})
