import { MAX_RECORD_ADDRESSES, RECORD_SOURCES, decodePeerRecord, encodePeerRecord, formatEndpoint, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import type { PeerRecord, RecordAddress, RecordSource, SignedPeerRecord } from '@harddrive-party/protocol'
import type { OwnReach } from '../../core/reach/own-reach.ts'
import { ed25519Signer } from '../identity/ed25519.ts'

/** Keeps our own signed record true: makes another one when what it says changes, and before it expires. Gives it to nobody itself. */

/** After this long without word from us a record of us is not to be used any more. */
const LIFETIME_MS = 24 * 60 * 60_000
/** A new one is made well before that. */
const RENEW_MS = 8 * 60 * 60_000
const LARGEST_PORT = 65_535

export interface OwnRecordOptions {
  /** 32 bytes. */
  readonly seed: Uint8Array
  readonly facts: OwnFacts
  /** The record is another one. */
  onChange(record: SignedPeerRecord): void
  /** Milliseconds since 1970. */
  readonly unixNow?: () => number
}

/** What a record says. */
export interface OwnFacts {
  readonly reach: Pick<OwnReach, 'candidates' | 'nat' | 'block' | 'step' | 'lastPort'>
  /** 16 bytes, hex: the one that we give to peers in hello. */
  readonly knockSecret: string
  readonly passOn: boolean
}

export interface OwnRecord {
  readonly current: SignedPeerRecord
  /** Nothing happens unless something has changed. */
  update(facts: Partial<OwnFacts>): void
  /** Idempotent. */
  close(): void
}

export function openOwnRecord(options: OwnRecordOptions): OwnRecord {
  const { unixNow = Date.now } = options
  const sign = ed25519Signer(options.seed)
  const peerId = peerIdFromKey(publicKeyOf(options.seed))
  let { facts } = options
  let sequence = 0
  let text = textOf(facts)
  let current = make()
  const timer = setInterval(renew, RENEW_MS)
  timer.unref()

  function make(): SignedPeerRecord {
    const issuedAt = Math.floor(unixNow())
    // A clock that was set back must not make our news look old.
    sequence = Math.max(sequence + 1, issuedAt)
    const record: PeerRecord = {
      peerId, sequence, issuedAt, expiresAt: issuedAt + LIFETIME_MS, knockSecret: Buffer.from(facts.knockSecret, 'hex'), passOn: facts.passOn,
      ...describe(facts),
    }
    const bytes = encodePeerRecord(record, sign)
    const decoded = decodePeerRecord(bytes, () => true)
    if (!decoded.ok) throw new TypeError(`our own record is not readable: ${decoded.error.message}`)
    return decoded.value
  }

  function renew(): void {
    current = make()
    options.onChange(current)
  }

  return {
    get current() {
      return current
    },
    update(change) {
      facts = { ...facts, ...change }
      const before = text
      text = textOf(facts)
      if (text !== before) renew()
    },
    close: () => clearInterval(timer),
  }
}

/** Our reach as a record says it: of what we know, only what others can use. */
function describe({ reach: { candidates, nat, block, step, lastPort } }: OwnFacts): Pick<PeerRecord, 'nat' | 'block' | 'step' | 'lastPort' | 'addresses'> {
  const addresses = new Map<string, RecordAddress>()
  for (const { endpoint, source } of candidates) {
    const text = formatEndpoint(endpoint)
    if (isRecordSource(source) && !addresses.has(text) && addresses.size < MAX_RECORD_ADDRESSES) addresses.set(text, { endpoint, source })
  }
  return {
    nat: { v4: nat.v4, v6: nat.v6 },
    ...(block && isPort(block.low) && isPort(block.high) && block.low <= block.high ? { block: { low: block.low, high: block.high } } : {}),
    ...(isPort(step) ? { step } : {}),
    ...(isPort(lastPort) ? { lastPort } : {}),
    addresses: [...addresses.values()],
  }
}

function isPort(value: number | undefined): value is number {
  return Number.isInteger(value) && (value ?? 0) >= 1 && (value ?? 0) <= LARGEST_PORT
}

function isRecordSource(source: string): source is RecordSource {
  return (RECORD_SOURCES as readonly string[]).includes(source)
}

/** Two facts with the same text make the same record. */
function textOf(facts: OwnFacts): string {
  return JSON.stringify([facts.knockSecret, facts.passOn, describe(facts)])
}
