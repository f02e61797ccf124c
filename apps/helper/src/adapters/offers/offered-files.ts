import { CodedError, type ListPage, type ListRequest, PageMeter, type PeerId, type SharePath, isBelow, offerRoot, parentOf, sharePathParts } from '@harddrive-party/protocol'
import type { ShareView } from '../../core/share-view.ts'
import type { OfferedFiles } from '../../network/network-api.ts'
import { type OfferTree, readOfferTree } from './offer-tree.ts'
import type { ShareIndexReader, Visibility } from '../shares/share-index.ts'
import { type ShareReader, openShareReader } from '../shares/share-reader.ts'

/**
 * Lets peers read what is offered to them, beside the shares: only the one it is offered to, only under the name that it was told, and in no listing or
 * search of anything else. What an offer is made of is looked up when it is asked for.
 */
export interface OfferedReader extends ShareReader {
  setOffers(offers: readonly OfferedFiles[]): void
  /** What a peer sees: its share view, and its offers. */
  viewOf(shares: ShareView, peerId: PeerId): ShareView
  /** Whether this is offered to this peer now. @param offerId hex */
  has(peerId: PeerId, offerId: string): boolean
}

/** Told from the ids of shares by its beginning. */
const viewIdOf = (offerId: string) => `offer ${offerId}`

interface Offered {
  readonly offer: OfferedFiles
  tree: Promise<OfferTree> | undefined
  read: OfferTree | undefined
}

/** @param options.index of the shares; stays the caller's to close */
export function openOfferedReader({ index }: { readonly index: ShareIndexReader }): OfferedReader {
  const offered = new Map<string, Offered>()
  const closed = new AbortController()

  /** Undefined: it is no offer that whoever asks may see. */
  function at(path: SharePath | undefined, { visible }: Visibility): Offered | undefined {
    if (path === undefined || visible === undefined) return undefined
    const [first] = sharePathParts(path)
    for (const one of offered.values()) {
      if (offerRoot(one.offer.offerId) === first && visible.get(viewIdOf(one.offer.offerId)) === first) return one
    }
    return undefined
  }

  async function treeOf(one: Offered): Promise<OfferTree> {
    const tree = (one.tree ??= readOfferTree(one.offer, { signal: closed.signal }))
    try {
      return (one.read = await tree)
    } catch (error) {
      // A drive that is not plugged in comes back.
      if (one.tree === tree) one.tree = undefined
      throw error instanceof CodedError && error.code === 'not-found' ? new CodedError('not-found', 'it is not there any more') : error
    }
  }

  const reader = openShareReader({
    index: {
      ...index,
      list: async (request, options = {}) => {
        const one = at(request.path, options)
        return one === undefined ? index.list(request, options) : pageOf(await treeOf(one), request)
      },
      find: (path, visibility = {}) => {
        const one = at(path, visibility)
        if (one === undefined) return index.find(path, visibility)
        const place = one.read?.place(path)
        const { offerId } = one.offer
        return place && { entry: place.entry, file: place.file, root: { shareId: viewIdOf(offerId), name: offerRoot(offerId), directory: place.directory } }
      },
    },
  })

  return {
    list: reader.list,
    readRange: async (request, options) => {
      const one = at(request.path, options)
      if (one !== undefined) await treeOf(one)
      return reader.readRange(request, options)
    },
    close: () => {
      closed.abort()
      reader.close()
    },
    setOffers: (offers) => {
      const now = new Set(offers.map(({ offerId }) => offerId))
      for (const offerId of offered.keys()) if (!now.has(offerId)) offered.delete(offerId)
      // What an offer holds never changes.
      for (const offer of offers) if (!offered.has(offer.offerId)) offered.set(offer.offerId, { offer, tree: undefined, read: undefined })
    },
    viewOf: (shares, peerId) => {
      const own = [...offered.values()].filter(({ offer }) => offer.peerId === peerId)
      if (own.length === 0) return shares
      return new Map([...shares, ...own.map(({ offer }) => [viewIdOf(offer.offerId), offerRoot(offer.offerId)] as const)])
    },
    has: (peerId, offerId) => offered.get(offerId)?.offer.peerId === peerId,
  }
}

/** @throws CodedError `not-found`, `bad-request` */
function pageOf(tree: OfferTree, { path, recursive, search, sort, cursor, limit }: ListRequest): ListPage {
  if (search !== undefined || sort !== undefined) throw new CodedError('bad-request', 'what is offered is listed in one order')
  const here = path === undefined ? undefined : tree.place(path)
  // Nothing is listed that was not offered, not even its root.
  if (path === undefined || here === undefined) throw new CodedError('not-found', 'there is no such file')
  if (!here.entry.isDirectory) return { entries: [here.entry] }
  const start = cursor === undefined ? 0 : Number(cursor)
  if (!Number.isSafeInteger(start) || start < 0) throw new CodedError('bad-request', 'this cursor is not ours')
  const meter = new PageMeter(limit)
  const entries = []
  for (let i = start; i < tree.entries.length; i++) {
    const entry = tree.entries[i]
    if (entry === undefined || !(recursive ? isBelow(entry.path, path) : parentOf(entry.path) === path)) continue
    if (!meter.admit(entry)) return { entries, cursor: String(i) }
    entries.push(entry)
  }
  return { entries }
}
