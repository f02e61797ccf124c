import { CodedError, type HashedMessage, type HashesRequest, MAX_READ_BYTES, type PeerId, type ReadRequest } from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { ByteBudget } from '../../core/byte-budget.ts'
import { type Clock, systemClock } from '../system/drive.ts'
import { Slots } from './read-slots.ts'
import type { RangeLease } from '../shares/share-reader.ts'

/**
 * Hashes ranges of shared files for peers. It costs a peer nothing to ask and this machine the reading of a disk, so everything here is bounded: one
 * request of a peer at a time, few in all, and so many bytes per second.
 */
export interface RangeHasher {
  /**
   * @param read as ShareReader.readRange
   * @throws CodedError `bad-request`, `source-changed`, `aborted`, and what `read` throws
   */
  hash(peer: PeerId, request: HashesRequest, read: ReadRange, options: { readonly signal: AbortSignal }): Promise<HashedMessage>
}

type ReadRange = (request: Omit<ReadRequest, 'type'>) => Promise<RangeLease>

/** At work at once, over all peers. */
const HASHING_AT_ONCE = 2
/** Of one peer: a resume or a handful of files at once, then about what a slow disk reads. */
const PEER_BUDGET = { burst: 256 * 1024 * 1024, bytesPerSecond: 128 * 1024 * 1024 }
/** Hashed in one go: a millisecond. */
const PIECE_BYTES = 512 * 1024

export function createRangeHasher(clock: Clock = systemClock): RangeHasher {
  const slots = new Slots(HASHING_AT_ONCE)
  const peers = new Map<PeerId, { readonly turn: Slots; readonly budget: ByteBudget; asking: number }>()

  /** Those that owe nothing need not be remembered. */
  function forgetRested(): void {
    for (const [peer, { budget, asking }] of peers) if (asking === 0 && budget.isFull(clock.now())) peers.delete(peer)
  }

  return {
    hash: async (peer, request, read, { signal }) => {
      const own = peers.get(peer) ?? { turn: new Slots(1), budget: new ByteBudget(PEER_BUDGET), asking: 0 }
      peers.set(peer, own)
      own.asking++
      try {
        await own.turn.acquire(signal)
      } catch (error) {
        own.asking--
        throw error
      }
      try {
        const bytes = request.ranges.reduce((sum, { start, end }) => sum + end - start, 0)
        await sleep(own.budget.take(clock.now(), bytes), clock, signal)
        await slots.acquire(signal)
        try {
          return await hashRanges(request, read)
        } finally {
          slots.release()
        }
      } finally {
        own.turn.release()
        own.asking--
        forgetRested()
      }
    },
  }
}

async function hashRanges({ path, ranges, expect: wanted }: HashesRequest, read: ReadRange): Promise<HashedMessage> {
  let version = wanted
  const hashes: Uint8Array[] = []
  for (const { start, end } of ranges) {
    const hash = createHash('sha256')
    for (let at = start; at < end; ) {
      const to = Math.min(end, at + MAX_READ_BYTES)
      const lease = await read({ path, start: at, end: to, ...(version === undefined ? {} : { expect: version }) })
      try {
        if (lease.bytes.length !== to - at) throw new CodedError('bad-request', `the file has only ${lease.size} bytes`)
        version ??= { size: lease.size, mtime: lease.mtime }
        for (let from = 0; from < lease.bytes.length; from += PIECE_BYTES) {
          hash.update(lease.bytes.subarray(from, from + PIECE_BYTES))
          await turn()
        }
      } finally {
        lease.release()
      }
      at = to
    }
    hashes.push(hash.digest())
  }
  const { size, mtime } = version as { size: number; mtime: number }
  return { type: 'hashed', size, mtime, hashes }
}

function sleep(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ms === 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const stop = () => {
      cancel()
      reject(new CodedError('aborted', 'stopped'))
    }
    const cancel = clock.wakeAfter(ms, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
