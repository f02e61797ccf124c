import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import codes from '../../../docs/vectors/announce-codes.json' with { type: 'json' }
import datagrams from '../../../docs/vectors/datagrams.json' with { type: 'json' }
import punches from '../../../docs/vectors/punches.json' with { type: 'json' }
import knocks from '../../../docs/vectors/knocks.json' with { type: 'json' }
import lanes from '../../../docs/vectors/lanes.json' with { type: 'json' }
import vectors from '../../../docs/vectors/share-paths.json' with { type: 'json' }
import * as protocol from '../src/index.ts'
import { MAX_CBOR_DEPTH, MAX_CBOR_ITEMS, MAX_CBOR_KEYS } from '../src/cbor.ts'
import { bytes } from './vector-values.ts'

/** Holds docs/PROTOCOL.md to the program: its examples are decoded and its numbers compared. */

const text = readFileSync(new URL('../../../docs/PROTOCOL.md', import.meta.url), 'utf8')
const blocks = [...text.matchAll(/^```\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '')

/** The bytes of an example: what stands before two or more spaces on each line. Undefined if some of it is not hexadecimal. */
function exampleBytes(example: string): Uint8Array | undefined {
  const digits = example.split('\n').map((line) => (line.trim().split(/ {2,}/)[0] ?? '').replaceAll(' ', '')).join('')
  return digits !== '' && /^(?:[0-9a-f]{2})+$/.test(digits) ? bytes(digits) : undefined
}

function typeOf(example: string): string | undefined {
  const body = exampleBytes(example)
  if (!body) return undefined
  const request = protocol.decodeRequest(body)
  const answer = protocol.decodeAnswer(body)
  return request.ok ? request.value.type : answer.ok ? answer.value.type : undefined
}

describe('PROTOCOL.md', () => {
  test('every example of a message can be decoded', () => {
    const examples = blocks.flatMap((block) => block.split('\n\n')).filter((example) => /\btype: /.test(example))
    const types = examples.flatMap((example) => (example.includes('ping') ? example.trim().split('\n') : [example])).map((example) => (example.includes('…') ? 'cut' : typeOf(example)))
    expect(types).toEqual(['hello', 'wait', 'wait', 'ls', 'page', 'read', 'data', 'cut', 'bundle', 'hashes', 'cut', 'thumbnail', 'cut', 'ping', 'pong', 'gossip', 'noted', 'introduce', 'introduced', 'changed', 'error'])
  })

  test('the examples of codes, knocks and probes are the vectors', () => {
    for (const value of [codes.codes[0]?.code, knocks.knocks[0]?.cid, datagrams.paths[0]?.probe, datagrams.paths[0]?.echo, punches.punches[0]?.packet, punches.punches[1]?.packet, lanes.knocks[0]?.knock]) expect(text).toContain(value)
  })

  test('every rule of share paths is described', () => {
    const described = new Set([...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map((match) => match[1]))
    for (const { rule } of vectors.refused) expect(described).toContain(rule)
  })

  const table = text.slice(text.indexOf('## 11. Limits'), text.indexOf('## 12.'))
  test.each([
    ['one `read`', [protocol.MAX_READ_BYTES]],
    ['files / bytes in a `bundle`', [protocol.MAX_BUNDLE_FILES, protocol.MAX_READ_BYTES]],
    ['ranges in a `hashes`', [protocol.MAX_HASH_RANGES, protocol.MAX_HASHED_BYTES]],
    ['picture: bytes', [protocol.MAX_THUMBNAIL_BYTES, protocol.MAX_THUMBNAIL_EDGE]],
    ['reads in flight', [protocol.READS_IN_FLIGHT]],
    ['open streams', [protocol.MAX_STREAMS_PER_PEER]],
    ['path / part / parts', [protocol.MAX_PATH_BYTES, protocol.MAX_PATH_PART_BYTES, protocol.MAX_PATH_PARTS]],
    ['search term', [protocol.MAX_SEARCH_BYTES]],
    ['entries in a page', [protocol.MAX_PAGE_ENTRIES]],
    ['cursor', [protocol.MAX_CURSOR_BYTES]],
    ['frames', [protocol.MAX_REQUEST_FRAME_BYTES, protocol.MAX_PAGE_FRAME_BYTES, protocol.MAX_HELLO_FRAME_BYTES, protocol.MAX_SMALL_FRAME_BYTES]],
    ['error message', [protocol.MAX_ERROR_MESSAGE_BYTES, protocol.MAX_AGENT_BYTES, protocol.MAX_CAPABILITY_BYTES]],
    ['versions', [protocol.MAX_HELLO_VERSIONS, protocol.MAX_CAPABILITIES, protocol.MAX_HELLO_ADDRESSES]],
    ['CBOR depth', [MAX_CBOR_DEPTH, MAX_CBOR_KEYS, MAX_CBOR_ITEMS]],
    ['addresses in an announce code', [protocol.MAX_CODE_ADDRESSES]],
    ['peer record', [protocol.MAX_RECORD_BYTES, protocol.MAX_RECORD_ADDRESSES, protocol.MAX_RECORD_LIFETIME_MS / 86_400_000]],
    ['records of others', [protocol.MAX_GOSSIP_RECORDS]],
    ['proof of an introduction', [protocol.INTRODUCTION_PROOF_BYTES]],
    ['connection ID', [protocol.CID_BYTES]],
    ['time bucket', [protocol.KNOCK_BUCKET_MS / 1000]],
    ['handshake', [protocol.HANDSHAKE_TIMEOUT_MS / 1000]],
    ["a request's arrival", [protocol.REQUEST_TIMEOUT_MS / 1000]],
  ])('the limit of %s', (what, numbers) => {
    const row = table.split('\n').find((line) => line.startsWith(`| ${what}`)) ?? ''
    const written = [...(row.split('|')[2] ?? '').matchAll(/[\d,]+/g)].map((match) => Number(match[0].replaceAll(',', ''))).filter((number) => number > 0)
    expect(written.slice(0, numbers.length)).toEqual(numbers)
  })
})
