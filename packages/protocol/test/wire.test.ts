import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import vectors from '../../../docs/vectors/messages.json' with { type: 'json' }
import { type PeerAnswer, type PeerRequest, decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../src/index.ts'
import { ANSWERS, HELLO, REQUESTS, path } from './sample-messages.ts'
import { bytes, fromVector, hex } from './vector-values.ts'

/** Hex with a comment per field: everything from `#` to the end of a line is left out. */
function annotated(text: string): string {
  return text.replaceAll(/#.*$/gm, '').replaceAll(/\s+/g, '')
}

const HELLO_BYTES = annotated(`
  a7                                            # map of 7
  64 74797065 65 68656c6c6f                     # type: hello
  68 76657273696f6e73 81 01                     # versions: [1]
  6c 6361706162696c6974696573                   # capabilities:
     82 64 72656164 62 6c73                     #   [read, ls]
  65 6167656e74                                 # agent:
     75 6861726464726976652d70617274792f302e312e30
  6b 6b6e6f636b536563726574                     # knockSecret: 16 bytes
     50 101112131415161718191a1b1c1d1e1f
  67 706174684b6579                             # pathKey: 16 bytes
     50 202122232425262728292a2b2c2d2e2f
  69 616464726573736573 82                      # addresses: 2 texts
     6e 3139322e302e322e313a34343333            #   192.0.2.1:4433
     72 5b323030313a6462383a3a315d3a34343333    #   [2001:db8::1]:4433
`)

const REQUEST_BYTES: readonly (readonly [string, PeerRequest, string])[] = [
  ['hello', HELLO, HELLO_BYTES],
  ['ls of the root', { type: 'ls', recursive: false, limit: 100 }, annotated(`
    a3                                          # map of 3
    64 74797065 62 6c73                         # type: ls
    69 726563757273697665 f4                    # recursive: false
    65 6c696d6974 18 64                         # limit: 100
  `)],
  ['ls with everything', { type: 'ls', path: path('Music/Für Elise'), search: 'song', recursive: true, cursor: 'c1', limit: 1000 }, annotated(`
    a6                                          # map of 6
    64 74797065 62 6c73                         # type: ls
    64 70617468                                 # path: Music/Für Elise
       70 4d757369632f46c3bc7220456c697365
    66 736561726368 64 736f6e67                 # search: song
    69 726563757273697665 f5                    # recursive: true
    66 637572736f72 62 6331                     # cursor: c1
    65 6c696d6974 19 03e8                       # limit: 1000
  `)],
  ['read', { type: 'read', path: path('Music/song.flac'), start: 4_194_304, end: 8_388_608, expect: { size: 5_000_000_000, mtime: 1_700_000_000_000.5 } }, annotated(`
    a5                                          # map of 5
    64 74797065 64 72656164                     # type: read
    64 70617468                                 # path: Music/song.flac
       6f 4d757369632f736f6e672e666c6163
    65 7374617274 1a 00400000                   # start: 4 MiB
    63 656e64 1a 00800000                       # end: 8 MiB
    66 657870656374 82                          # expect: list of 2
       fb 41f2a05f20000000                      #   size 5,000,000,000 as a float
       fb 4278bcfe56800800                      #   mtime 1,700,000,000,000.5
  `)],
  ['read with places', { type: 'read', path: path('a'), places: true }, annotated(`
    a3                                          # map of 3
    64 74797065 64 72656164                     # type: read
    64 70617468 61 61                           # path: a
    66 706c61636573 f5                          # places: true
  `)],
  ['bundle', { type: 'bundle', files: [{ path: path('a.txt'), size: 3, mtime: 1_700_000_000_000.5 }, { path: path('b'), size: 0, mtime: -1.5 }] }, annotated(`
    a2                                          # map of 2
    64 74797065 66 62756e646c65                 # type: bundle
    65 66696c6573 82                            # files: 2
       83                                       #   list of 3
          65 612e747874                         #     path a.txt
          03                                    #     size 3
          fb 4278bcfe56800800                   #     mtime 1,700,000,000,000.5
       83                                       #   list of 3
          61 62                                 #     path b
          00                                    #     size 0
          fb bff8000000000000                   #     mtime 1.5 ms before 1970
  `)],
  ['hashes', { type: 'hashes', path: path('a'), ranges: [{ start: 0, end: 65_536 }], expect: { size: 65_537, mtime: -1.5 } }, annotated(`
    a4                                          # map of 4
    64 74797065 66 686173686573                 # type: hashes
    64 70617468 61 61                           # path: a
    66 72616e676573 81                          # ranges: 1
       82 00 1a 00010000                        #   0 to 65,536
    66 657870656374 82                          # expect: list of 2
       1a 00010001                              #   size 65,537
       fb bff8000000000000                      #   mtime 1.5 ms before 1970
  `)],
  ['ping', { type: 'ping' }, annotated(`
    a1 64 74797065 64 70696e67                  # type: ping
  `)],
  ['gossip', { type: 'gossip', own: bytes('4041'), others: [bytes('5051'), bytes('60')] }, annotated(`
    a3                                          # map of 3
    64 74797065 66 676f73736970                 # type: gossip
    63 6f776e 42 4041                           # own: a record
    66 6f7468657273 82                          # others: 2 records
       42 5051
       41 60
  `)],
  ['introduce', { type: 'introduce', to: bytes('30'.repeat(16)), record: bytes('4041'), proof: bytes('ab'.repeat(16)) }, annotated(`
    a4                                          # map of 4
    64 74797065 69 696e74726f64756365           # type: introduce
    62 746f 50 30303030303030303030303030303030 # to: a key hash
    66 7265636f7264 42 4041                     # record
    65 70726f6f66 50                            # proof: 16 bytes
       abababababababababababababababab
  `)],
  ['changed', { type: 'changed', revision: bytes('6061626364656667') }, annotated(`
    a2                                          # map of 2
    64 74797065 67 6368616e676564               # type: changed
    68 7265766973696f6e 48 6061626364656667     # revision: 8 bytes
  `)],
]

const ANSWER_BYTES: readonly (readonly [string, PeerAnswer, string])[] = [
  ['hello', HELLO, HELLO_BYTES],
  ['wait', { type: 'wait', reason: 'approval' }, annotated(`
    a2                                          # map of 2
    64 74797065 64 77616974                     # type: wait
    66 726561736f6e 68 617070726f76616c         # reason: approval
  `)],
  ['wait in a queue', { type: 'wait', reason: 'queue', place: 4 }, annotated(`
    a3                                          # map of 3
    64 74797065 64 77616974                     # type: wait
    66 726561736f6e 65 7175657565               # reason: queue
    65 706c616365 04                            # place: 4
  `)],
  ['page', {
    type: 'page',
    entries: [
      { path: path('Music'), size: 5_000_000_003, mtime: 1_700_000_000_000, isDirectory: true },
      { path: path('Music/a.flac'), size: 3, mtime: -1.5, isDirectory: false },
    ],
    cursor: 'c2',
  }, annotated(`
    a3                                          # map of 3
    64 74797065 64 70616765                     # type: page
    67 656e7472696573 82                        # entries: 2
       84                                       #   list of 4
          65 4d75736963                         #     path Music
          fb 41f2a05f20300000                   #     size 5,000,000,003
          fb 4278bcfe56800000                   #     mtime 1,700,000,000,000
          f5                                    #     a directory
       84                                       #   list of 4
          6c 4d757369632f612e666c6163           #     path Music/a.flac
          03                                    #     size 3
          fb bff8000000000000                   #     mtime 1.5 ms before 1970
          f4                                    #     a file
    66 637572736f72 62 6332                     # cursor: c2
  `)],
  ['data', { type: 'data', size: 10, mtime: 1_700_000_000_000.25, start: 4, length: 6 }, annotated(`
    a5                                          # map of 5
    64 74797065 64 64617461                     # type: data
    64 73697a65 0a                              # size: 10
    65 6d74696d65 fb 4278bcfe56800400           # mtime
    65 7374617274 04                            # start: 4
    66 6c656e677468 06                          # length: 6
  `)],
  ['sent', { type: 'sent', bytes: 6, hash: new Uint8Array(32).fill(0xab) }, annotated(`
    a3                                          # map of 3
    64 74797065 64 73656e74                     # type: sent
    65 6279746573 06                            # bytes: 6
    64 68617368 58 20                           # hash: 32 bytes
       abababababababababababababababababababababababababababababababab
  `)],
  ['hashed', { type: 'hashed', size: 10, mtime: 1_700_000_000_000.5, hashes: [bytes('ab'.repeat(32))] }, annotated(`
    a4                                          # map of 4
    64 74797065 66 686173686564                 # type: hashed
    64 73697a65 0a                              # size: 10
    65 6d74696d65 fb 4278bcfe56800800           # mtime: 1,700,000,000,000.5
    66 686173686573 81                          # hashes: 1
       58 20 abababababababababababababababab
             abababababababababababababababab
  `)],
  ['pong', { type: 'pong' }, annotated(`
    a1 64 74797065 64 706f6e67                  # type: pong
  `)],
  ['noted', { type: 'noted' }, annotated(`
    a1 64 74797065 65 6e6f746564                # type: noted
  `)],
  ['introduced', { type: 'introduced', record: bytes('4041') }, annotated(`
    a2                                          # map of 2
    64 74797065 6a 696e74726f6475636564         # type: introduced
    66 7265636f7264 42 4041                     # record
  `)],
  ['error', { type: 'error', code: 'not-found', message: 'no such file' }, annotated(`
    a3                                          # map of 3
    64 74797065 65 6572726f72                   # type: error
    64 636f6465 69 6e6f742d666f756e64           # code: not-found
    67 6d657373616765                           # message: no such file
       6c 6e6f20737563682066696c65
  `)],
]

describe('requests', () => {
  test.each(REQUEST_BYTES)('%s', (_, message, wire) => {
    expect(hex(encodeRequest(message))).toBe(wire)
    expect(decodeRequest(bytes(wire))).toEqual({ ok: true, value: message })
  })
  test.each(vectors.requests)('vector $message.type', ({ message, body }) => {
    expect(hex(encodeRequest(fromVector(message) as PeerRequest))).toBe(body)
    expect(decodeRequest(bytes(body))).toEqual({ ok: true, value: fromVector(message) })
  })
})

describe('answers', () => {
  test.each(ANSWER_BYTES)('%s', (_, message, wire) => {
    expect(hex(encodeAnswer(message))).toBe(wire)
    expect(decodeAnswer(bytes(wire))).toEqual({ ok: true, value: message })
  })
  test.each(vectors.answers)('vector $message.type', ({ message, body }) => {
    expect(hex(encodeAnswer(fromVector(message) as PeerAnswer))).toBe(body)
    expect(decodeAnswer(bytes(body))).toEqual({ ok: true, value: fromVector(message) })
  })
})

describe('bytes of strangers', () => {
  const all = [...REQUESTS.map((message) => encodeRequest(message)), ...ANSWERS.map((message) => encodeAnswer(message))]
  const REQUEST_FAULTS = ['bad-request', 'unsupported']

  function decodeBoth(body: Uint8Array): void {
    const request = decodeRequest(body)
    if (!request.ok) expect(REQUEST_FAULTS).toContain(request.error.code)
    const answer = decodeAnswer(body)
    if (!answer.ok) expect(answer.error.code).toBe('bad-answer')
    // Whatever was understood can be said again and is understood the same way.
    if (request.ok) expect(decodeRequest(encodeRequest(request.value))).toEqual(request)
    if (answer.ok && !(answer.value.type === 'page' && answer.value.rejected)) expect(decodeAnswer(encodeAnswer(answer.value))).toEqual(answer)
  }

  test('every truncation is refused', () => {
    for (const body of all) {
      for (let length = 0; length < body.length; length++) {
        expect(decodeRequest(body.slice(0, length))).toMatchObject({ ok: false, error: { code: 'bad-request' } })
        expect(decodeAnswer(body.slice(0, length))).toMatchObject({ ok: false, error: { code: 'bad-answer' } })
      }
    }
  })

  test('every flipped bit is refused or understood as something consistent', () => {
    for (const body of all.slice(0, 20)) {
      for (let bit = 0; bit < body.length * 8; bit++) {
        const flipped = Uint8Array.from(body)
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        decodeBoth(flipped)
      }
    }
  })

  test('random bytes, bare and inside a message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(all.length - 1), fc.double({ min: 0, max: 1, noNaN: true }), (noise, which, where) => {
        decodeBoth(noise)
        const body = all[which] ?? noise
        const at = Math.floor(where * body.length)
        decodeBoth(Uint8Array.from([...body.subarray(0, at), ...noise, ...body.subarray(at)]))
        const overwritten = Uint8Array.from(body)
        overwritten.set(noise.subarray(0, body.length - at), at)
        decodeBoth(overwritten)
      }),
      { numRuns: 2000 },
    )
  })
})
