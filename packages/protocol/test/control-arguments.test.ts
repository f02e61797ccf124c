import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CONTROL_METHODS, decodeHello, decodeProof, decodeWelcome, formatPairingLink, isDeviceName, parseArguments, parsePairingFragment } from '../src/control/index.ts'
import { ME } from './control-fake-api.ts'

describe('arguments', () => {
  it('admits what each method needs', () => {
    for (const [method, args] of [
      ['snapshot', undefined], ['snapshot', {}], ['connect', { code: 'hdp1x' }], ['block', { peerId: ME }], ['answerPeer', { peerId: ME, accept: true }],
      ['list', { peerId: null, recursive: true, limit: 1000 }], ['list', { peerId: ME, path: 'Music/Ä ö', search: 'x', recursive: false, cursor: 'c', limit: 1 }],
      ['addShare', { directory: '/home/me/Music' }], ['addShare', { directory: 'C:\\Music', name: 'My music' }], ['browseFolders', {}],
      ['download', { peerId: ME, path: 'a/b', id: 'wish_1-x' }], ['transferFiles', { transferId: 'a.b:c', limit: 10 }], ['updateSettings', {}],
    ] as const) {
      expect(parseArguments(method, args), method).toEqual({ ok: true, value: args })
    }
  })

  it.each([
    ['addShare', { directory: '/x', name: 'a/b' }, /^name:/],
    ['addShare', { directory: '/x', name: '..' }, /^name:/],
    ['addShare', { directory: '/x'.repeat(3000) }, /^directory:/],
    ['list', { peerId: null, recursive: false, limit: Number.NaN }, /^limit:/],
    ['list', { peerId: null, recursive: false, limit: 1, search: 'ä'.repeat(200) }, /^search:/],
    ['list', { recursive: false, limit: 1 }, /^peerId:/],
    ['snapshot', null, /^snapshot:/],
    ['cancel', 'x', /^cancel:/],
    ['cancel', ['x'], /^cancel:|transferId/],
    ['cancel', Object.assign(Object.create(null) as object, { transferId: '<script>' }), /^transferId:/],
    ['download', { peerId: ME, path: 'a', id: 'x'.repeat(65) }, /^id:/],
  ] as const)('%s refuses %j', (method, args, message) => {
    const result = parseArguments(method, args)
    expect(result).toMatchObject({ ok: false, error: { code: 'bad-request', message: expect.stringMatching(message) as string } })
  })

  it('never throws and never lets an unknown field through', () => {
    fc.assert(fc.property(fc.constantFrom(...CONTROL_METHODS), fc.anything(), (method, args) => {
      const result = parseArguments(method, args)
      if (!result.ok) expect(result.error.code).toBe('bad-request')
    }), { numRuns: 1000 })
    fc.assert(fc.property(fc.constantFrom(...CONTROL_METHODS), fc.string({ minLength: 20 }), (method, key) => {
      expect(parseArguments(method, { [key]: 1 }).ok).toBe(false)
    }))
  })
})

describe('pairing links', () => {
  const code = '0123456789abcdef0123456789abcdef'
  it('go there and back, whole or in parts', () => {
    const link = formatPairingLink('http://127.0.0.1:3030', code, ME)
    expect(link).toBe(`http://127.0.0.1:3030/#/pair/${code}.${'ee'.repeat(16)}`)
    for (const text of [link, new URL(link).hash, `/pair/${code}.${'ee'.repeat(16)}`, ` ${code}.${'ee'.repeat(16)} `]) {
      expect(parsePairingFragment(text)).toEqual({ ok: true, value: { code, fingerprint: 'ee'.repeat(16) } })
    }
  })

  it('are refused when they are anything else', () => {
    for (const text of ['', '#', '#/pair/', `#/pair/${code}`, `#/pair/${code}.${code}0`, `#/add/${code}.${code}`, `#/pair/${code.toUpperCase()}.${code}`]) expect(parsePairingFragment(text).ok).toBe(false)
    fc.assert(fc.property(fc.string(), (text) => {
      expect(parsePairingFragment(text).ok).toBe(false)
    }))
  })
})

describe('handshake messages', () => {
  it('are decoded or refused, never thrown at', () => {
    fc.assert(fc.property(fc.oneof(fc.anything(), fc.json(), fc.string()), (text) => {
      for (const decode of [decodeHello, decodeProof, decodeWelcome]) expect(decode(text).ok).toBe(false)
    }), { numRuns: 500 })
    const key = 'ab'.repeat(32)
    const proof = { kind: 'proof', deviceId: key, nonce: key, name: 'Firefox', signature: 'cd'.repeat(64) }
    expect(decodeProof(JSON.stringify({ ...proof, more: 1 }))).toEqual({ ok: true, value: proof })
    fc.assert(fc.property(fc.constantFrom('deviceId', 'nonce', 'name', 'signature', 'pairing'), fc.anything(), (field, value) => {
      const result = decodeProof(JSON.stringify({ ...proof, [field]: value }) ?? '')
      if (result.ok && field !== 'name' && value !== undefined) expect(result.value).toHaveProperty(field, value)
    }))
  })

  it('take only names that can be shown', () => {
    expect(isDeviceName('Firefox on Ädas phone')).toBe(true)
    for (const name of ['', 'x'.repeat(101), 'a\nb', 'a\u202eb', 'a\u200bb', '\u0000', '\ud800', 5, null]) expect(isDeviceName(name)).toBe(false)
  })
})
