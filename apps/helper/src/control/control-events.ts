/**
 * Carries changes of state to every connected UI: numbered per UI, coalesced, and bounded. Decides how often and how much is sent; knows nothing of
 * what the changes mean beyond their identity.
 */
import type { ControlChange, ControlEvent } from '@harddrive-party/protocol/control'

export interface ControlHub {
  push(change: ControlChange): void
  openFeed(output: FeedOutput): ControlFeed
}

export interface FeedOutput {
  bufferedAmount(): number
  sendEvent(event: ControlEvent): void
}

/** One UI's stream of events. Silent until the first `restart`. */
export interface ControlFeed {
  /** Drops what is waiting, since a snapshot taken in this same turn has it. @returns the number of the last event sent */
  restart(): number
  /** Idempotent. */
  close(): void
}

/** How long changes wait so that several become one: short enough to look immediate. */
const PROMPT_MS = 40
/** The same for what changes all the time (progress, upload rates): four times a second looks alive. */
const NOISY_MS = 250
/** A UI with this much unread gets nothing more until it has read. */
const MAX_UNREAD_BYTES = 1024 * 1024
/** Things that may wait for one slow UI; beyond, a new snapshot is cheaper. */
const MAX_WAITING = 5_000

/** @param hear told of every change after it is on its way to the UIs */
export function createControlHub(hear?: (change: ControlChange) => void): ControlHub {
  const feeds = new Set<Feed>()
  const transferStates = new Map<string, string>()
  return {
    push: (change) => {
      const noisy = isNoisy(change, transferStates)
      for (const feed of feeds) feed.push(change, noisy)
      hear?.(change)
    },
    openFeed: (output) => {
      const feed = new Feed(output, () => feeds.delete(feed))
      feeds.add(feed)
      return feed
    },
  }
}

class Feed implements ControlFeed {
  readonly #output: FeedOutput
  readonly #onClose: () => void
  readonly #waiting = new Map<string, ControlChange>()
  #seq = 0
  #active = false
  #timer: NodeJS.Timeout | undefined
  #prompt = false

  constructor(output: FeedOutput, onClose: () => void) {
    this.#output = output
    this.#onClose = onClose
  }

  restart(): number {
    this.#waiting.clear()
    this.#active = true
    return this.#seq
  }

  push(change: ControlChange, noisy: boolean): void {
    if (!this.#active) return
    if (this.#waiting.size >= MAX_WAITING) {
      // Leaves a gap in the numbers: the UI sees it with the next event and asks for a snapshot.
      this.#waiting.clear()
      this.#seq += 1
    }
    this.#waiting.set(identify(change), change)
    this.#schedule(noisy ? NOISY_MS : PROMPT_MS, !noisy)
  }

  close(): void {
    this.#active = false
    clearTimeout(this.#timer)
    this.#waiting.clear()
    this.#onClose()
  }

  #schedule(delay: number, prompt: boolean): void {
    if (this.#timer !== undefined) {
      if (!prompt || this.#prompt) return
      clearTimeout(this.#timer)
    }
    this.#prompt = prompt
    this.#timer = setTimeout(() => this.#flush(), delay)
    this.#timer.unref()
  }

  #flush(): void {
    this.#timer = undefined
    this.#prompt = false
    if (!this.#active) return
    for (const [key, change] of this.#waiting) {
      if (this.#output.bufferedAmount() > MAX_UNREAD_BYTES) return this.#schedule(NOISY_MS, false)
      this.#waiting.delete(key)
      this.#seq += 1
      this.#output.sendEvent({ ...change, seq: this.#seq })
    }
  }
}

/** Changes with the same identity replace each other; a removal replaces what it removes. */
function identify(change: ControlChange): string {
  switch (change.type) {
    case 'peer':
      return `peer:${change.peer.peerId}`
    case 'peer-removed':
      return `peer:${change.peerId}`
    case 'transfer':
      return `transfer:${change.transfer.transferId}`
    case 'transfer-removed':
      return `transfer:${change.transferId}`
    case 'share':
      return `share:${change.share.shareId}`
    case 'share-removed':
      return `share:${change.shareId}`
    case 'activity':
      return `activity:${change.entry.id}`
    default:
      return change.type
  }
}

/** A transfer in the same state as before has only moved on; everything a person waits for changes its state. */
function isNoisy(change: ControlChange, transferStates: Map<string, string>): boolean {
  if (change.type === 'uploads' || change.type === 'upload-peers') return true
  if (change.type === 'share') return change.share.state === 'scanning'
  if (change.type === 'transfer-removed') transferStates.delete(change.transferId)
  if (change.type !== 'transfer') return false
  const { transferId, state } = change.transfer
  const same = transferStates.get(transferId) === state
  transferStates.set(transferId, state)
  return same
}
