/** Commands about reading shared folders: rescan one, or stop that, and how a share's state is put in words. */
import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ShareInfo } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { HelperSession } from '../helper-session.ts'
import { escapeName, formatBytes } from '../text-format.ts'

/** @param text the directory, the share's display name, or its id */
export async function rescanShare({ api, output }: HelperSession, text: string, { quick, stop }: { readonly quick: boolean; readonly stop: boolean }): Promise<void> {
  const { shareId, name } = await findShare(api, text)
  if (stop) {
    await api.cancelScan({ shareId })
    return output.line(output.json ? JSON.stringify({ id: shareId }) : `"${escapeName(name)}" is no longer being read; what was known of it stays.`)
  }
  await api.rescanShare({ shareId, quick })
  const share = (await api.snapshot()).shares.find((known) => known.shareId === shareId)
  if (share === undefined) throw new CommandError(EXIT.notFound, 'not-found', `${escapeName(text)} is no longer shared`)
  const { state, files, directories, bytes, watching = null } = share
  return output.line(output.json ? JSON.stringify({ id: shareId, name, state, files, directories, bytes, watching }) : `${escapeName(name)}: ${shareState(share)}`)
}

/** @param text the directory, the share's display name, or its id @throws CommandError */
export async function findShare(api: HelperSession['api'], text: string): Promise<ShareInfo> {
  const { shares } = await api.snapshot()
  const directory = await realpath(text).catch(() => resolve(text))
  const share = shares.find((known) => known.directory === directory || known.directory === resolve(text)) ?? shares.find((known) => known.name === text || known.shareId === text)
  if (share === undefined) throw new CommandError(EXIT.notFound, 'not-found', `${escapeName(text)} is not shared`)
  return share
}

/** `1200 files, 3.4 GB`, and what else a person should know. */
export function shareState({ state, files, bytes, skipped, progress, watching }: ShareInfo): string {
  const known = `${files} files, ${formatBytes(bytes)}`
  const words = state === 'missing' ? ['missing', known] : state === 'scanning' ? [`scanning: ${progress?.files ?? files} files so far`] : [known]
  if (skipped > 0) words.push(`${skipped} unreadable`)
  if (watching === 'rescans') words.push('too many folders for this system to watch: changes are looked for every few minutes')
  return words.join(', ')
}
