import {
  ERROR_CODES, type HelloMessage, type PeerAnswer, type PeerRecord, type PeerRequest, type SharePath, encodePeerRecord, introductionProof, parseSharePath,
  peerIdFromKey, publicKeyOf, sign,
} from '../src/index.ts'

/** One of each message, and the edges of some: shared by the vectors and the tests. */

export function path(text: string): SharePath {
  const result = parseSharePath(text)
  if (!result.ok) throw new Error(result.error.message)
  return result.value
}

const filled = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff)

/** Whose key has the seed 07…07. */
export const RECORD: PeerRecord = {
  peerId: peerIdFromKey(publicKeyOf(new Uint8Array(32).fill(7))),
  sequence: 1_700_000_000_001,
  issuedAt: 1_700_000_000_000,
  expiresAt: 1_700_086_400_000,
  knockSecret: filled(16, 0x10),
  passOn: true,
  nat: { v4: 'consistent', v6: 'open' },
  addresses: [
    { endpoint: { host: '2001:db8::1', port: 4433 }, source: 'interface' },
    { endpoint: { host: '192.0.2.1', port: 40_000 }, source: 'stun' },
  ],
}

export const signedBySeven = (record: PeerRecord): Uint8Array => encodePeerRecord(record, (message) => sign(message, new Uint8Array(32).fill(7)))

export const RECORD_BYTES = signedBySeven(RECORD)

export const HELLO: HelloMessage = {
  type: 'hello',
  versions: [1],
  capabilities: ['read', 'ls'],
  agent: 'harddrive-party/0.1.0',
  knockSecret: filled(16, 0x10),
  pathKey: filled(16, 0x20),
  addresses: ['192.0.2.1:4433', '[2001:db8::1]:4433'],
}

/** The bytes that stand for records here are none: messages carry them unread. */
export const REQUESTS: readonly PeerRequest[] = [
  HELLO,
  { type: 'ls', recursive: false, limit: 100 },
  { type: 'ls', path: path('Music/Für Elise'), search: 'song', recursive: true, cursor: 'c1', limit: 1000 },
  { type: 'read', path: path('Music/song.flac') },
  { type: 'read', path: path('Music/song.flac'), start: 4_194_304, end: 8_388_608, expect: { size: 5_000_000_000, mtime: 1_700_000_000_000.5 } },
  { type: 'read', path: path('Music/song.flac'), places: true },
  { type: 'bundle', files: [{ path: path('Music/song.flac'), size: 3, mtime: 1 }], places: true },
  { type: 'bundle', files: [{ path: path('Music/a.txt'), size: 3, mtime: 1_700_000_000_000.25 }, { path: path('Music/b'), size: 0, mtime: -1.5 }] },
  { type: 'hashes', path: path('Music/song.flac'), ranges: [{ start: 0, end: 65_536 }, { start: 4_194_304, end: 4_194_305 }] },
  { type: 'hashes', path: path('Music/song.flac'), ranges: [{ start: 0, end: 1 }], expect: { size: 5_000_000_000, mtime: 1_700_000_000_000.5 } },
  { type: 'ping' },
  { type: 'gossip', own: filled(8, 0x40), others: [] },
  { type: 'gossip', others: [filled(8, 0x40), filled(4, 0x50)] },
  { type: 'introduce', to: filled(16, 0x30), record: filled(8, 0x40), proof: introductionProof(filled(16, 0x10), filled(16, 0x30), filled(8, 0x40)) },
  { type: 'changed', revision: filled(8, 0x60) },
  { type: 'offer', offerId: filled(16, 0x70), name: 'Für Elise', files: 12, bytes: 5_000_000_003, isDirectory: true, note: 'as promised' },
  { type: 'offer', offerId: filled(16, 0x70), name: 'song.flac', files: 1, bytes: 3, isDirectory: false },
  { type: 'offer-news', offerId: filled(16, 0x70), state: 'accepted', bytes: 4_194_304 },
  { type: 'offer-news', offerId: filled(16, 0x70), state: 'withdrawn' },
  { type: 'thumbnail', path: path('Photos/a.jpg'), size: 5_000_003, mtime: 1_700_000_000_000.5, edge: 320 },
]

export const ANSWERS: readonly PeerAnswer[] = [
  HELLO,
  { type: 'wait', reason: 'approval' },
  { type: 'wait', reason: 'queue', place: 4 },
  { type: 'page', entries: [] },
  {
    type: 'page',
    entries: [
      { path: path('Music'), size: 5_000_000_003, mtime: 1_700_000_000_000, isDirectory: true },
      { path: path('Music/a.flac'), size: 3, mtime: -1.5, isDirectory: false },
    ],
    cursor: 'c2',
  },
  { type: 'data', size: 10, mtime: 1_700_000_000_000.25, start: 4, length: 6 },
  { type: 'sent', bytes: 6, hash: filled(32, 0) },
  { type: 'hashed', size: 10, mtime: 1_700_000_000_000.25, hashes: [filled(32, 0), filled(32, 0x80)] },
  { type: 'picture', bytes: filled(40, 0x52) },
  { type: 'pong' },
  { type: 'noted' },
  { type: 'introduced', record: filled(8, 0x40) },
  ...ERROR_CODES.map((code) => ({ type: 'error', code, message: `because of ${code}` }) as const),
]
