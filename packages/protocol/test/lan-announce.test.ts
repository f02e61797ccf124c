/** What is said on the local network: read as written, and bounded whatever it is. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeLanAnnouncement, encodeLanAnnouncement, joinTxt, peerIdFromKey, splitTxt } from '../src/index.ts'

const announcement = { peerId: peerIdFromKey(new Uint8Array(32).fill(0xab)), knockSecret: Uint8Array.from({ length: 16 }, (_, i) => i) }
const text = (value: string) => Uint8Array.from(Buffer.from(value, 'latin1'))

describe('an announcement on the local network', () => {
  it('is three strings that anybody can read', () => {
    const strings = encodeLanAnnouncement(announcement)
    expect(strings.map((bytes) => Buffer.from(bytes).toString())).toEqual(['txtvers=1', `id=${'ab'.repeat(32)}`, 'ks=000102030405060708090a0b0c0d0e0f'])
    expect(decodeLanAnnouncement(strings)).toEqual({ ok: true, value: announcement })
  })

  it('may have more in it, in any order, and counts the first of what is repeated', () => {
    const strings = ['more', '=odd', 'x=1', 'KS=000102030405060708090a0b0c0d0e0f', 'ks=ffffffffffffffffffffffffffffffff', `Id=${'ab'.repeat(32)}`, 'TXTVERS=1'].map(text)
    expect(decodeLanAnnouncement(strings)).toEqual({ ok: true, value: announcement })
  })

  it('says why it is none', () => {
    const [version = text(''), id = text(''), secret = text('')] = encodeLanAnnouncement(announcement)
    expect(decodeLanAnnouncement([])).toMatchObject({ error: { code: 'version' } })
    expect(decodeLanAnnouncement([text('txtvers=2'), id, secret])).toMatchObject({ error: { code: 'version' } })
    expect(decodeLanAnnouncement([version, secret])).toMatchObject({ error: { code: 'bad-id' } })
    expect(decodeLanAnnouncement([version, text('id=zz'), secret])).toMatchObject({ error: { code: 'bad-id' } })
    expect(decodeLanAnnouncement([version, id, text('ks=00')])).toMatchObject({ error: { code: 'bad-secret' } })
    expect(decodeLanAnnouncement(Array.from({ length: 17 }, () => version))).toMatchObject({ error: { code: 'too-many' } })
    expect(decodeLanAnnouncement([text(`txtvers=1${'x'.repeat(300)}`), id, secret])).toMatchObject({ error: { code: 'version' } })
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (strings) => {
      expect(decodeLanAnnouncement(strings).ok).toBe(false)
    }))
    fc.assert(fc.property(fc.array(fc.constantFrom('txtvers=1', `id=${'ab'.repeat(32)}`, 'ks=00', '=', 'id', 'ks=000102030405060708090a0b0c0d0e0f'), { maxLength: 6 }), (strings) => {
      decodeLanAnnouncement(strings.map(text))
    }))
  })

  it('carries bytes in strings of a TXT record', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
      const strings = splitTxt(bytes)
      expect(strings.every(({ length }) => length > 0 && length <= 255)).toBe(true)
      expect(joinTxt(strings, 1000)).toEqual(bytes)
      expect(joinTxt(strings, bytes.length - 1)).toBeUndefined()
    }))
  })
})
