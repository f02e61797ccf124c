/** The activity log of this helper: fed with every change that UIs hear of, kept over restarts, told to UIs. What is worth noting `activity-log.ts` decides. */
import type { ActivityApi, ActivityEntry, ActivityFact, ControlChange } from '@harddrive-party/protocol/control'
import type { Store } from '../adapters/system/store.ts'
import { ActivityLog } from './activity-log.ts'

export interface ActivityBook extends ActivityApi {
  /** As in the snapshot: what is so already. */
  seed: ActivityLog['seed']
  hear(change: ControlChange): void
  /** For what is no change of state. */
  note(fact: ActivityFact): void
}

export interface ActivityBookOptions {
  readonly store: Store
  readonly now: () => number
  readonly onChange: (change: ControlChange) => void
  readonly onError: (error: unknown) => void
}

/** Keys sort as numbers do. */
const keyOf = (id: number) => String(id).padStart(16, '0')
const LAST = 'last'

export function createActivityBook({ store, now, onChange, onError }: ActivityBookOptions): ActivityBook {
  const table = store.table<ActivityEntry>('activity', decodeEntry)
  const numbers = store.table<{ id: number }>('activity-number', decodeNumber)
  const kept = table.entries()
  const log = new ActivityLog(kept.map(({ value }) => value), numbers.get(LAST)?.id ?? 0)
  const keys = kept.map(({ key }) => key)

  function keep(entries: readonly ActivityEntry[]): void {
    for (const entry of entries) {
      keys.push(keyOf(entry.id))
      table.put(keyOf(entry.id), entry).catch(onError)
      numbers.put(LAST, { id: entry.id }).catch(onError)
      const oldest = log.oldestId
      while (keys[0] !== undefined && keys[0] < keyOf(oldest)) table.remove(keys.shift()!).catch(onError)
      onChange({ type: 'activity', entry })
    }
  }

  return {
    seed: (state) => log.seed(state),
    hear: (change) => keep(log.step(now(), change)),
    note: (fact) => keep([log.note(now(), fact)]),
    activity: async (args) => ({ entries: log.page(args) }),
    clearActivity: async () => {
      log.clear()
      await Promise.all(keys.splice(0).map((key) => table.remove(key)))
      onChange({ type: 'activity-cleared' })
    },
  }
}

/** Only we write here; another version's entries may lack what this one shows. */
function decodeEntry(raw: unknown): ActivityEntry | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { id, at, type } = raw as Partial<ActivityEntry>
  return Number.isSafeInteger(id) && Number.isFinite(at) && typeof type === 'string' ? (raw as ActivityEntry) : undefined
}

function decodeNumber(raw: unknown): { id: number } | undefined {
  const id = typeof raw === 'object' && raw !== null ? (raw as { id?: unknown }).id : undefined
  return typeof id === 'number' && Number.isSafeInteger(id) ? { id } : undefined
}
