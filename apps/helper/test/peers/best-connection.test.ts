import { CodedError, type FileVersion, type PeerId, type SharePath } from '@harddrive-party/protocol'
import { expect, it } from 'vitest'
import { bundleOverBest } from '../../src/adapters/peers/best-connection.ts'
import type { BundleOutcome, requestBundle } from '../../src/adapters/transfers/bulk-requests.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'

const peerId = 'ab'.repeat(32) as PeerId
const [tcp, quic] = ['tcp', 'quic'].map((transport) => ({ peerId, transport }) as PeerConnection) as [PeerConnection, PeerConnection]
const files: FileVersion[] = [3, 5, 2, 4].map((size, index) => ({ path: `share/${index}` as SharePath, size, mtime: 1 }))
const lost = () => new CodedError('connection-lost', 'gone')

/** Sends files filled with their number, on TCP until `breaksAfter` of them, the second one missing. */
function openWorld(breaksAfter: number, failure = lost()) {
  let connection = tcp
  const asked: { transport: string; paths: string[] }[] = []
  const busy: string[] = []
  const request: typeof requestBundle = async (on, wanted, into, onFile) => {
    asked.push({ transport: on.transport, paths: wanted.map(({ path }) => path) })
    let at = 0
    for (const [index, file] of wanted.entries()) {
      if (on === tcp && index === breaksAfter) {
        // Half a file, which is worth nothing.
        into.fill(99, at, at + 1)
        break
      }
      const number = Number(file.path.slice(-1))
      if (number === 1) onFile(index, { error: new CodedError('not-found', 'gone') })
      else onFile(index, { bytes: into.subarray(at, at + file.size).fill(number) })
      at += file.size
    }
    if (on !== tcp) return
    connection = quic
    throw failure
  }
  const following = { connection: () => connection, setBusy: (on: PeerConnection, isBusy: boolean) => void busy.push(`${on.transport} ${isBusy}`) }
  const outcomes: (BundleOutcome | undefined)[] = []
  const run = () => bundleOverBest(following, request)(tcp, files, new Uint8Array(14), (index, outcome) => (outcomes[index] = outcome), { signal: new AbortController().signal })
  return { run, asked, busy, outcomes }
}

it('asks over the next connection for what has not come, and leaves alone what has', async () => {
  for (const breaksAfter of [0, 1, 2, 3]) {
    const { run, asked, busy, outcomes } = openWorld(breaksAfter)
    await run()
    expect(asked).toEqual([
      { transport: 'tcp', paths: files.map(({ path }) => path) },
      { transport: 'quic', paths: files.slice(breaksAfter).map(({ path }) => path) },
    ])
    expect(busy).toEqual(['tcp true', 'tcp false', 'quic true', 'quic false'])
    expect(outcomes.map((outcome) => outcome !== undefined && ('bytes' in outcome ? [...outcome.bytes] : outcome.error.code))).toEqual([[0, 0, 0], 'not-found', [2, 2], [3, 3, 3, 3]])
  }
})

it('asks for nothing when the connection breaks after the last file', async () => {
  const { run, asked, outcomes } = openWorld(4)
  await run()
  expect(asked).toHaveLength(1)
  expect(outcomes).toHaveLength(4)
})

it('does not repeat what failed for another reason', async () => {
  const { run, asked } = openWorld(2, new CodedError('bad-answer', 'nonsense'))
  await expect(run()).rejects.toMatchObject({ code: 'bad-answer' })
  expect(asked).toHaveLength(1)
})
