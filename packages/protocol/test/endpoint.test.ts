import { BlockList, isIP } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressFamily, addressScope, decodeHost, encodeHost, formatEndpoint, parseEndpoint, parseHost } from '../src/index.ts'
import { hex } from './vector-values.ts'

describe('hosts', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    // RFC 5952 4.2.2: one zero group alone is not shortened; 4.2.3: the longest run is, and the first of two as long
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ])('%s is %s', (text, canonical) => {
    expect(parseHost(text)).toEqual({ ok: true, value: canonical })
    expect(decodeHost(encodeHost(text))).toBe(canonical)
  })

  test.each([
    '', 'localhost', 'example.com', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '0x7f.0.0.1', '2130706433', '127.1', '1.2.3.4 ', ' 1.2.3.4', '1.2.3.-4', '１.2.3.4',
    ':', ':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '12345::', '::g', 'fe80::1%eth0', 'fe80::1%25eth0', '[::1]', '::1/128', '1:2:3:4:5:6:7::8', ':1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:8:', '1:2:3:4:5:6:7:', '::1.2.3', '::1.2.3.4:5', '1.2.3.4::', '::1.2.3.256', '0'.repeat(60),
  ])('%j is not a host', (text) => expect(parseHost(text)).toMatchObject({ ok: false, error: { code: 'bad-address' } }))

  test('agrees with the platform on what is an address, zones aside', () => {
    const near = fc.array(fc.constantFrom(':', '::', '.', '0', '1', 'f', 'ff', '255', '256', '2001', 'g', '1.2.3.4', '12345'), { maxLength: 12 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(near, fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
        const result = parseHost(text)
        expect(result.ok).toBe(isIP(text) !== 0 && !text.includes('%'))
        if (result.ok) {
          expect(parseHost(result.value)).toEqual(result)
          expect(addressFamily(result.value)).toBe(isIP(text))
          expect(hex(encodeHost(result.value))).toBe(hex(encodeHost(text)))
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('endpoints', () => {
  test.each(['192.0.2.1:4433', '[2001:db8::1]:4433', '[::ffff:192.0.2.1]:1', '127.0.0.1:65535'])('%s there and back', (text) => {
    const result = parseEndpoint(text)
    expect(result.ok && formatEndpoint(result.value)).toBe(text)
  })
  test.each([
    '', '1.2.3.4', '1.2.3.4:', '1.2.3.4:0', '1.2.3.4:65536', '1.2.3.4:080', '1.2.3.4:+80', '1.2.3.4:8e1', '1.2.3.4: 80', '[1.2.3.4]:80', '2001:db8::1:80', '[2001:db8::1]', '[2001:db8::1]80',
    '[fe80::1%eth0]:80', 'localhost:80', '1.2.3.4:80/x', '[::1]:80\n', `[${'0'.repeat(100)}]:1`,
  ])('%j is refused', (text) => expect(parseEndpoint(text)).toMatchObject({ ok: false, error: { code: 'bad-address' } }))
})

describe('scopes', () => {
  test.each([
    ['127.0.0.1', 'loopback'], ['127.255.255.255', 'loopback'], ['::1', 'loopback'], ['::ffff:127.0.0.1', 'loopback'],
    ['10.0.0.1', 'private'], ['172.16.0.1', 'private'], ['172.31.255.255', 'private'], ['172.32.0.1', 'public'], ['172.15.0.1', 'public'], ['192.168.1.1', 'private'], ['192.169.1.1', 'public'],
    ['fd00::1', 'private'], ['fc00::1', 'private'], ['::ffff:10.1.2.3', 'private'],
    ['169.254.1.1', 'link-local'], ['fe80::1', 'link-local'], ['febf::1', 'link-local'], ['fec0::1', 'reserved'],
    ['100.64.0.1', 'shared'], ['100.127.255.255', 'shared'], ['100.128.0.1', 'public'], ['100.63.0.1', 'public'],
    ['224.0.0.1', 'multicast'], ['239.255.255.255', 'multicast'], ['ff02::1', 'multicast'], ['::ffff:224.0.0.1', 'multicast'],
    ['0.0.0.0', 'unspecified'], ['::', 'unspecified'], ['::ffff:0.0.0.0', 'unspecified'],
    ['0.0.0.1', 'reserved'], ['240.0.0.1', 'reserved'], ['255.255.255.255', 'reserved'], ['192.0.2.1', 'reserved'], ['198.51.100.1', 'reserved'], ['203.0.113.1', 'reserved'], ['198.18.0.1', 'reserved'],
    ['192.0.0.1', 'reserved'], ['2001:db8::1', 'reserved'], ['3fff::1', 'reserved'], ['100::1', 'reserved'], ['::2', 'reserved'],
    ['8.8.8.8', 'public'], ['2606:4700::1111', 'public'], ['1.1.1.1', 'public'],
  ])('%s is %s', (host, scope) => expect(addressScope(host)).toBe(scope))

  test('private and loopback ranges agree with an independent list', () => {
    const list = new BlockList()
    for (const [net, bits] of [['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['127.0.0.0', 8]] as const) list.addSubnet(net, bits, 'ipv4')
    fc.assert(fc.property(fc.ipV4(), (host) => {
      expect(['private', 'loopback'].includes(addressScope(host))).toBe(list.check(host, 'ipv4'))
    }))
  })
})
