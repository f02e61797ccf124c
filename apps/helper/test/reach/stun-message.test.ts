import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeStunAnswer, encodeBindingRequest, isStun } from '../../src/core/reach/stun-message.ts'

const TRANSACTION = 'b7e7a701bc34d686fa87dfae'

/** RFC 5769 section 2.2: a binding success with SOFTWARE, XOR-MAPPED-ADDRESS 192.0.2.1:32853, MESSAGE-INTEGRITY and FINGERPRINT. */
const IPV4_ANSWER = `0101003c2112a442${TRANSACTION}8022000b7465737420766563746f7220002000080001a147e112a64300080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96`.replace(' ', '')
/** RFC 5769 section 2.3: the same for [2001:db8:1234:5678:11:2233:4455:6677]:32853. */
const IPV6_ANSWER = `010100482112a442${TRANSACTION}8022000b7465737420766563746f722000200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d900080014 a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c`.replaceAll(' ', '')

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
/** An answer with an IPv6 MAPPED-ADDRESS. */
const plain = (host: string) => bytes(`010100182112a442${TRANSACTION}000100140002 0bb8 ${host}`.replaceAll(' ', ''))

const hostOf = (hex: string) => {
  const answer = decodeStunAnswer(plain(hex))
  return answer.ok && answer.value.outcome.type === 'mapped' ? answer.value.outcome.endpoint.host : undefined
}

describe('STUN messages', () => {
  it('encodes a binding request', () => {
    const request = encodeBindingRequest(bytes(TRANSACTION))
    //                                             type, length, cookie,  transaction
    expect(Buffer.from(request).toString('hex')).toBe(`000100002112a442${TRANSACTION}`)
    expect(isStun(request)).toBe(true)
  })

  it('decodes the published answers', () => {
    expect(decodeStunAnswer(bytes(IPV4_ANSWER))).toEqual({
      ok: true, value: { transactionId: TRANSACTION, outcome: { type: 'mapped', endpoint: { host: '192.0.2.1', port: 32_853 } } },
    })
    expect(decodeStunAnswer(bytes(IPV6_ANSWER))).toEqual({
      ok: true, value: { transactionId: TRANSACTION, outcome: { type: 'mapped', endpoint: { host: '2001:db8:1234:5678:11:2233:4455:6677', port: 32_853 } } },
    })
  })

  it('leaves the datagram as it is, so that others can read it too', () => {
    for (const datagram of [bytes(IPV4_ANSWER), Buffer.from(IPV4_ANSWER, 'hex')]) {
      expect(decodeStunAnswer(datagram)).toEqual(decodeStunAnswer(datagram))
      expect(Buffer.from(datagram).toString('hex')).toBe(IPV4_ANSWER)
    }
  })

  it('takes the plain address of old servers', () => {
    const answer = bytes(`0101000c2112a442${TRANSACTION}000100080001 1234 c0000201`.replaceAll(' ', ''))
    expect(decodeStunAnswer(answer)).toMatchObject({ ok: true, value: { outcome: { endpoint: { host: '192.0.2.1', port: 0x1234 } } } })
  })

  it('shortens IPv6 addresses as RFC 5952 wants', () => {
    expect(hostOf('20010db8000000000000000000000001')).toBe('2001:db8::1')
    expect(hostOf('20010db8000000010000000000000001')).toBe('2001:db8:0:1::1')
    expect(hostOf('20010db8000000010001000100010001')).toBe('2001:db8:0:1:1:1:1:1')
    expect(hostOf('00000000000000000000000000000001')).toBe('::1')
    expect(hostOf('20010db8000100010001000100000000')).toBe('2001:db8:1:1:1:1::')
  })

  it('decodes errors', () => {
    expect(decodeStunAnswer(bytes(`0111000c2112a442${TRANSACTION}00090008 0000 0414 62616421`.replaceAll(' ', '')))).toMatchObject({
      ok: true, value: { outcome: { type: 'error', code: 420 } },
    })
  })

  it.each([
    ['requests', `000100002112a442${TRANSACTION}`, 'unexpected-type'],
    ['another cookie', `010100002112a443${TRANSACTION}`, 'not-stun'],
    ['a QUIC packet', `c10100002112a442${TRANSACTION}`, 'not-stun'],
    ['an answer without an address', `010100002112a442${TRANSACTION}`, 'no-address'],
    ['a length past the end', `0101000c2112a442${TRANSACTION}`, 'bad-length'],
    ['an attribute past the end', `010100042112a442${TRANSACTION}00200008`, 'bad-length'],
    ['an unknown family', `0101000c2112a442${TRANSACTION}002000080003a147e112a643`, 'bad-attribute'],
    ['port 0', `0101000c2112a442${TRANSACTION}0020000800012112e112a643`, 'bad-attribute'],
  ])('refuses %s', (_name, hex, code) => {
    expect(decodeStunAnswer(bytes(hex))).toMatchObject({ ok: false, error: { code } })
  })

  it('never throws, and never believes an impossible address', () => {
    const damaged = fc.tuple(fc.constantFrom(IPV4_ANSWER, IPV6_ANSWER), fc.nat(), fc.nat(255), fc.nat(100)).map(([hex, at, value, cut]) => {
      const copy = bytes(hex)
      copy[at % copy.length] = value
      return copy.subarray(0, copy.length - (cut % copy.length))
    })
    const headed = fc.uint8Array({ maxLength: 300 }).map((rest) => Uint8Array.from([1, 1, rest.length >> 8, rest.length & 0xfc, 0x21, 0x12, 0xa4, 0x42, ...new Uint8Array(12), ...rest]))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged, headed), (datagram) => {
        const answer = decodeStunAnswer(datagram)
        if (!answer.ok || answer.value.outcome.type !== 'mapped') return
        const { host, port } = answer.value.outcome.endpoint
        expect(URL.canParse(`http://${host.includes(':') ? `[${host}]` : host}:${port}/`)).toBe(true)
        expect(port).toBeGreaterThan(0)
      }),
      { numRuns: 3_000 },
    )
  })
})
