import { type QueueEffect } from '../../core/transfers/queue-messages.ts'
import { jobIdOf } from '../../core/transfers/queue-state.ts'
import type { WishPage, WishRecord } from '../../core/wishes/wish.ts'
import type { WishStore } from './wish-store.ts'

/** Writes what changes of wishes into the store, several changes at once, and finds pages wherever they are. Decides nothing about wishes. */
export interface WishKeeper {
  save(record: WishRecord, change: Pick<Extract<QueueEffect, { type: 'save' }>, 'number' | 'page' | 'rows' | 'soon'>): void
  /** The page as it is now; undefined = it is gone. */
  page(id: string, number: number): WishPage | undefined
  /** A removed wish is written no more. */
  forget(id: string): void
  /** Everything in one turn is one transaction: counts and what they count never disagree in the store. */
  flush(): void
  close(): void
}

export interface WishKeeperOptions {
  readonly store: WishStore
  /** Pages that the queue has in hand. */
  readonly openPage: (id: string, number: number) => WishPage | undefined
  readonly isKnown: (id: string) => boolean
  readonly inBackground: (work: Promise<void>) => void
}

/** What is done is stored together so often: a file finished since is recognised by its target, not fetched again. */
const SAVE_MS = 250

export function createWishKeeper({ store, openPage, isKnown, inBackground }: WishKeeperOptions): WishKeeper {
  const dirtyRecords = new Map<string, WishRecord>()
  const dirtyPages = new Map<string, { readonly id: string; readonly number: number; readonly page: WishPage; rows: boolean }>()
  /** On their way into the store, where they cannot be read yet. */
  const writingPages = new Map<string, WishPage>()
  let timer: ReturnType<typeof setTimeout> | undefined

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    const puts: Promise<void>[] = []
    const pages = [...dirtyPages].filter(([, { id }]) => isKnown(id))
    for (const [key, { id, number, page, rows }] of pages) {
      writingPages.set(key, page)
      if (rows) puts.push(store.putRows(id, number, page.rows))
      puts.push(store.putStates(id, number, page))
    }
    for (const record of dirtyRecords.values()) puts.push(store.putRecord(record))
    dirtyPages.clear()
    dirtyRecords.clear()
    if (puts.length > 0) inBackground(settle(puts, pages.map(([key, { page }]) => [key, page])))
  }

  async function settle(puts: readonly Promise<void>[], pages: readonly (readonly [string, WishPage])[]): Promise<void> {
    await Promise.all(puts)
    for (const [key, page] of pages) {
      if (writingPages.get(key) === page) writingPages.delete(key)
    }
  }

  return {
    save: (record, { number, page, rows, soon }) => {
      const { id } = record
      dirtyRecords.set(id, record)
      if (number !== undefined && page !== undefined) {
        const key = jobIdOf(id, { number, index: 0 })
        dirtyPages.set(key, { id, number, page, rows: rows === true || dirtyPages.get(key)?.rows === true })
      }
      if (!soon) flush()
      else timer ??= setTimeout(flush, SAVE_MS)
    },
    page: (id, number) => {
      const key = jobIdOf(id, { number, index: 0 })
      return openPage(id, number) ?? dirtyPages.get(key)?.page ?? writingPages.get(key) ?? store.page(id, number)
    },
    forget: (id) => dirtyRecords.delete(id),
    flush,
    close: () => clearTimeout(timer),
  }
}
