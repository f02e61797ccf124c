/** Commands that look at files: ls and search at peers, one's own shares, and reading a remote file to standard output. */
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CodedError, type Entry, MAX_PAGE_ENTRIES, type PeerId } from '@harddrive-party/protocol'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import type { Output } from '../output.ts'
import { splitPeerPath } from '../peer-reference.ts'
import { openProgressBar } from '../progress-bar.ts'
import { escapeName, formatBytes, formatTime } from '../text-format.ts'
import { sharePath } from '../share-path-argument.ts'
import { displayName } from './peers.ts'
import { shareState } from './share-scans.ts'

export interface ListOptions {
  readonly search?: string
  /** Default: false, and true with a search. */
  readonly recursive?: boolean
}

/** `target` absent: the peers themselves, as directories; or with a search, all connected peers. */
export async function listFiles(session: HelperSession, target: string | undefined, options: ListOptions): Promise<void> {
  const { output } = session
  if (target !== undefined && target !== '') {
    const { peer, path } = splitPeerPath(target)
    const { peerId } = await peerCalled(session, peer)
    for await (const entry of entriesOf(session, peerId, path, options)) await printEntry(output, entry)
    return
  }
  const { peers } = await session.api.snapshot()
  if (options.search === undefined && options.recursive !== true) {
    for (const peer of peers) {
      await printEntry(output, { path: displayName(peer), size: peer.sharedBytes ?? 0, isDirectory: true, mtime: peer.lastSeenAt ?? 0 })
    }
    if (peers.length === 0) output.note('Nobody yet: "hdp connect CODE" adds a peer.')
    return
  }
  for (const peer of peers.filter((known) => known.state === 'connected')) {
    for await (const entry of entriesOf(session, peer.peerId, '', options)) await printEntry(output, { ...entry, path: `${displayName(peer)}/${entry.path}` })
  }
}

export async function listShares(session: HelperSession, path: string | undefined, options: ListOptions): Promise<void> {
  const { api, output } = session
  const isRoot = (path ?? '') === '' && options.search === undefined && options.recursive !== true
  if (isRoot && !output.json) {
    const { shares } = await api.snapshot()
    for (const share of shares) {
      await output.line(`${escapeName(share.name)}  ${shareState(share)}  ${escapeName(share.directory)}`)
    }
    if (shares.length === 0) output.note('Nothing is shared. "hdp share add DIRECTORY" shares a folder.')
    return
  }
  for await (const entry of entriesOf(session, null, path ?? '', options)) await printEntry(output, entry)
}

/** Every page of a listing, one entry at a time. */
async function* entriesOf(session: HelperSession, peerId: PeerId | null, path: string, options: ListOptions): AsyncGenerator<PrintedEntry> {
  const { search } = options
  const recursive = options.recursive ?? search !== undefined
  let cursor: string | undefined
  do {
    const page = await session.api.list({
      peerId,
      recursive,
      limit: MAX_PAGE_ENTRIES,
      ...(path === '' ? {} : { path: sharePath(path) }),
      ...(search === undefined ? {} : { search }),
      ...(cursor === undefined ? {} : { cursor }),
    })
    yield* page.entries
    cursor = page.cursor
  } while (cursor !== undefined)
}

interface PrintedEntry extends Omit<Entry, 'path'> {
  readonly path: string
}

/** With --json exactly `{path, size, isDirectory, mtime}`; `path` is relative to the peer, or begins with the peer's name when all were asked. */
function printEntry(output: Output, { path, size, isDirectory, mtime }: PrintedEntry): Promise<void> {
  if (output.json) return output.line(JSON.stringify({ path, size, isDirectory, mtime }))
  return output.line(`${formatBytes(size).padStart(8)}  ${formatTime(mtime).padEnd(16)}  ${escapeName(path)}${isDirectory ? '/' : ''}`)
}

/** @param start first byte @param end one past the last byte; both default to the whole file */
export async function readFile(session: HelperSession, target: string, { start = 0, end }: { readonly start?: number; readonly end?: number }): Promise<void> {
  const { peer, path } = splitPeerPath(target)
  if (path === '') throw new CommandError(EXIT.usage, 'usage', 'name a file: PEER/PATH')
  const { peerId } = await peerCalled(session, peer)
  const { url, size } = await session.api.remoteFileUrl({ peerId, path: sharePath(path) })
  const to = Math.min(end ?? size, size)
  if (start > size) throw new CommandError(EXIT.failed, 'bad-request', `the file has only ${size} bytes`)
  if (to <= start) return
  const response = await request(url, start, to)
  let received = 0
  const began = performance.now()
  // Drawing over what a person reads helps nobody: only when the bytes go elsewhere.
  const bar = session.output.showsProgress && !process.stdout.isTTY ? openProgressBar() : undefined
  const count = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      received += chunk.length
      bar?.update({ bytes: received, total: to - start, bytesPerSecond: received / Math.max(0.001, (performance.now() - began) / 1000) })
      done(null, chunk)
    },
  })
  try {
    await pipeline(response, count, process.stdout, { end: false })
  } catch (cause) {
    throw new CommandError(EXIT.transferFailed, 'connection-lost', `the file ended early, after ${received} of ${to - start} bytes`, { cause })
  } finally {
    bar?.close()
  }
  if (received !== to - start) throw new CommandError(EXIT.transferFailed, 'wrong-length', `the file ended early, after ${received} of ${to - start} bytes`)
}

function request(url: string, start: number, end: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { headers: { range: `bytes=${start}-${end - 1}` } }, (response) => {
      if (response.statusCode === 206 || (response.statusCode === 200 && start === 0)) {
        resolve(response)
        return
      }
      response.resume()
      reject(new CommandError(response.statusCode === 404 ? EXIT.notFound : EXIT.transferFailed, 'bad-answer', `the helper answered ${response.statusCode}`))
    })
    asked.on('error', (cause) => reject(new CodedError('connection-lost', 'the helper did not answer', { cause })))
  })
}
