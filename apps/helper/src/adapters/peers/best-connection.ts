/**
 * Lets requests of one transfer follow the connection in use: each goes over the best one there is at its time, and one that was broken off with its
 * connection goes over the next. Decides nothing about which that is.
 */
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import type { requestBundle } from '../transfers/bulk-requests.ts'
import type { PeerConnection } from './transport.ts'

export interface BestConnectionOptions {
  /** The connection in use, undefined = none. */
  connection(peerId: PeerId): PeerConnection | undefined
  /** Said for each connection when the first request begins on it, and when the last one has ended. */
  setBusy(connection: PeerConnection, busy: boolean): void
}

type Request<Rest extends readonly unknown[], Outcome> = (connection: PeerConnection, ...rest: Rest) => Promise<Outcome>

/** @returns the same requests over the best connection to that peer; those that cannot be repeated are not for this */
export function overBest<Rest extends readonly unknown[], Outcome>({ connection: best, setBusy }: BestConnectionOptions, request: Request<Rest, Outcome>): Request<Rest, Outcome> {
  const running = new WeakMap<PeerConnection, number>()
  const count = (connection: PeerConnection, change: 1 | -1): void => {
    const before = running.get(connection) ?? 0
    running.set(connection, before + change)
    if (before + change === 0 || before === 0) setBusy(connection, change === 1)
  }
  return async (given, ...rest) => {
    for (let next: PeerConnection | undefined = best(given.peerId) ?? given; ;) {
      const connection: PeerConnection = next
      count(connection, 1)
      try {
        return await request(connection, ...rest)
      } catch (error) {
        next = error instanceof CodedError && error.code === 'connection-lost' ? best(given.peerId) : undefined
        if (next === undefined || next === connection) throw error
      } finally {
        count(connection, -1)
      }
    }
  }
}

/** The same bundle over the best connection to that peer: over the next one, only what has not come yet is asked for. */
export function bundleOverBest(options: BestConnectionOptions, request: typeof requestBundle): typeof requestBundle {
  return async (given, files, into, onFile, how) => {
    let told = 0
    let filled = 0
    await overBest(options, async (connection: PeerConnection) => {
      const first = told
      const rest = files.slice(first)
      // It was broken off after the last one: nothing is missing.
      if (rest.length === 0) return
      await request(connection, rest, into.subarray(filled), (index, outcome) => {
        told = first + index + 1
        // Bytes of those before may still be on their way to the disk: theirs is not written to again.
        filled += rest[index]?.size ?? 0
        onFile(first + index, outcome)
      }, how)
    })(given)
  }
}
