/** Commands about sending something to a peer, and about what peers would like to send. */
import { type OfferInfo, type OfferState, hasOfferEnded } from '@harddrive-party/protocol/control'
import { resolve } from 'node:path'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { sharePath } from '../share-path-argument.ts'
import { escapeName, formatBytes, formatTable, nameSlug } from '../text-format.ts'

const STATE_WORDS: Readonly<Record<OfferState, string>> = {
  waiting: 'waits', accepted: 'under way', failed: 'failed', declined: 'declined', done: 'done', cancelled: 'cancelled', withdrawn: 'withdrawn', expired: 'expired',
}

/** Paths are those of the helper's machine, which is this one. */
export async function sendPaths(session: HelperSession, peerText: string, paths: readonly string[], { note }: { readonly note?: string }): Promise<void> {
  const { api, output } = session
  const { peerId, name, state } = await peerCalled(session, peerText)
  const { offerId } = await api.sendOffer({ peerId, paths: paths.map((path) => resolve(path)), ...(note === undefined ? {} : { note }) })
  if (output.json) return output.line(JSON.stringify({ id: offerId }))
  const offer = (await api.snapshot()).offers.offers.find((one) => one.offerId === offerId)
  if (offer !== undefined) output.note(`Offered ${escapeName(nameSlug(name))} ${whatOf(offer)}.${state === 'connected' ? '' : ' It is asked as soon as it is connected.'}`)
  await output.line(offerId)
}

/** Waiting ones first: those are the ones to answer. */
export async function listOffers({ api, output }: HelperSession): Promise<void> {
  const { offers } = (await api.snapshot()).offers
  if (output.json) return output.line(JSON.stringify(offers.map(({ offerId, ...rest }) => ({ id: offerId, ...rest }))))
  if (offers.length === 0) {
    output.note('Nothing is offered. "hdp send PEER PATH" offers something to a peer.')
    return
  }
  const rows = [...offers].sort((a, b) => Number(hasOfferEnded(a.state)) - Number(hasOfferEnded(b.state))).map((offer) => [
    offer.offerId.slice(0, 8), offer.direction === 'in' ? 'from' : 'to', escapeName(nameSlug(offer.peerName)), escapeName(offer.name), String(offer.files), formatBytes(offer.bytes), stateOf(offer),
    offer.note === null ? '' : escapeName(offer.note),
  ])
  const columns = [{ title: 'ID' }, { title: '' }, { title: 'PEER' }, { title: 'NAME' }, { title: 'FILES', align: 'right' }, { title: 'SIZE', align: 'right' }, { title: 'STATE' }, { title: 'NOTE' }] as const
  for (const line of formatTable(columns, rows)) await output.line(line)
}

export async function answerOffer(session: HelperSession, accept: boolean, id: string, { to }: { readonly to?: string }): Promise<void> {
  const { api, output } = session
  const offer = await offerCalled(session, id, (one) => one.direction === 'in')
  await api.answerOffer({ offerId: offer.offerId, accept, ...(to === undefined ? {} : { folder: sharePath(to.replaceAll('\\', '/').replace(/^\.?\/+|\/+$/g, '')) }) })
  if (output.json) return output.line(JSON.stringify({ id: offer.offerId, accepted: accept }))
  output.note(accept ? `Accepted; "hdp queue" shows how ${escapeName(offer.name)} comes in.` : 'Declined.')
}

export async function cancelOffer(session: HelperSession, id: string): Promise<void> {
  const { offerId } = await offerCalled(session, id, ({ state }) => !hasOfferEnded(state))
  await session.api.cancelOffer({ offerId })
  if (session.output.json) return session.output.line(JSON.stringify({ id: offerId }))
  session.output.note('Cancelled.')
}

export async function clearOffers({ api, output }: HelperSession): Promise<void> {
  await api.clearOffers()
  if (output.json) await output.line('{}')
}

export interface RuleChange {
  readonly autoAccept?: number | 'off'
  readonly mute?: 'on' | 'off'
}

export async function setOfferRule(session: HelperSession, peerText: string, { autoAccept, mute }: RuleChange): Promise<void> {
  if (autoAccept === undefined && mute === undefined) throw new CommandError(EXIT.usage, 'usage', 'say what to change: --auto-accept or --mute')
  const { peerId } = await peerCalled(session, peerText)
  const change = { ...(autoAccept === undefined ? {} : { autoAcceptBytes: autoAccept === 'off' ? null : autoAccept }), ...(mute === undefined ? {} : { muted: mute === 'on' }) }
  await session.api.setOfferRule({ peerId, ...change })
  if (session.output.json) return session.output.line(JSON.stringify({ peerId, ...change }))
  session.output.note('Set.')
}

/** The id or its beginning. */
async function offerCalled({ api }: HelperSession, id: string, isMeant: (offer: OfferInfo) => boolean): Promise<OfferInfo> {
  const found = (await api.snapshot()).offers.offers.filter((offer) => isMeant(offer) && id !== '' && offer.offerId.startsWith(id.toLowerCase()))
  const [first, ...others] = found
  if (first === undefined) throw new CommandError(EXIT.notFound, 'not-found', `there is no such offer: ${escapeName(id)}; "hdp offers" lists them`)
  if (others.length > 0) throw new CommandError(EXIT.notFound, 'ambiguous', `${id} fits several offers; use more of the id`)
  return first
}

function whatOf({ name, files, bytes }: OfferInfo): string {
  return `${escapeName(name)} (${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(bytes)})`
}

function stateOf({ state, received, bytes, direction, isDelivered }: OfferInfo): string {
  if (state === 'accepted' && bytes > 0) return `${Math.floor((100 * received) / bytes)} %`
  return state === 'waiting' && direction === 'out' && !isDelivered ? 'not there yet' : STATE_WORDS[state]
}
