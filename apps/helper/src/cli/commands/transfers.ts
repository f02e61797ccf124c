/** Commands about downloads: ask for one, wait for it, list, cancel and retry. */
import { CodedError } from '@harddrive-party/protocol'
import { type TransferInfo, openControlMirror } from '@harddrive-party/protocol/control'
import { noticeWords } from '../advice-words.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { splitPeerPath } from '../peer-reference.ts'
import { waitWords } from '../wait-words.ts'
import { printPreview } from './queue.ts'
import { openProgressBar } from '../progress-bar.ts'
import { sharePath } from '../share-path-argument.ts'
import { escapeName, formatBytes, formatSeconds, formatTable, nameSlug } from '../text-format.ts'

export interface DownloadOptions {
  readonly wait?: boolean
  readonly dryRun?: boolean
  readonly follow?: boolean
}

export async function download(session: HelperSession, target: string, { wait = false, dryRun = false, follow = false }: DownloadOptions): Promise<void> {
  const { api, output } = session
  const { peer: peerText, path: pathText } = splitPeerPath(target)
  if (pathText === '') throw new CommandError(EXIT.usage, 'usage', 'name a file or folder: PEER/PATH')
  const peer = await peerCalled(session, peerText)
  const path = sharePath(pathText)
  if (dryRun) return printPreview(session, await api.previewDownload({ peerId: peer.peerId, path }))
  // A typing mistake should be told now. An offline peer cannot be asked: the wish waits for it.
  if (peer.state === 'connected') await api.list({ peerId: peer.peerId, path, recursive: false, limit: 1 }).catch(ignoreUnlessNotFound)
  const { transferId } = await api.download({ peerId: peer.peerId, path, ...(follow ? { follow } : {}) })
  if (wait) return await waitForTransfer(session, transferId)
  if (output.json) return output.line(JSON.stringify({ id: transferId }))
  await output.line(`Queued as ${transferId}. "hdp transfers" shows how it goes.`)
}

function ignoreUnlessNotFound(error: unknown): void {
  if (error instanceof CodedError && error.code === 'not-found') throw error
}

/** Ends with the transfer: prints where it landed, or fails with the reason. */
async function waitForTransfer({ client, output }: HelperSession, transferId: string): Promise<void> {
  const mirror = openControlMirror(client)
  const bar = output.showsProgress ? openProgressBar() : undefined
  try {
    const ended = await new Promise<TransferInfo>((resolve, reject) => {
      const look = () => {
        const transfer = mirror.state?.transfers.find((known) => known.transferId === transferId)
        if (transfer === undefined) {
          if (mirror.state !== null) reject(new CommandError(EXIT.transferFailed, 'aborted', 'the transfer was removed'))
          return
        }
        bar?.update({ ...transfer, note: describeProgress(transfer) })
        if (transfer.endedAt !== null || isEnded(transfer)) resolve(transfer)
      }
      mirror.subscribe(look)
      mirror.ready.then(look, reject)
      client.onClose((reason) => reject(new CommandError(EXIT.failed, 'closed', `the helper went away; the download goes on when it is back (${reason.message})`)))
    })
    bar?.close()
    if (output.json) await output.line(JSON.stringify(transferJson(ended)))
    for (const notice of ended.notices) output.note(noticeWords(notice))
    if (ended.state === 'done') {
      if (!output.json) await output.line(`${formatBytes(ended.bytes)} in ${escapeName(ended.target ?? '')}`)
      return
    }
    throw new CommandError(EXIT.transferFailed, ended.reason?.code ?? 'aborted', ended.reason?.message ?? `the transfer was ${ended.state}`)
  } finally {
    bar?.close()
    mirror.close()
  }
}

function isEnded({ state }: TransferInfo): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled'
}

function describeProgress(transfer: TransferInfo): string {
  const { state, files } = transfer
  const why = waitWords(transfer, Date.now())
  if (why !== '') return why
  if (state === 'listing') return `listing, ${files.total ?? 0} files so far`
  return files.total !== null && files.total > 1 ? `${files.done} of ${files.total} files` : ''
}

/** What `--json` shows of a transfer: stable. `peer` is the whole id; `total` is null until known. */
export function transferJson({ transferId, peerId, peerName, path, state, bytes, total, reason, target }: TransferInfo): object {
  return { id: transferId, peer: peerId, peerName, path, state, bytes, total, ...(reason === null ? {} : { reason: `${reason.code}: ${reason.message}` }), target }
}

export async function listTransfers({ api, output }: HelperSession): Promise<void> {
  const { transfers } = await api.snapshot()
  if (output.json) return output.line(JSON.stringify(transfers.map(transferJson)))
  if (transfers.length === 0) {
    output.note('No transfers.')
    return
  }
  const rows = transfers.map((transfer) => {
    const { transferId, peerName, path, state, bytes, total, bytesPerSecond } = transfer
    const amount = total === null ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(total)}`
    const left = total !== null && bytesPerSecond > 0 && !isEnded(transfer) ? `${formatSeconds((total - bytes) / bytesPerSecond)} left` : ''
    return [transferId, state, amount, bytesPerSecond > 0 ? `${formatBytes(bytesPerSecond)}/s` : '', left, `${escapeName(nameSlug(peerName))}/${escapeName(path)}`, waitWords(transfer, Date.now())]
  })
  const columns = [{ title: 'ID' }, { title: 'STATE' }, { title: 'DONE', align: 'right' }, { title: 'SPEED', align: 'right' }, { title: '' }, { title: 'PATH' }, { title: '' }] as const
  for (const line of formatTable(columns, rows)) await output.line(line)
}

/** @param text a transfer's id or a unique beginning of it */
export async function changeTransfer({ api, output }: HelperSession, change: 'cancel' | 'retry', text: string): Promise<void> {
  const { transfers } = await api.snapshot()
  const fitting = transfers.filter(({ transferId }) => transferId.startsWith(text))
  const [transfer] = fitting
  if (transfer === undefined) throw new CommandError(EXIT.notFound, 'not-found', `there is no transfer ${escapeName(text)}`)
  if (fitting.length > 1) throw new CommandError(EXIT.notFound, 'ambiguous', `${fitting.length} transfers begin with ${escapeName(text)}`)
  await api[change]({ transferId: transfer.transferId })
  if (output.json) return output.line(JSON.stringify({ id: transfer.transferId }))
  return output.line(change === 'cancel' ? `Cancelled ${escapeName(transfer.path)}.` : `Trying ${escapeName(transfer.path)} again.`)
}

