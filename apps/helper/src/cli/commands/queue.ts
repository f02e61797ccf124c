/** Commands about the order and the pace of downloads. */
import { type ListPage, MAX_PAGE_ENTRIES, type SharePath } from '@harddrive-party/protocol'
import type { DownloadPreview, TransferFile, TransferInfo, TransferScope } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { HelperSession } from '../helper-session.ts'
import { findPeer, splitPeerPath } from '../peer-reference.ts'
import { sharePath } from '../share-path-argument.ts'
import { escapeName, formatBytes, formatTable, nameSlug } from '../text-format.ts'
import { waitWords } from '../wait-words.ts'

export type QueueChange = 'pause' | 'resume' | 'cancel' | 'retry'
export const PLACES = ['top', 'up', 'down', 'bottom'] as const
export type Place = (typeof PLACES)[number]

/** Shorter beginnings of ids could as well be those of names. */
const LEAST_ID = 4

/** What has not ended, in order. */
export async function listQueue({ api, output }: HelperSession, options: { readonly files?: string }): Promise<void> {
  const { transfers, queue, peers } = await api.snapshot()
  if (options.files !== undefined) return listQueueFiles({ api, output } as HelperSession, transferIn(transfers, options.files))
  const line = transfers.filter(({ endedAt }) => endedAt === null).sort((a, b) => a.order - b.order)
  if (output.json) {
    const shown = line.map(({ transferId, peerId, peerName, path, state, wait, reason, bytes, total, files, bytesPerSecond, held, follow }, index) =>
      ({ id: transferId, position: index + 1, peer: peerId, peerName, path, state, wait, reason, bytes, total, files, bytesPerSecond, held, follow }))
    return output.line(JSON.stringify({ paused: queue.paused, pausedPeers: queue.pausedPeers, transfers: shown }))
  }
  if (queue.paused) output.note('All downloads are paused: "hdp queue resume all" goes on.')
  for (const peerId of queue.pausedPeers) output.note(`Everything from ${escapeName(nameSlug(peers.find((peer) => peer.peerId === peerId)?.name ?? peerId))} is paused.`)
  if (line.length === 0) {
    output.note('Nothing is waiting or under way.')
    return
  }
  const now = Date.now()
  const rows = line.map((transfer, index) => [
    String(index + 1), transfer.transferId.slice(0, 8), transfer.state, transfer.total === null ? formatBytes(transfer.bytes) : `${formatBytes(transfer.bytes)} of ${formatBytes(transfer.total)}`,
    `${escapeName(nameSlug(transfer.peerName))}/${escapeName(transfer.path)}`, [waitWords(transfer, now), transfer.follow ? 'follows its source' : ''].filter((text) => text !== '').join('; '),
  ])
  const columns = [{ title: '#', align: 'right' }, { title: 'ID' }, { title: 'STATE' }, { title: 'DONE', align: 'right' }, { title: 'PATH' }, { title: '' }] as const
  for (const text of formatTable(columns, rows)) await output.line(text)
}

async function listQueueFiles({ api, output }: HelperSession, transfer: TransferInfo): Promise<void> {
  const { transferId, peerName } = transfer
  const now = Date.now()
  let cursor: ListPage['cursor']
  do {
    const page = await api.transferFiles({ transferId, limit: MAX_PAGE_ENTRIES, ...(cursor === undefined ? {} : { cursor }) })
    for (const file of page.files) await output.line(output.json ? JSON.stringify(file) : fileLine(file, peerName, now))
    cursor = page.cursor
  } while (cursor !== undefined)
}

function fileLine({ path, state, bytes, size, wait, reason }: TransferFile, peerName: string, now: number): string {
  const why = waitWords({ wait, peerName, reason }, now)
  return `${state.padEnd(9)}  ${formatBytes(bytes).padStart(8)} of ${formatBytes(size).padStart(8)}  ${escapeName(path)}${why === '' ? '' : `  (${why})`}`
}

export async function changeQueue(session: HelperSession, change: QueueChange, target: string, path: string | undefined): Promise<void> {
  const { api, output } = session
  const { scope, words } = await scopeOf(session, target, path)
  await api[`${change}Transfers`](scope)
  const done = { pause: 'Paused', resume: 'Going on with', cancel: 'Cancelled', retry: 'Trying again:' }[change]
  await output.line(output.json ? JSON.stringify(scope) : `${done} ${words}.`)
}

export async function moveInQueue({ api, output }: HelperSession, target: string, to: Place | undefined, before: string | undefined): Promise<void> {
  if ((to === undefined) === (before === undefined)) throw new CommandError(EXIT.usage, 'usage', `say where to: ${PLACES.join(', ')}, or --before another one`)
  const { transfers } = await api.snapshot()
  const { transferId, path } = transferIn(transfers, target)
  await api.moveTransfer({ transferId, ...(before === undefined ? { to: to as Place } : { before: transferIn(transfers, before).transferId }) })
  const line = (await api.snapshot()).transfers.filter(({ endedAt }) => endedAt === null).sort((a, b) => a.order - b.order)
  const position = line.findIndex((one) => one.transferId === transferId) + 1
  await output.line(output.json ? JSON.stringify({ id: transferId, position }) : `${escapeName(path)} is number ${position} of ${line.length}.`)
}

