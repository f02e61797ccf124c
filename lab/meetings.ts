/** One meeting of two helpers: codes exchanged, connected or not, a file fetched and compared, everything timed. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { TransferInfo } from '@harddrive-party/protocol/control'
import type { ApiOutcome } from './host-agent.ts'
import { type LabHelper, peerOf, waitUntil } from './helpers.ts'

export interface SharedFile {
  readonly path: string
  readonly content: Buffer
}

export interface MeetingOutcome {
  readonly ok: boolean
  /** From the moment both knew what they need, until the first one is told that it is connected. */
  readonly connectedMs: number | null
  /** Until the first byte of the other's file. */
  readonly firstByteMs: number | null
  /** How they are connected, as the helper says. */
  readonly path: string | null
  /** Why not, as the helper says. */
  readonly reason: string | null
  /** How long it took to say so. */
  readonly failedMs: number | null
}

/** - `both`: each has the other's code. - `one`: the first has the second's. */
export type Exchange = 'both' | 'one'

/** Longer than any attempt is allowed to take. */
const CONNECT_TIMEOUT_MS = 60_000
/** A file's beginning arrives when all of the range that was asked for is verified, so little is asked for. */
const FIRST_BYTES = 1_024

const TRANSFER_TIMEOUT_MS = 30_000

/** @param skewMs how much later the second person pastes the code */
export async function meet(a: LabHelper, b: LabHelper, file: SharedFile, exchange: Exchange, skewMs = 0): Promise<MeetingOutcome> {
  const [codeOfA, codeOfB] = await Promise.all([codeOf(a), codeOf(b)])
  const first = a.call('connect', { code: codeOfB }, CONNECT_TIMEOUT_MS)
  if (skewMs > 0) await new Promise((resolve) => setTimeout(resolve, skewMs))
  const second = exchange === 'both' ? b.call('connect', { code: codeOfA }, CONNECT_TIMEOUT_MS) : undefined
  const outcomes = await Promise.all([first, ...(second === undefined ? [] : [second])])
  const start = Math.max(...outcomes.map(({ startedAt }) => startedAt))
  const connected = outcomes.filter(isConnected)
  if (connected.length === 0) {
    const { error, value, endedAt } = outcomes[0] as ApiOutcome
    const reason = error === undefined ? `state ${(value as { state: string }).state}` : `${error.code}: ${error.message}`
    return { ok: false, connectedMs: null, firstByteMs: null, path: null, reason, failedMs: endedAt - start }
  }
  const connectedMs = Math.max(0, Math.min(...connected.map(({ endedAt }) => endedAt)) - start)
  return { ...(await fetchFrom(a, b.peerId, file, start)), connectedMs }
}

/** Both have met already, somehow: reads the beginning of the file as a browser does, downloads it all, and compares both. */
export async function fetchFrom(a: LabHelper, peerId: string, file: SharedFile, start: number): Promise<Omit<MeetingOutcome, 'connectedMs'>> {
  const snapshot = await waitUntil(a, (state) => (peerOf(state, peerId)?.state === 'connected' ? state : undefined), CONNECT_TIMEOUT_MS)
  const peer = snapshot === undefined ? undefined : peerOf(snapshot, peerId)
  const failed = (reason: string) => ({ ok: false, firstByteMs: null, path: peer?.path?.kind ?? null, reason, failedMs: null })
  if (peer === undefined) return failed('only the other side is connected')
  const link = await a.call('remoteFileUrl', { peerId, path: file.path })
  if (!link.ok) return failed(`${link.error?.code}: ${link.error?.message}`)
  const read = await a.host.read({ url: (link.value as { url: string }).url, bytes: FIRST_BYTES, timeoutMs: TRANSFER_TIMEOUT_MS })
  if (read.error !== undefined || read.firstByteAt === null) return failed(`reading: ${read.error ?? 'nothing came'}`)
  if (read.sha256 !== sha256(file.content.subarray(0, FIRST_BYTES))) return failed(`read ${read.bytes} bytes that are not the file's`)
  const problem = await downloadAndCompare(a, peerId, file)
  if (problem !== undefined) return failed(problem)
  return { ok: true, firstByteMs: read.firstByteAt - start, path: peer.path?.kind ?? null, reason: null, failedMs: null }
}

/** @returns what was wrong, or undefined */
export async function downloadAndCompare(helper: LabHelper, peerId: string, file: SharedFile): Promise<string | undefined> {
  const transferId = await startDownload(helper, peerId, file.path)
  return transferId.startsWith('!') ? transferId.slice(1) : awaitDownload(helper, transferId, file, TRANSFER_TIMEOUT_MS)
}

/** @returns its id, or `!` and why there is none */
export async function startDownload(helper: LabHelper, peerId: string, path: string): Promise<string> {
  const { ok, value, error } = await helper.call('download', { peerId, path })
  return ok ? (value as { transferId: string }).transferId : `!${error?.code}: ${error?.message}`
}

/** @returns what was wrong, or undefined */
export async function awaitDownload(helper: LabHelper, transferId: string, file: SharedFile, timeoutMs: number): Promise<string | undefined> {
  const ended = await waitUntil(helper, ({ transfers }) => transfers.find((transfer) => transfer.transferId === transferId && isEnded(transfer)), timeoutMs)
  if (ended === undefined) {
    const transfer = (await helper.snapshot()).transfers.find((known) => known.transferId === transferId)
    return `after ${timeoutMs} ms the download is ${transfer?.state}, ${transfer?.bytes} bytes: ${transfer?.reason?.message ?? 'no reason'}`
  }
  if (ended.state !== 'done' || ended.target === null) return `download ${ended.state}: ${ended.reason?.message ?? 'no reason'}`
  const written = await readFile(ended.target)
  return written.equals(file.content) ? undefined : 'the downloaded file differs'
}

function isEnded({ state }: TransferInfo): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled'
}

/** @throws when there is none */
export async function codeOf(helper: LabHelper): Promise<string> {
  const { value, error } = await helper.call('announceCode')
  if (value === undefined) throw new Error(`no code: ${error?.message}`)
  return (value as { code: string }).code
}

function isConnected({ ok, value }: ApiOutcome): boolean {
  return ok && (value as { state: string }).state === 'connected'
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
