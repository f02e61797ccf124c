/**
 * Keeps the topics that we have joined going: derives their keys, listens under their names on every carrier, opens what comes and seals what goes. When
 * to say something, and whom to meet, is decided in core/reach/topic-meeting.ts.
 */
import { randomBytes, scrypt } from 'node:crypto'
import {
  type PeerId, type SignRecord, type SignedPeerRecord, TOPIC_ANNOUNCEMENT_BYTES, TOPIC_KDF, TOPIC_KDF_SALT, TOPIC_NONCE_BYTES, type TopicKeys, type VerifyRecord,
  deriveTopicKeys, nextNameChange, openTopicAnnouncement, parseTopic, recordAge, rendezvousNames, sealTopicAnnouncement,
} from '@harddrive-party/protocol'
import { TokenBucket } from '../../core/token-bucket.ts'
import { type TopicEffect, type TopicInput, TopicMeeting } from '../../core/reach/topic-meeting.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'
import type { TopicCarrier, TopicCarrierEvents } from './topic-carrier.ts'

export interface TopicsOptions {
  readonly self: PeerId
  /** How we can be reached now; undefined while there is nothing to say. */
  readonly ownRecord: () => SignedPeerRecord | undefined
  readonly sign: SignRecord
  readonly verify: VerifyRecord
  /** A member says where it is. `live`: it starts towards us at this moment. The record was checked, and is good now. */
  readonly onMet: (signed: SignedPeerRecord, live: boolean) => void
  readonly log: (message: string, details?: object) => void
  readonly clock?: Clock
  readonly unixMs?: () => number
  readonly random?: () => number
  /** Replaced in tests, where half a second is long. */
  readonly derive?: (topic: string) => Promise<TopicKeys>
}

export interface Topics {
  /** Leaves what is not named any more, joins what is new. Texts that are no topics are passed over. */
  set(topics: readonly string[]): void
  /** Listens and speaks on one more carrier, until `remove`. What the carrier hears is passed to the events. */
  add(open: (events: TopicCarrierEvents) => TopicCarrier): { remove(): void }
  /** Our record, or the network around us, has changed: says so in every topic. */
  announce(): void
  /** Of every topic that was joined, in the texts that were given. */
  members(): readonly { readonly topic: string; readonly members: readonly PeerId[] }[]
  /** Idempotent; the carriers are closed too. */
  close(): void
}

/** Topics at once: each costs a derivation of keys, and a name at every broker. */
export const MAX_TOPICS = 32
/** Derived keys that are kept after leaving, since people come back. */
const MAX_CACHED_KEYS = 64
/** Announcements under one name on one carrier that are opened, at once and then one in so long: many times what its members send. */
const OPENED_BURST = 96
const OPENED_EVERY_MS = 60
/** Memory that one derivation needs, and what scrypt takes beside it. */
const SCRYPT_MEMORY = 128 * TOPIC_KDF.N * TOPIC_KDF.r + 8 * 2 ** 20
/** The longest that a timer is set for: a machine that slept finds out soon. */
const NAMES_CHECK_MS = 60_000

interface Joined {
  readonly text: string
  readonly meeting: TopicMeeting
  readonly keys: TopicKeys
  readonly driven: Driven<TopicInput>
  names: readonly string[]
}