export async function followSource({ api, output }: HelperSession, target: string, follow: boolean): Promise<void> {
  const { transferId, path } = transferIn((await api.snapshot()).transfers, target)
  await api.followTransfer({ transferId, follow })
  await output.line(output.json ? JSON.stringify({ id: transferId, follow }) : `${escapeName(path)} ${follow ? 'follows its source from now on' : 'does not follow its source any more'}.`)
}

export async function fetchAgain({ api, output }: HelperSession, target: string): Promise<void> {
  const { transferId, path } = transferIn((await api.snapshot()).transfers, target)
  await api.fetchAgain({ transferId })
  await output.line(output.json ? JSON.stringify({ id: transferId }) : `Looking for what is missing of ${escapeName(path)}.`)
}

/** `all`, a transfer (its id, or PEER/PATH of it or of something in it), or a peer. */
async function scopeOf({ api }: HelperSession, target: string, path: string | undefined): Promise<{ scope: TransferScope; words: string }> {
  if (target === 'all' && path === undefined) return { scope: { all: true }, words: 'all downloads' }
  const { transfers, peers } = await api.snapshot()
  const slash = target.includes('/')
  if (path !== undefined || slash || transfersNamed(transfers, target).length > 0) {
    const found = transferIn(transfers, target)
    const inside = path === undefined ? insideOf(found, target) : sharePath(path)
    return { scope: { transferId: found.transferId, ...(inside === undefined ? {} : { path: inside }) }, words: escapeName(inside === undefined ? found.path : `${found.path}/${inside}`) }
  }
  const peer = findPeer(peers, target)
  return { scope: { peerId: peer.peerId }, words: `everything from ${escapeName(nameSlug(peer.name))}` }
}

function transfersNamed(transfers: readonly TransferInfo[], text: string): readonly TransferInfo[] {
  const exact = transfers.filter(({ transferId }) => transferId === text)
  return exact.length > 0 || text.length < LEAST_ID ? exact : transfers.filter(({ transferId }) => transferId.startsWith(text))
}

/** What lies below the transfer's own path in PEER/PATH. */
function insideOf({ path }: TransferInfo, target: string): SharePath | undefined {
  const named = target.includes('/') ? splitPeerPath(target).path : ''
  return named.startsWith(`${path}/`) ? sharePath(named.slice(path.length + 1)) : undefined
}

/** @throws CommandError when none or several fit */
function transferIn(transfers: readonly TransferInfo[], text: string): TransferInfo {
  const fitting = text.includes('/') ? transfersAt(transfers, text) : transfersNamed(transfers, text)
  const [transfer, ...others] = fitting
  if (transfer === undefined) throw new CommandError(EXIT.notFound, 'not-found', `there is no transfer ${escapeName(text)}; "hdp queue list" and "hdp transfers" show them`)
  if (others.length > 0) throw new CommandError(EXIT.notFound, 'ambiguous', `${fitting.length} transfers begin with ${escapeName(text)}`)
  return transfer
}

/** The one that PEER/PATH is or lies in: the closest, and of several for the same the one that has not ended, or else the latest. */
function transfersAt(transfers: readonly TransferInfo[], text: string): readonly TransferInfo[] {
  const { peer, path } = splitPeerPath(text)
  const wanted = nameSlug(peer)
  const around = transfers.filter((one) => (nameSlug(one.peerName) === wanted || one.peerId.startsWith(wanted)) && (one.path === path || path.startsWith(`${one.path}/`)))
  const best = around.toSorted((a, b) => b.path.length - a.path.length || Number(a.endedAt !== null) - Number(b.endedAt !== null) || b.addedAt - a.addedAt)[0]
  return best === undefined ? [] : [best]
}

/** What `get --dry-run` tells. */
export async function printPreview({ output }: HelperSession, preview: DownloadPreview): Promise<void> {
  if (output.json) return output.line(JSON.stringify(preview))
  const { files, bytes, here, clashes, rejected, target, isRenamed, freeBytes, fits, isComplete, transferId } = preview
  const least = isComplete ? '' : 'at least '
  await output.line(`${least}${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(bytes)}`)
  if (here.files > 0) await output.line(`here already: ${here.files} ${here.files === 1 ? 'file' : 'files'}, ${formatBytes(here.bytes)}; to fetch: ${least}${files - here.files}, ${formatBytes(bytes - here.bytes)}`)
  if (clashes > 0) await output.line(`${clashes} would get another name, since theirs is taken`)
  if (rejected > 0) await output.line(`${rejected} would be left out: their names are not allowed`)
  await output.line(`into ${escapeName(target)}${isRenamed ? ' (its own name is taken)' : ''}`)
  if (freeBytes !== null) await output.line(`${formatBytes(freeBytes)} free: ${fits === false ? 'it does not fit' : 'it fits'}`)
  if (transferId !== null) await output.line(`It is being fetched already, as ${transferId}.`)
}
