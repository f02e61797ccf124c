import type { TransferFile, TransferInfo } from '@harddrive-party/protocol/control'
import { formatBytes, formatDuration, formatPercent, formatSpeed, fractionDone, secondsLeft } from '../../format.ts'
import { isEnded } from '../../state/helper-store.ts'
import { TRANSFER_STATES, wordsForReason } from '../../words.ts'

/** How transfers are ordered and put into words. The transfers themselves live in the helper store. */

export function sortTransfers(transfers: Iterable<TransferInfo>): { readonly active: readonly TransferInfo[]; readonly ended: readonly TransferInfo[] } {
  const all = [...transfers]
  return {
    active: all.filter((transfer) => !isEnded(transfer)).sort((a, b) => rank(a) - rank(b) || a.addedAt - b.addedAt),
    ended: all.filter(isEnded).sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0)),
  }
}

/** What moves comes first, what cannot move comes last. */
function rank({ state }: TransferInfo): number {
  return state === 'running' || state === 'listing' ? 0 : state === 'queued' ? 1 : 2
}

/** The line below the bar: `1.2 GB of 3.4 GB · 35% · 24 MB/s · 2 min left`. */
export function progressWords(transfer: Pick<TransferInfo, 'state' | 'bytes' | 'total' | 'bytesPerSecond' | 'files' | 'isDirectory'>): string {
  const { state, bytes, total, bytesPerSecond, files, isDirectory } = transfer
  const parts: string[] = []
  if (state === 'done') parts.push(formatBytes(total ?? bytes))
  else if (total === null) parts.push(bytes === 0 ? TRANSFER_STATES[state].label : formatBytes(bytes))
  else parts.push(`${formatBytes(bytes)} of ${formatBytes(total)}`, formatPercent(fractionDone(bytes, total)))
  if (isDirectory === true && files.total !== null) parts.push(state === 'done' ? `${files.total.toLocaleString()} files` : `${files.done.toLocaleString()} of ${files.total.toLocaleString()} files`)
  if (state === 'running') {
    parts.push(formatSpeed(bytesPerSecond))
    const left = secondsLeft(bytes, total, bytesPerSecond)
    if (left !== null) parts.push(`${formatDuration(left)} left`)
  }
  return parts.join(' · ')
}

/** Why it stands still, or how it ended badly; empty while all is well. */
export function troubleWords(transfer: Pick<TransferInfo, 'state' | 'reason' | 'peerName' | 'files'>): string {
  const reason = transfer.state === 'waiting' || transfer.state === 'failed' || transfer.state === 'queued' ? wordsForReason(transfer) : ''
  const failed = transfer.files.failed > 0 ? `${transfer.files.failed.toLocaleString()} ${transfer.files.failed === 1 ? 'file' : 'files'} could not be fetched.` : ''
  return [reason, failed].filter((part) => part !== '').join(' ')
}

export function fileWords({ state, bytes, size, reason }: TransferFile): string {
  if (state === 'done') return formatBytes(size)
  if (reason !== null) return reason
  if (state === 'running') return `${formatPercent(fractionDone(bytes, size))} of ${formatBytes(size)}`
  return `${TRANSFER_STATES[state].label} · ${formatBytes(size)}`
}
