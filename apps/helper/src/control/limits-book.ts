/** Keeps what was set about limits, and knows which of them hold now: the schedule is applied here, in local time. Limits nothing itself. */
import type { PeerId } from '@harddrive-party/protocol'
import {
  type ControlChange, DEFAULT_LIMITS, type LimitSettings, type LimitsInfo, LIMIT_FIELDS, PEER_LIMIT_FIELDS, type PeerLimits, parseTimeOfDay,
} from '@harddrive-party/protocol/control'
import * as v from 'valibot'
import type { Store } from '../adapters/system/store.ts'
import { ruleAt } from '../core/transfers/limit-schedule.ts'
import type { TransferLimits } from '../network/network-api.ts'

export interface LimitsBook {
  info(): LimitsInfo
  /** What the network process is to keep to now. */
  current(): TransferLimits
  set(change: Partial<LimitSettings>): Promise<void>
  setPeer(peerId: PeerId, change: Partial<PeerLimits>): Promise<void>
  forget(peerId: PeerId): Promise<void>
  close(): void
}

export interface LimitsBookOptions {
  readonly store: Store
  /** Its local time counts. */
  readonly now: () => Date
  readonly onChange: (change: ControlChange) => void
  /** What holds now is another than before. */
  readonly publish: () => void
}

/** What nobody has changed about a peer. */
const PLAIN: PeerLimits = { up: null, down: null, priority: 'normal' }
const KEY = 'limits'
const MINUTE_MS = 60_000

// A limit that an older version did not have, or that cannot be read, falls back to its default; the others stay.
const SAVED = v.object(Object.fromEntries(
  Object.entries(LIMIT_FIELDS).map(([name, schema]) => [name, v.fallback(schema as v.GenericSchema, DEFAULT_LIMITS[name as keyof LimitSettings])]),
))
const SAVED_PEER = v.object(PEER_LIMIT_FIELDS)

export function createLimitsBook({ store, now, onChange, publish }: LimitsBookOptions): LimitsBook {
  const table = store.table<LimitSettings>('limits', (raw) => {
    const result = v.safeParse(SAVED, raw)
    return result.success ? (result.output as unknown as LimitSettings) : undefined
  })
  const peerTable = store.table<PeerLimits>('peer-limits', (raw) => {
    const result = v.safeParse(SAVED_PEER, raw)
    return result.success ? result.output : undefined
  })
  let settings = table.get(KEY) ?? DEFAULT_LIMITS
  const peers = new Map(peerTable.entries().map(({ key, value }) => [key as PeerId, value]))
  let rule = ruleNow()

  function ruleNow(): number | null {
    const at = now()
    const rules = settings.rules.map(({ days, from, to, up, down }) => ({ days, from: parseTimeOfDay(from) ?? 0, to: parseTimeOfDay(to) ?? 0, up, down }))
    return ruleAt(rules, at.getDay(), at.getHours() * 60 + at.getMinutes()) ?? null
  }
  const ratesNow = () => {
    const { up, down } = (rule === null ? undefined : settings.rules[rule]) ?? settings
    return { up, down, rule }
  }
  const info = (): LimitsInfo => ({ settings, peers: [...peers].map(([peerId, limits]) => ({ peerId, ...limits })), now: ratesNow() })
  const tell = () => {
    rule = ruleNow()
    onChange({ type: 'limits', limits: info() })
    publish()
  }

  // On every full minute of the wall clock, whatever happened to it meanwhile: sleep, summer time, somebody setting it.
  let timer: NodeJS.Timeout
  const arm = () => {
    timer = setTimeout(() => {
      if (ruleNow() !== rule) tell()
      arm()
    }, MINUTE_MS - (now().getTime() % MINUTE_MS))
    timer.unref()
  }
  arm()

  return {
    info,
    current: () => {
      const { rules: _, ...rest } = settings
      const { up, down } = ratesNow()
      return { ...rest, up, down, peers: info().peers }
    },
    set: async (change) => {
      const next = { ...settings, ...change }
      await table.put(KEY, next)
      settings = next
      tell()
    },
    setPeer: async (peerId, change) => {
      const next = { ...(peers.get(peerId) ?? PLAIN), ...change }
      if (next.up === null && next.down === null && next.priority === 'normal') {
        await peerTable.remove(peerId)
        peers.delete(peerId)
      } else {
        await peerTable.put(peerId, next)
        peers.set(peerId, next)
      }
      tell()
    },
    forget: async (peerId) => {
      if (!peers.delete(peerId)) return
      await peerTable.remove(peerId)
      tell()
    },
    close: () => clearTimeout(timer),
  }
}