export function openTopics(options: TopicsOptions): Topics {
  const { self, log } = options
  const clock = options.clock ?? systemClock
  const unixMs = options.unixMs ?? Date.now
  const derive = options.derive ?? createDerivation()
  const carriers = new Set<TopicCarrier>()
  /** By the topic in its one form; null while its keys are being derived. */
  const joined = new Map<string, Joined | null>()
  let lastAt = 0
  /** What the carriers were told to listen under. */
  let listened: readonly string[] = []
  let cancelNames: (() => void) | undefined
  let closed = false

  const all = (): Joined[] => [...joined.values()].filter((topic) => topic !== null)

  async function join(topic: string, text: string): Promise<void> {
    joined.set(topic, null)
    let keys: TopicKeys
    try {
      keys = await derive(topic)
    } catch (error) {
      log('the keys of a topic could not be derived', { error: String(error) })
      joined.delete(topic)
      return
    }
    if (closed || joined.get(topic) !== null) return
    const meeting = new TopicMeeting({ self, random: options.random ?? Math.random })
    const driven = drive<TopicInput, TopicEffect>(meeting, (effect) => perform(entry, effect), clock)
    const entry: Joined = { text, meeting, keys, driven, names: [] }
    joined.set(topic, entry)
    refreshNames()
    driven.input({ type: 'ask' })
  }

  function perform(topic: Joined, effect: TopicEffect): void {
    if (effect.type === 'meet') return options.onMet(effect.signed, effect.live)
    const signed = options.ownRecord()
    if (signed === undefined) return
    // Each later than the one before, whatever the clock does.
    lastAt = Math.max(unixMs(), lastAt + 1)
    for (const name of topic.names) {
      const bytes = sealTopicAnnouncement({ kind: effect.kind, at: lastAt, signed }, { keys: topic.keys, name, nonce: randomBytes(TOPIC_NONCE_BYTES), sign: options.sign })
      for (const carrier of carriers) carrier.publish(name, bytes)
    }
  }

  /** @param budgets of the carrier it came through, by name: one that floods us must not silence another */
  function onMessage(name: string, bytes: Uint8Array, budgets: Map<string, TokenBucket>): void {
    if (bytes.length !== TOPIC_ANNOUNCEMENT_BYTES) return
    const topic = all().find(({ names }) => names.includes(name))
    if (topic === undefined) return
    let budget = budgets.get(name)
    if (budget === undefined) {
      const names = new Set(namesOf(all()))
      for (const old of budgets.keys()) if (!names.has(old)) budgets.delete(old)
      budgets.set(name, budget = new TokenBucket(OPENED_BURST, OPENED_EVERY_MS))
    }
    if (!budget.take(clock.now())) return
    const opened = openTopicAnnouncement(bytes, { keys: topic.keys, name, verify: options.verify })
    if (!opened.ok) return log('a topic announcement makes no sense', { reason: opened.error.code })
    const { kind, at, signed } = opened.value
    const now = unixMs()
    if (signed.record.peerId === self || recordAge(signed.record, now) !== 'current') return
    topic.driven.input({ type: 'heard', kind, signed, at, unixMs: now })
  }

  function refreshNames(): void {
    cancelNames?.()
    cancelNames = undefined
    if (closed) return
    const now = unixMs()
    for (const topic of all()) topic.names = rendezvousNames(topic.keys, now)
    const names = namesOf(all())
    if (names.join() !== listened.join()) for (const carrier of carriers) carrier.setNames(names)
    listened = names
    if (all().length > 0) cancelNames = clock.wakeAfter(Math.min(NAMES_CHECK_MS, Math.max(1, nextNameChange(now) - now)), refreshNames)
  }

  function announce(): void {
    for (const { driven } of all()) driven.input({ type: 'ask' })
  }

  return {
    set: (topics) => {
      if (closed) return
      const wanted = new Map<string, string>()
      for (const text of topics) {
        const topic = parseTopic(text)
        if (topic.ok && wanted.size < MAX_TOPICS && !wanted.has(topic.value)) wanted.set(topic.value, text)
      }
      for (const [topic, entry] of joined) {
        if (wanted.has(topic)) continue
        entry?.driven.close()
        joined.delete(topic)
      }
      refreshNames()
      for (const [topic, text] of wanted) if (!joined.has(topic)) void join(topic, text)
    },
    add: (open) => {
      const budgets = new Map<string, TokenBucket>()
      const carrier = open({ onMessage: (name, bytes) => onMessage(name, bytes, budgets), onOpen: announce })
      carriers.add(carrier)
      carrier.setNames(listened)
      return {
        remove: () => {
          carriers.delete(carrier)
          carrier.close()
        },
      }
    },
    announce,
    members: () => all().map(({ text, meeting }) => ({ topic: text, members: meeting.members() })),
    close: () => {
      closed = true
      cancelNames?.()
      for (const { driven } of all()) driven.close()
      joined.clear()
      for (const carrier of carriers) carrier.close()
      carriers.clear()
    },
  }
}

function namesOf(topics: readonly Joined[]): string[] {
  return topics.flatMap(({ names }) => names)
}

/** Two derivations at once would need twice the memory, so that they wait for one another. Done off the main thread. */
function createDerivation(): (topic: string) => Promise<TopicKeys> {
  const cache = new Map<string, Promise<TopicKeys>>()
  let last: Promise<unknown> = Promise.resolve()
  return (topic) => {
    const cached = cache.get(topic)
    if (cached !== undefined) return cached
    const derived = last.then(() => deriveTopicKeys(topic, scryptOffThread))
    last = derived.catch(() => {})
    cache.set(topic, derived)
    derived.catch(() => cache.delete(topic))
    const [oldest] = cache.keys()
    if (cache.size > MAX_CACHED_KEYS && oldest !== undefined) cache.delete(oldest)
    return derived
  }
}

function scryptOffThread(password: Uint8Array): Promise<Uint8Array> {
  const { N, r, p, dkLen } = TOPIC_KDF
  return new Promise((resolve, reject) => {
    scrypt(password, TOPIC_KDF_SALT, dkLen, { N, r, p, maxmem: SCRYPT_MEMORY }, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}
