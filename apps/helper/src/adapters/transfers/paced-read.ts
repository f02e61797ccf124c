import { CodedError } from '@harddrive-party/protocol'
import type { requestBundle } from './bulk-requests.ts'
import { isLocalTo } from '../files/local-path.ts'
import type { Pacer } from './pacer.ts'
import type { ReadOptions, ReadOutcome, requestRead } from '../peers/peer-requests.ts'
import type { PeerConnection } from '../peers/transport.ts'

/**
 * Keeps what is fetched below the limits by asking for no more than may come: under a limit a part is asked for in pieces, each once its bytes may pass.
 * Slowing down reading alone would let whole stream windows arrive at once.
 */

/** How long our own limit holds something up before anybody is told, and how often again. */
const TELL_HELD_MS = 1_000

/** The same as `read`, but within the limits. */
export function pacedRead(read: typeof requestRead, pacer: Pacer): typeof requestRead {
  return async (connection, wanted, into, options) => {
    const { start, end } = wanted
    let first: ReadOutcome | undefined
    let at = start
    for (;;) {
      const piece = pieceBytes(pacer, connection)
      const to = piece === undefined ? end : Math.min(end, at + piece)
      if (piece !== undefined && to > at) await passWith(pacer, connection, to - at, options)
      const got = await read(connection, { ...wanted, start: at, end: to }, into.subarray(at - start, to - start), options)
      if (first !== undefined && (got.size !== first.size || got.mtime !== first.mtime)) throw new CodedError('source-changed', 'the file changed while it was read')
      first ??= got
      at += got.length
      // A short answer is the end of the file.
      if (at >= end || got.length < to - (at - got.length)) return { ...first, start, length: at - start }
    }
  }
}

/** The same as `request`, but within the limits: under one, fewer files at a time. */
export function pacedBundle(request: typeof requestBundle, pacer: Pacer): typeof requestBundle {
  return async (connection, files, into, onFile, options) => {
    let offset = 0
    for (let from = 0; from < files.length; ) {
      const piece = pieceBytes(pacer, connection)
      let to = from + 1
      let bytes = files[from]?.size ?? 0
      for (let next = files[to]; next !== undefined && bytes + next.size <= (piece ?? Infinity); next = files[++to]) bytes += next.size
      if (piece !== undefined) for (let left = bytes; left > 0; left -= piece) await passWith(pacer, connection, Math.min(left, piece), options)
      const first = from
      await request(connection, files.slice(from, to), into.subarray(offset), (index, outcome) => onFile(first + index, outcome), options)
      offset += bytes
      from = to
    }
  }
}

/** Two pieces of a sender's: a round trip lies between any two that are asked for. */
function pieceBytes(pacer: Pacer, connection: PeerConnection): number | undefined {
  const piece = pacer.pieceBytes(connection.peerId, isLocalTo(connection))
  return piece === undefined ? undefined : 2 * piece
}

async function passWith(pacer: Pacer, connection: PeerConnection, bytes: number, { signal, onPlace }: ReadOptions): Promise<void> {
  const timer = setInterval(() => onPlace?.(null), TELL_HELD_MS)
  try {
    await pacer.pass(connection.peerId, bytes, isLocalTo(connection), { signal })
  } finally {
    clearInterval(timer)
  }
}
