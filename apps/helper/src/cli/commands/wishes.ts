/** Commands about wishes: what is wanted and not here yet, by path or by search. */
import type { NewWish, WishChange, WishInfo, WishPriority, WishTarget } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { splitPeerPath } from '../peer-reference.ts'
import { sharePath } from '../share-path-argument.ts'
import { escapeName, formatTable, nameSlug } from '../text-format.ts'

export interface WishOptions {
  /** Look for this text instead of wishing for a path. */
  readonly search?: string
  readonly peer?: string
  readonly repeat?: boolean
  readonly automatic?: boolean
  readonly ask?: boolean
  readonly once?: boolean
  readonly pause?: boolean
  readonly resume?: boolean
  readonly priority?: WishPriority
  /** `.` = the download folder itself. */
  readonly into?: string
}

const PAGE = 500

/** @throws CommandError when neither or both of path and search are given */
export async function addWish(session: HelperSession, target: string | undefined, options: WishOptions): Promise<void> {
  if ((target === undefined) === (options.search === undefined)) throw new CommandError(EXIT.usage, 'usage', 'wish for PEER/PATH, or with --search for what a search finds')
  const what = target === undefined ? await searchTarget(session, options.search ?? '', options.peer) : await pathTarget(session, target)
  const wish: NewWish = { what, ...changeOf(options) }
  const { wishId } = await session.api.addWish(wish)
  if (session.output.json) return session.output.line(JSON.stringify({ id: wishId }))
  return session.output.line(`On your wishlist as ${wishId}.`)
}

async function searchTarget(session: HelperSession, text: string, peer: string | undefined): Promise<WishTarget> {
  const { peerId, name } = peer === undefined ? { peerId: null, name: null } : await peerCalled(session, peer)
  return { kind: 'search', text, peerId, peerName: name }
}

async function pathTarget(session: HelperSession, target: string): Promise<WishTarget> {
  const { peer, path } = splitPeerPath(target)
  const { peerId, name } = await peerCalled(session, peer)
  return { kind: 'path', peerId, peerName: name, path: sharePath(path), isDirectory: null, size: null }
}

function changeOf({ repeat, once, automatic, ask, pause, resume, priority, into }: WishOptions): WishChange {
  return {
    ...(repeat === true ? { repeat: true } : once === true ? { repeat: false } : {}),
    ...(automatic === true ? { automatic: true } : ask === true ? { automatic: false } : {}),
    ...(pause === true ? { paused: true } : resume === true ? { paused: false } : {}),
    ...(priority === undefined ? {} : { priority }),
    ...(into === undefined ? {} : { folder: into === '.' ? null : sharePath(into) }),
  }
}

export async function listWishes({ api, output }: HelperSession): Promise<void> {
  const wishes = await allWishes(api)
  if (output.json) return output.line(JSON.stringify(wishes.map(wishJson)))
  if (wishes.length === 0) {
    output.note('No wishes. "hdp wish add --search WORDS" finds something as soon as a friend shares it.')
    return
  }
  const rows = wishes.map((wish) => [wish.wishId, stateOf(wish), String(wish.status.matches), wish.priority, describe(wish)])
  for (const line of formatTable([{ title: 'ID' }, { title: 'STATE' }, { title: 'MATCHES', align: 'right' }, { title: 'PRIORITY' }, { title: 'WHAT' }], rows)) await output.line(line)
}

async function allWishes(api: HelperSession['api']): Promise<WishInfo[]> {
  const all: WishInfo[] = []
  let cursor: string | undefined
  do {
    const page = await api.wishes({ limit: PAGE, ...(cursor === undefined ? {} : { cursor }) })
    all.push(...page.wishes)
    cursor = page.cursor
  } while (cursor !== undefined)
  return all
}

function stateOf({ paused, status }: WishInfo): string {
  if (paused) return 'paused'
  return status.state === 'refused' && status.reason !== null ? `refused: ${escapeName(status.reason.message)}` : status.state
}

function describe({ what, repeat, automatic, folder }: WishInfo): string {
  const into = folder === null ? '' : `, into ${escapeName(folder)}`
  if (what.kind === 'path') return `${escapeName(nameSlug(what.peerName))}/${escapeName(what.path)}${into}`
  const where = what.peerName === null ? '' : ` at ${escapeName(nameSlug(what.peerName))}`
  return `"${escapeName(what.text)}"${where}${automatic ? ', downloads by itself' : ''}${repeat ? ', goes on' : ''}${into}`
}

/** What `--json` shows of a wish: stable. */
export function wishJson({ wishId, what, paused, priority, folder, repeat, automatic, addedAt, status }: WishInfo): object {
  const { kind, peerId } = what
  const target = what.kind === 'path' ? { path: what.path } : { search: what.text, repeat, automatic }
  return { id: wishId, kind, peer: peerId, ...target, paused, priority, folder, addedAt, state: status.state, matches: status.matches, taken: status.taken, ...(status.reason === null ? {} : { reason: `${status.reason.code}: ${status.reason.message}` }) }
}

/** @param text a wish's id or a unique beginning of it */
async function wishCalled({ api }: HelperSession, text: string): Promise<WishInfo> {
  const fitting = (await allWishes(api)).filter(({ wishId }) => wishId.startsWith(text))
  const [wish] = fitting
  if (wish === undefined) throw new CommandError(EXIT.notFound, 'not-found', `there is no wish ${escapeName(text)}`)
  if (fitting.length > 1) throw new CommandError(EXIT.notFound, 'ambiguous', `${fitting.length} wishes begin with ${escapeName(text)}`)
  return wish
}

export async function editWish(session: HelperSession, text: string, options: WishOptions): Promise<void> {
  const wish = await wishCalled(session, text)
  const change = { ...changeOf(options), ...(options.search === undefined ? {} : { what: searchOf(wish, options.search) }) }
  if (Object.keys(change).length === 0) throw new CommandError(EXIT.usage, 'usage', 'say what to change, for example --pause')
  const edited = await session.api.editWish({ wishId: wish.wishId, ...change })
  return session.output.line(session.output.json ? JSON.stringify(wishJson(edited)) : `Changed: ${describe(edited)}.`)
}

function searchOf({ what }: WishInfo, text: string): WishTarget {
  if (what.kind !== 'search') throw new CommandError(EXIT.usage, 'usage', 'this wish is for a path; remove it and add another')
  return { ...what, text }
}

export async function removeWish(session: HelperSession, text: string): Promise<void> {
  const { wishId } = await wishCalled(session, text)
  await session.api.removeWish({ wishId })
  return session.output.line(session.output.json ? JSON.stringify({ id: wishId }) : 'Removed.')
}

/** Shows what a search has found, or answers it. */
export async function showMatches(session: HelperSession, text: string, options: { accept?: boolean; drop?: boolean }): Promise<void> {
  const { api, output } = session
  const { wishId } = await wishCalled(session, text)
  if (options.accept === true || options.drop === true) {
    const { answered } = await api.answerMatches({ wishId, accept: options.accept === true })
    return output.line(output.json ? JSON.stringify({ answered }) : `${options.accept === true ? 'Downloading' : 'Dismissed'} ${answered}.`)
  }
  let cursor: string | undefined
  do {
    const page = await api.wishMatches({ wishId, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) })
    for (const { peerName, path, size, isDirectory, peerId } of page.matches) {
      await output.line(output.json ? JSON.stringify({ peer: peerId, path, size, isDirectory }) : `${escapeName(nameSlug(peerName))}/${escapeName(path)}`)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
}
