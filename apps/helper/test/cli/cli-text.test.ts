import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodedError, ERROR_CODES, type PeerId } from '@harddrive-party/protocol'
import { CommandError, EXIT, toCommandError } from '../../src/cli/exit-codes.ts'
import { type NamedPeer, findPeer, splitPeerPath } from '../../src/cli/peer-reference.ts'
import { escapeName, formatBytes, formatSeconds, formatTable, formatTime, nameSlug } from '../../src/cli/text-format.ts'

function peer(name: string, start: string): NamedPeer {
  const peerId = start.padEnd(64, '0') as PeerId
  return { peerId, name, fingerprint: peerId.slice(0, 16) }
}

const OTTER = peer('Brave Otter', 'ab12')
const OTTER_2 = peer('Brave Otter', 'ab99')
const BEAR = peer('Brave Bear', 'cd34')
const BEE = peer('Beefy Bee', '0042')
const PEERS = [OTTER, BEAR, BEE]

describe('naming a peer', () => {
  it.each([
    ['brave-otter', OTTER], ['Brave Otter', OTTER], ['BRAVE  OTTER', OTTER], ['brave_otter', OTTER], ['brave-o', OTTER], ['ab12', OTTER],
    [OTTER.fingerprint, OTTER], [OTTER.peerId, OTTER], ['CD', BEAR], ['bee', BEE], ['0', BEE],
  ])('"%s" finds one', (text, expected) => {
    expect(findPeer(PEERS, text)).toBe(expected)
  })

  it('lists the candidates when several fit', () => {
    expect(() => findPeer(PEERS, 'brave')).toThrow(expect.objectContaining({ exitCode: EXIT.notFound, code: 'ambiguous', message: expect.stringMatching(/brave-otter {2}ab12[^]*brave-bear {2}cd34/) }))
    expect(() => findPeer([OTTER, OTTER_2], 'brave-otter')).toThrow(expect.objectContaining({ message: expect.stringContaining(OTTER_2.fingerprint) }))
    expect(findPeer([OTTER, OTTER_2], 'ab99')).toBe(OTTER_2)
  })

  it('prefers a whole name to the beginning of another', () => {
    const short = peer('Bee', 'ff')
    expect(findPeer([BEE, short], 'bee')).toBe(short)
  })

  it('says when nobody fits', () => {
    expect(() => findPeer(PEERS, 'nobody')).toThrow(expect.objectContaining({ exitCode: EXIT.notFound, code: 'not-found' }))
    expect(() => findPeer([], 'x')).toThrow(/hdp connect/)
    expect(() => findPeer(PEERS, ' ')).toThrow(expect.objectContaining({ exitCode: EXIT.usage }))
  })

  it.each([
    ['brave-otter', 'brave-otter', ''], ['brave-otter/', 'brave-otter', ''], ['Brave Otter/Music/a b.flac', 'Brave Otter', 'Music/a b.flac'],
    ['x//Music/', 'x', 'Music'], ['/Music', '', 'Music'],
  ])('splits %s', (text, name, path) => {
    expect(splitPeerPath(text)).toEqual({ peer: name, path })
  })
})

describe('text on a terminal', () => {
  it('shows what could drive it', () => {
    expect(escapeName('a\u001b[31mb\nc\u202etxt.exe')).toBe('a\\u{1b}[31mb\\u{a}c\\u{202e}txt.exe')
    expect(escapeName('Größe 東京 🎧')).toBe('Größe 東京 🎧')
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (name) => {
      // oxlint-disable-next-line no-control-regex -- finding them is the point
      expect(escapeName(name)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
    }))
  })

  it.each([[0, '0 B'], [999, '999 B'], [1000, '1.00 kB'], [1_234_567, '1.23 MB'], [99_960_000, '100 MB'], [999_500_000, '1.00 GB'], [12_345_678_901, '12.3 GB'], [5e18, '5000 PB']])('%d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it.each([[-1, '0 s'], [59.4, '59 s'], [60, '1 min 0 s'], [3_599, '59 min 59 s'], [7_500, '2 h 5 min']])('%d seconds are %s', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text)
  })

  it('formats times, and those that are none', () => {
    expect(formatTime(new Date(2026, 10, 3, 4, 5).getTime())).toBe('2026-11-03 04:05')
    expect([null, 0, Number.NaN, 1e300].map(formatTime)).toEqual(['-', '-', '-', '-'])
  })

  it('aligns columns', () => {
    expect(formatTable([{ title: 'A' }, { title: 'SIZE', align: 'right' }, { title: 'NAME' }], [['東京', '1', 'x'], ['b', '22222', '']])).toEqual([
      'A      SIZE  NAME',
      '東京      1  x',
      'b     22222',
    ])
  })

  it('makes one word of a name', () => {
    expect(nameSlug('  Brave  Otter ')).toBe('brave-otter')
  })
})

describe('exit codes', () => {
  it('has one for every failure', () => {
    for (const code of ERROR_CODES) expect(toCommandError(new CodedError(code, 'x'))).toMatchObject({ code, message: 'x' })
    expect(toCommandError(new CodedError('not-found', 'x')).exitCode).toBe(EXIT.notFound)
    expect(toCommandError(new CodedError('hash-mismatch', 'x')).exitCode).toBe(EXIT.transferFailed)
    expect(toCommandError(new Error('boom'))).toMatchObject({ exitCode: EXIT.failed, code: 'internal', message: 'boom' })
    const error = new CommandError(EXIT.notRunning, 'not-running', 'x')
    expect(toCommandError(error)).toBe(error)
  })
})
