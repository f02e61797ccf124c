/** Answers the control methods about wishes by asking the wish book. Arguments have been checked before. */
import { createHash } from 'node:crypto'
import { CodedError } from '@harddrive-party/protocol'
import { type HubRow, type WishInfo, type WishMatch, type WishesApi, valuesOf } from '@harddrive-party/protocol/control'
import type { FoundMatch } from '../adapters/wishes/wish-list-store.ts'
import type { PeerBook } from './services.ts'
import type { WishBook } from './wish-book.ts'

export interface WishesDeps {
  readonly wishes: WishBook
  readonly book: Pick<PeerBook, 'nameOf'>
  readonly now: () => number
}

export function createWishesService({ wishes, book, now }: WishesDeps): WishesApi {
  return {
    syncWishes: async (request) => {
      const { changes = [], whole = false } = request
      if (whole && changes.length > 0) throw new CodedError('bad-request', 'changes: cannot come while everything is read')
      const refused: { wishId: string; why: 'too-late' | 'too-many' }[] = []
      if (changes.length > 0 && wishes.hub.admits(request)) {
        for (const wish of changes) {
          const outcome = await wishes.take(wish)
          if (outcome !== 'taken') refused.push({ wishId: wish.id, why: outcome })
        }
        // The browser forgets that it has changed something as soon as it hears that we have it.
        await wishes.flushed()
      }
      return { ...wishes.hub.page(request, now()), refused }
    },
    wishes: async ({ cursor, limit }) => {
      const all = wishes.hub.rows().filter(({ removedAt }) => removedAt === null).map(infoOf).sort(byAge)
      return pageOf(all, cursor, limit, ({ wishId }) => wishId, 'wishes')
    },
    addWish: async ({ id, ...values }) => ({ wishId: (await wishes.add(id, values)).wish.id }),
    editWish: async ({ wishId, ...values }) => infoOf(await wishes.edit(wishId, values)),
    removeWish: async ({ wishId }) => {
      await wishes.edit(wishId, { removed: true })
    },
    wishMatches: async ({ wishId, cursor, limit }) => {
      const all = wishes.matches(wishId).map(({ key, match }): WishMatch => ({ matchId: matchIdOf(key), peerName: book.nameOf(match.peerId), ...match }))
      return pageOf(all, cursor, limit, ({ matchId }) => matchId, 'matches')
    },
    answerMatches: async ({ wishId, accept, matchIds }) => {
      const chosen = matchIds === undefined ? undefined : new Set(matchIds)
      const keys = chosen && new Set(wishes.matches(wishId).flatMap(({ key }: FoundMatch) => (chosen.has(matchIdOf(key)) ? [key] : [])))
      return { answered: await wishes.answer(wishId, accept, keys) }
    },
  }
}

export function infoOf({ wish, status }: HubRow): WishInfo {
  const { removed: _removed, ...values } = valuesOf(wish)
  return { wishId: wish.id, addedAt: wish.addedAt, ...values, status }
}

/** Keys are as long as paths. */
function matchIdOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22)
}

function byAge(a: WishInfo, b: WishInfo): number {
  return a.addedAt - b.addedAt || (a.wishId < b.wishId ? -1 : 1)
}

/** @param cursor the id of the last one that was given @throws CodedError `bad-request` when that is not there any more */
function pageOf<T, N extends string>(all: readonly T[], cursor: string | undefined, limit: number, idOf: (item: T) => string, name: N): Record<N, readonly T[]> & { cursor?: string } {
  const start = cursor === undefined ? 0 : all.findIndex((item) => idOf(item) === cursor) + 1
  if (cursor !== undefined && start === 0) throw new CodedError('bad-request', 'cursor: the list has changed, start over')
  const items = all.slice(start, start + limit)
  const last = items.at(-1)
  const more = start + limit < all.length && last !== undefined ? { cursor: idOf(last) } : {}
  return { [name]: items, ...more } as Record<N, readonly T[]> & { cursor?: string }
}
