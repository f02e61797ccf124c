import type { TransferFile, TransferInfo, TransferWait } from '@harddrive-party/protocol/control'
import { formatBytes, formatDuration, formatPercent, formatSpeed, fractionDone, secondsLeft } from '../../format.ts'
import { isolate, locale, t } from '../../i18n.ts'
import { isEnded } from '../../state/helper-store.ts'
import { TRANSFER_STATES, explain, wordsForReason } from '../../words.ts'

/** How transfers are ordered and put into words. The transfers themselves live in the helper store. */

export function sortTransfers(transfers: Iterable<TransferInfo>): { readonly active: readonly TransferInfo[]; readonly ended: readonly TransferInfo[] } {
  const all = [...transfers]
  return {
    active: all.filter((transfer) => !isEnded(transfer)).sort((a, b) => a.order - b.order || a.addedAt - b.addedAt),
    ended: all.filter(isEnded).sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0)),
  }
}

/** The line below the bar: `1.2 GB of 3.4 GB · 35% · 24 MB/s · 2 min left`. */
export function progressWords(transfer: Pick<TransferInfo, 'state' | 'bytes' | 'total' | 'bytesPerSecond' | 'files' | 'isDirectory'>): string {
  const { state, bytes, total, bytesPerSecond, files, isDirectory } = transfer
  const parts: string[] = []
  if (state === 'done') parts.push(formatBytes(total ?? bytes))
  else if (total === null) parts.push(bytes === 0 ? TRANSFER_STATES[state].label : formatBytes(bytes))
  else parts.push(t('transfers.ofTotal', { done: formatBytes(bytes), total: formatBytes(total) }), formatPercent(fractionDone(bytes, total)))
  if (isDirectory === true && files.total !== null) parts.push(state === 'done' ? t('entries.files', {}, files.total) : t('transfers.filesDone', { done: files.done.toLocaleString(locale()) }, files.total))
  if (state === 'running') {
    parts.push(formatSpeed(bytesPerSecond))
    const left = secondsLeft(bytes, total, bytesPerSecond)
    if (left !== null) parts.push(t('transfers.left', { time: formatDuration(left) }))
  }
  return parts.join(' · ')
}

/** Why it stands still, or how it ended badly; empty while all is well. */
export function troubleWords(transfer: Pick<TransferInfo, 'state' | 'reason' | 'wait' | 'peerName' | 'files'>): string {
  const reason = transfer.wait === null ? (transfer.state === 'failed' ? wordsForReason(transfer) : '') : waitWords(transfer.wait, transfer, Date.now())
  const failed = transfer.files.failed > 0 ? t('transfers.filesFailed', {}, transfer.files.failed) : ''
  return [reason, failed].filter((part) => part !== '').join(' ')
}

/** Why nothing comes in. @param now milliseconds since 1970 */
export function waitWords(wait: TransferWait, { reason, peerName }: Pick<TransferInfo, 'reason' | 'peerName'>, now: number): string {
  const name = isolate(peerName)
  const again = wait.until === undefined || wait.until <= now ? '' : t('words.wait.again', { time: formatDuration((wait.until - now) / 1000) })
  switch (wait.cause) {
    case 'place':
      return t('words.wait.place', { place: wait.place ?? 1, name })
    case 'peer-paused':
      return t('words.wait.peerPaused', { name })
    case 'all-paused':
      return t('words.wait.allPaused')
    case 'peer':
    case 'retry':
      return [wordsForReason({ reason, peerName }), again].filter((part) => part !== '').join(' ')
    case 'source':
      return [t('words.wait.source'), again].filter((part) => part !== '').join(' ')
    default:
      return t(`words.wait.${wait.cause}`, { name })
  }
}

export function fileWords({ state, bytes, size, reason, wait }: TransferFile, peerName: string): string {
  if (state === 'done') return formatBytes(size)
  if (wait !== null && wait.cause !== 'turn' && wait.cause !== 'retry') return waitWords(wait, { reason: null, peerName }, Date.now())
  if (reason !== null) return explain(reason)
  if (state === 'running') return t('transfers.ofTotal', { done: formatPercent(fractionDone(bytes, size)), total: formatBytes(size) })
  return `${TRANSFER_STATES[state].label} · ${formatBytes(size)}`
}

export interface FolderGroup {
  /** Below the transfer's path at the peer; empty for what lies directly in it. */
  readonly folder: string
  readonly files: readonly TransferFile[]
}

/** Files under the folders they lie in, in the order of the listing. */
export function groupFiles(files: readonly TransferFile[]): readonly FolderGroup[] {
  const groups: { folder: string; files: TransferFile[] }[] = []
  for (const file of files) {
    const folder = file.source.slice(0, Math.max(0, file.source.lastIndexOf('/')))
    const last = groups.at(-1)
    if (last?.folder === folder) last.files.push(file)
    else groups.push({ folder, files: [file] })
  }
  return groups
}
