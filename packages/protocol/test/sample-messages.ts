import { ERROR_CODES, type HelloMessage, type PeerAnswer, type PeerRequest, type SharePath, parseSharePath } from '../src/index.ts'

/** One of each message, and the edges of some: shared by the vectors and the tests. */

export function path(text: string): SharePath {
  const result = parseSharePath(text)
  if (!result.ok) throw new Error(result.error.message)
  return result.value
}

const filled = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff)

export const HELLO: HelloMessage = {
  type: 'hello',
  versions: [1],
  capabilities: ['read', 'ls'],
  agent: 'harddrive-party/0.1.0',
  knockSecret: filled(16, 0x10),
  pathKey: filled(16, 0x20),
  addresses: ['192.0.2.1:4433', '[2001:db8::1]:4433'],
}

export const REQUESTS: readonly PeerRequest[] = [
  HELLO,
  { type: 'ls', recursive: false, limit: 100 },
  { type: 'ls', path: path('Music/Für Elise'), search: 'song', recursive: true, cursor: 'c1', limit: 1000 },
  { type: 'read', path: path('Music/song.flac') },
  { type: 'read', path: path('Music/song.flac'), start: 4_194_304, end: 8_388_608, expect: { size: 5_000_000_000, mtime: 1_700_000_000_000.5 } },
  { type: 'ping' },
]

export const ANSWERS: readonly PeerAnswer[] = [
  HELLO,
  { type: 'wait', reason: 'approval' },
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
  { type: 'pong' },
  ...ERROR_CODES.map((code) => ({ type: 'error', code, message: `because of ${code}` }) as const),
]
