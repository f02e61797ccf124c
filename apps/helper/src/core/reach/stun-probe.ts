/** Asks several STUN servers at once how they see us, with retransmissions, and collects the answers. Sends and receives nothing itself. */
import type { Endpoint } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import type { MappingSample } from '../punch/nat-kind.ts'
import { decodeStunAnswer, encodeBindingRequest } from './stun-message.ts'

export type StunInput =
  | { readonly type: 'tick' }
  /** A STUN datagram arrived. */
  | { readonly type: 'datagram'; readonly from: Endpoint; readonly bytes: Uint8Array }

export type StunEffect =
  | { readonly type: 'send'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** One server has answered. */
  | { readonly type: 'sample'; readonly sample: MappingSample }
  /** Every server has answered or been given up. */
  | { readonly type: 'done'; readonly samples: readonly MappingSample[] }

/** First wait before asking again. RFC 8489 advises 500 ms; answers rarely take half of it, and 12 % of trials on bad links need six tries. */
const FIRST_WAIT_MS = 300
const MAX_SENDS = 6
/** Nobody is waited for longer than this: six tries are over after 10.5 s. */
const LONGEST_WAIT_MS = 3_000

interface Question {
  readonly server: Endpoint
  readonly transactionId: string
  readonly request: Uint8Array
  sends: number
  due: number
}

export class StunProbe implements Machine<StunInput, StunEffect> {
  readonly #open: Question[]
  readonly #samples: MappingSample[] = []
  #finished = false

  /** @param questions servers as addresses, each with 12 random bytes of its own */
  constructor(now: number, questions: readonly { readonly server: Endpoint; readonly transactionId: Uint8Array }[]) {
    this.#open = questions.map(({ server, transactionId }) => ({
      server,
      transactionId: [...transactionId].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
      request: encodeBindingRequest(transactionId),
      sends: 0,
      due: now,
    }))
  }

  get deadline(): number | undefined {
    if (this.#finished) return undefined
    return this.#open.length === 0 ? 0 : Math.min(...this.#open.map((question) => question.due))
  }

  step(now: number, input: StunInput): StunEffect[] {
    if (this.#finished) return []
    const effects: StunEffect[] = []
    if (input.type === 'datagram') this.#take(input.from, input.bytes, effects)
    for (let i = this.#open.length - 1; i >= 0; i--) {
      const question = this.#open[i]
      if (question === undefined || question.due > now) continue
      if (question.sends === MAX_SENDS) {
        this.#open.splice(i, 1)
        continue
      }
      effects.push({ type: 'send', to: question.server, bytes: question.request })
      question.due = now + Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** question.sends)
      question.sends++
    }
    if (this.#open.length === 0) {
      this.#finished = true
      effects.push({ type: 'done', samples: this.#samples })
    }
    return effects
  }

  /** The 96 random bits of the transaction are what proves an answer; the sender's address must fit as well. */
  #take(from: Endpoint, bytes: Uint8Array, effects: StunEffect[]): void {
    const answer = decodeStunAnswer(bytes)
    if (!answer.ok) return
    const { transactionId, outcome } = answer.value
    const index = this.#open.findIndex((question) => question.transactionId === transactionId)
    const question = this.#open[index]
    if (question === undefined || question.server.host !== from.host || question.server.port !== from.port) return
    this.#open.splice(index, 1)
    if (outcome.type !== 'mapped') return
    const sample = { server: question.server, mapped: outcome.endpoint }
    this.#samples.push(sample)
    effects.push({ type: 'sample', sample })
  }
}
