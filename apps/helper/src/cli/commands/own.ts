/** Commands about this helper: its code, status, shares, and stopping it. */
import { resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { CodedError } from '@harddrive-party/protocol'
import type { ShareInfo } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { HelperSession } from '../helper-session.ts'
import { audienceOf, audienceText, setShareAudience } from './access.ts'
import { findShare } from './share-scans.ts'
import { escapeName, formatBytes, formatTime, nameSlug } from '../text-format.ts'

export async function showCode({ api, output }: HelperSession, { renew }: { readonly renew: boolean }): Promise<void> {
  const { code, link } = await (renew ? api.renewCode() : api.announceCode())
  if (output.json) return output.line(JSON.stringify({ code }))
  await output.line(code)
  output.note(`\nAs a link for somebody who runs harddrive-party: ${link}`)
  if (renew) output.note('The code before this one no longer lets strangers in; whom you know already can still connect.')
}

/** With --json what `start --json` prints, without the one-time `pairUrl` (see `pair`), plus NAT kind, counts and more. */
export async function showStatus({ api, output, ui, pid }: HelperSession): Promise<void> {
  const { status, peers, shares, transfers, uploads } = await api.snapshot()
  const code = await currentCode(api)
  const counts = {
    peers: peers.length,
    connected: peers.filter((peer) => peer.state === 'connected').length,
    shares: shares.length,
    files: shares.reduce((sum, share) => sum + share.files, 0),
    bytes: shares.reduce((sum, share) => sum + share.bytes, 0),
    transfers: transfers.filter((transfer) => transfer.endedAt === null).length,
    uploads: uploads.length,
  }
  if (output.json) {
    const { peerId, name, udp, natKind, network, addresses, downloadDirectory, version } = status
    return output.line(JSON.stringify({ ui, code, peerId, name, udp, natKind, network, addresses, downloadDirectory, version, pid: pid ?? null, counts }))
  }
  const rows = [
    ['You are', `${nameSlug(status.name)}  (${status.peerId.slice(0, 16)})`],
    ['App', ui],
    ['Network', `${status.network}; UDP port ${status.udp.v4 ?? status.udp.v6 ?? 'none'}; NAT: ${status.natKind}`],
    ['Addresses', status.addresses.join(', ')],
    ['Peers', `${counts.connected} connected of ${counts.peers} known`],
    ['Shares', `${counts.shares} folders, ${counts.files} files, ${formatBytes(counts.bytes)}`],
    ['Transfers', `${counts.transfers} down, ${counts.uploads} up`],
    ['Downloads', `${escapeName(status.downloadDirectory)}${status.freeBytes === null ? '' : ` (${formatBytes(status.freeBytes)} free)`}`],
    ['Since', formatTime(status.startedAt)],
    ['Code', code ?? 'none: nobody can connect to this helper now'],
  ]
  for (const [label = '', value = ''] of rows) await output.line(`${`${label}:`.padEnd(11)} ${value}`)
}

/** Null while nobody could connect with one: no QUIC on this platform, or the network is just starting. */
async function currentCode(api: HelperSession['api']): Promise<string | null> {
  try {
    return (await api.announceCode()).code
  } catch (error) {
    if (error instanceof CodedError && (error.code === 'no-transport' || error.code === 'busy')) return null
    throw error
  }
}

/** @param options.to names of peers and groups; absent = everyone */
export async function addShare({ api, output }: HelperSession, directory: string, { name, to }: { readonly name?: string; readonly to?: readonly string[] }): Promise<void> {
  const { access, peers } = await api.snapshot()
  const audience = to === undefined ? 'everyone' : audienceOf(access, peers, to)
  const share = await api.addShare({ directory: resolve(directory), audience, ...(name === undefined ? {} : { name }) })
  if (output.json) return output.line(JSON.stringify(shareJson(share)))
  return output.line(`Sharing ${escapeName(share.directory)} as "${escapeName(share.name)}" with ${audienceText(audience, access, peers)}.`)
}

/** @param text as of `removeShare` @param names of peers and groups, or `everyone`, or `nobody` */
export async function changeAudience(session: HelperSession, text: string, names: readonly string[]): Promise<void> {
  await setShareAudience(session, await shareCalled(session, text), names)
}

/** @param text the directory, the share's display name, or its id */
export async function removeShare(session: HelperSession, text: string): Promise<void> {
  const { api, output } = session
  const share = await shareCalled(session, text)
  await api.removeShare({ shareId: share.shareId })
  if (output.json) return output.line(JSON.stringify(shareJson(share)))
  return output.line(`No longer sharing ${escapeName(share.directory)}. Its files are untouched.`)
}

/** @throws CommandError when nothing is called so */
async function shareCalled({ api }: HelperSession, text: string): Promise<ShareInfo> {
  const share = await findShare(api, text)
  return share
}

function shareJson({ shareId, name, directory, state, files, bytes }: ShareInfo): object {
  return { id: shareId, name, directory, state, files, bytes }
}

/** A helper says goodbye to its peers and closes its database; longer means that it hangs. */
const STOP_TIMEOUT_MS = 15_000
const LOOK_EVERY_MS = 50

/** Resolves when the helper's process is gone. */
export async function stopHelper({ api, output, pid }: HelperSession): Promise<void> {
  await api.shutdown()
  const deadline = performance.now() + STOP_TIMEOUT_MS
  for (;;) {
    if (pid === undefined || !isAlive(pid)) break
    if (performance.now() > deadline) throw new CommandError(EXIT.failed, 'timed-out', `the helper (process ${pid}) does not end`)
    await wait(LOOK_EVERY_MS)
  }
  if (output.json) return output.line(JSON.stringify({ stopped: true }))
  return output.line('Stopped.')
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
