import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { PeerId } from '@harddrive-party/protocol'
import { formatPairingLink } from '@harddrive-party/protocol/control'
import { MAX_HELPER_ADDRESS, formatHelperPage, hostOf, isHelperOrigin, isLoopbackOrigin, parseHelperAddress } from '../src/features/helpers/helper-address.ts'

const CODE = 'ab'.repeat(16)
const KEY = '0123456789abcdef'.repeat(4) as PeerId

it.each([
  ['https://nas.test:3031', 'https://nas.test:3031'],
  [' https://NAS.test:443/ ', 'https://nas.test'],
  ['https://[fd00::1]:3031/#/transfers', 'https://[fd00::1]:3031'],
  ['http://127.0.0.1:3030', 'http://127.0.0.1:3030'],
  ['http://localhost:3030/#', 'http://localhost:3030'],
])('takes %s', (text, origin) => {
  expect(parseHelperAddress(text)).toEqual({ ok: true, value: { origin, pairing: null } })
  expect(isHelperOrigin(origin)).toBe(true)
})

it.each([
  ['', 'address'],
  ['nas', 'address'],
  ['https://', 'address'],
  [`https://nas.test/${'x'.repeat(MAX_HELPER_ADDRESS)}`, 'address'],
  ['nas:3031', 'scheme'],
  ['javascript:alert(1)', 'scheme'],
  ['java\nscript://localhost/%0aalert(1)', 'scheme'],
  ['data:text/html,x', 'scheme'],
  ['blob:https://nas.test/1', 'scheme'],
  ['file:///etc', 'scheme'],
  ['http://192.168.1.20:3030', 'plain'],
  ['http://localhost.nas.test', 'plain'],
  ['http://127.0.0.1.nas.test', 'plain'],
  ['http://127.0.0.2:3030', 'plain'],
  ['https://me@nas.test', 'credentials'],
  ['http://127.0.0.1:3030@nas.test', 'credentials'],
  ['https://nas.test/app', 'path'],
  ['https://nas.test/?next=x', 'path'],
  [`https://nas.test/#/pair/${CODE}`, 'pairing'],
])('refuses %s for its %s', (text, problem) => {
  expect(parseHelperAddress(text)).toEqual({ ok: false, error: problem })
  expect(isHelperOrigin(text)).toBe(false)
})

it('reads pairing links as helpers make them', () => {
  expect(parseHelperAddress(formatPairingLink('https://nas.test:3031', CODE, KEY))).toEqual({ ok: true, value: { origin: 'https://nas.test:3031', pairing: { code: CODE, fingerprint: KEY.slice(0, 32) } } })
})

it('never throws, and takes nothing but HTTPS and this computer', () => {
  const part = fc.constantFrom('https:', 'http:', 'javascript:', '//', '/', '\\', '@', ':', '#', '?', '%00', '127.0.0.1', 'localhost', 'nas.test', '3030', '/pair/', CODE, '[::1]', '\t', '\n', '。', '１')
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl({ withFragments: true, withQueryParameters: true }), fc.array(part, { maxLength: 12 }).map((parts) => parts.join(''))), (text) => {
    const parsed = parseHelperAddress(text)
    if (!parsed.ok) return
    const { origin } = parsed.value
    expect(origin).toMatch(/^(https:\/\/[^/@?#\\\s]+|http:\/\/(127\.0\.0\.1|localhost)(:\d+)?)$/)
    expect(new URL(origin).origin).toBe(origin)
    expect(isHelperOrigin(origin)).toBe(true)
    expect(new URL(formatHelperPage(origin, text)).origin).toBe(origin)
  }), { numRuns: 2000 })
})

const at = (path: string) => formatHelperPage('https://nas.test:3031', path)

it('keeps the page, and tells nothing about peers or codes', () => {
  expect(at('/transfers')).toBe('https://nas.test:3031/#/transfers')
  expect(at('/shares/browse')).toBe('https://nas.test:3031/#/shares/browse')
  for (const path of [`/peers/${KEY}`, '/add/secret', '/pair/secret', '/connection/x', '', '/transfers?x']) expect(at(path)).toBe('https://nas.test:3031/#/peers')
})

it('names hosts, and knows which lead no further than this computer', () => {
  expect(hostOf('https://nas.test:3031')).toBe('nas.test:3031')
  expect(isLoopbackOrigin('http://127.0.0.1:3030')).toBe(true)
  expect(isLoopbackOrigin('https://nas.test:3031')).toBe(false)
})
