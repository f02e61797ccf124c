import type { PeerId, ReachCandidate } from '@harddrive-party/protocol'
import type { NatFacts, SortedCandidates } from './dial-candidates.ts'
import { DialPlan } from './dial-plan.ts'
import type { DialEffect, DialInput } from './dial-plan.ts'
import type { LinkFault, LinksEffect } from './peer-link-messages.ts'
import type { Peer, Wish } from './peer-link-state.ts'

/** The dial plans that are running for different peers, their attempts numbered through. Does not decide whom to dial. */

/** Peers dialled at once, so that a long list of absent friends does not flood the network at start. */
export const MAX_DIALLING = 32

export interface Dialling {
  readonly plan: DialPlan
  readonly knockSecret: string
  readonly expect: { readonly peerId: PeerId } | { readonly keyHash: string }
  /** Attempt number of the plan -> number of the dial. */
  readonly dials: Map<number, number>
  readonly nat: NatFacts | null
  /** It was here a moment ago: punching is not to wait for it, but to try anew. */
  readonly eager: boolean
  readonly wish: Wish | null
  /** Null while only the hash of its key is known. */
  peer: Peer | null
  /** There is a connection over QUIC already; this is to find a faster way beside it. */
  readonly beside?: boolean
}

export type DiallingStart = Omit<Dialling, 'plan' | 'dials'> & {
  readonly candidates: readonly ReachCandidate[]
  /** A way has been punched already: it is used, and nothing else is tried first. */
  readonly punched?: boolean
  /** Not again what is behind a NAT and did not answer a moment ago. */
  readonly spare?: boolean
  /** Where its TCP port is not that of UDP. */
  readonly tcpPort?: number | null
}

export interface DiallingsOptions {
  /** Which candidates are dialled and which are punched towards. */
  sort(candidates: readonly ReachCandidate[], nat: NatFacts | null, tcpPort: number | null): SortedCandidates
  order(effect: Extract<LinksEffect, { type: 'dial' | 'punch' | 'abort-dial' }>): void
  /**
   * @param fault null when it succeeded or was given up
   * @param patient punching goes on sparsely
   */
  ended(dialling: Dialling, fault: LinkFault | null, patient: boolean): void
}

export class Diallings {
  readonly #options: DiallingsOptions
  readonly #running = new Set<Dialling>()
  readonly #dials = new Map<number, { readonly dialling: Dialling; readonly attempt: number }>()
  #lastDial = 0

  constructor(options: DiallingsOptions) {
    this.#options = options
  }

  /** Whether peers whose time has come have to wait; what a person asks for goes ahead regardless. */
  get isFull(): boolean {
    return this.#running.size >= MAX_DIALLING
  }

  get deadline(): number | undefined {
    let earliest: number | undefined
    for (const { plan } of this.#running) {
      if (plan.deadline !== undefined && (earliest === undefined || plan.deadline < earliest)) earliest = plan.deadline
    }
    return earliest
  }

  /** @returns one that runs once it is given `start` */
  prepare({ candidates, nat, knockSecret, expect, wish, peer, eager, punched = false, spare = false, beside = false, tcpPort = null }: DiallingStart): Dialling {
    const sorted = this.#options.sort(candidates, nat, tcpPort)
    const tried = beside
      ? { dial: [], late: [], punch: [], tcp: sorted.tcp ?? [] }
      : { ...sorted, ...(sorted.tcp === undefined ? {} : { tcp: [...sorted.tcp, ...(sorted.lateTcp ?? [])] }), ...(punched ? { dial: [], tcp: [] } : {}), ...(punched || spare ? { late: [] } : {}) }
    const dialling: Dialling = { plan: new DialPlan(tried), dials: new Map(), nat, eager, knockSecret, expect, wish, peer, beside }
    this.#running.add(dialling)
    return dialling
  }

  /** @returns undefined for a dial that has been given up */
  find(dial: number): { readonly dialling: Dialling; readonly attempt: number } | undefined {
    return this.#dials.get(dial)
  }

  step(now: number, dialling: Dialling, input: DialInput): void {
    if (!this.#running.has(dialling)) return
    for (const effect of dialling.plan.step(now, input)) this.#perform(dialling, effect)
    if (input.type === 'abort') this.#end(dialling, null, false)
  }

  fail(now: number, dial: number, fault: LinkFault, patient: boolean): void {
    const found = this.#dials.get(dial)
    if (found) this.step(now, found.dialling, { type: 'attempt-failed', attempt: found.attempt, fault, patient })
  }

  tick(now: number): void {
    for (const dialling of this.#running) {
      if (dialling.plan.deadline !== undefined && dialling.plan.deadline <= now) this.step(now, dialling, { type: 'tick' })
    }
  }

  #perform(dialling: Dialling, effect: DialEffect): void {
    switch (effect.type) {
      case 'attempt':
      case 'punch': {
        const dial = ++this.#lastDial
        dialling.dials.set(effect.attempt, dial)
        this.#dials.set(dial, { dialling, attempt: effect.attempt })
        const { knockSecret, expect, nat, eager } = dialling
        if (effect.type === 'punch') return this.#options.order({ type: 'punch', dial, candidates: effect.candidates, nat, eager, knockSecret, expect })
        const over = effect.transport === undefined ? {} : { transport: effect.transport }
        return this.#options.order({ type: 'dial', dial, candidate: effect.candidate, ...(effect.late && { late: true }), knockSecret, expect, ...over })
      }
      case 'abort-attempt': {
        const dial = dialling.dials.get(effect.attempt)
        if (dial === undefined) return
        this.#dials.delete(dial)
        return this.#options.order({ type: 'abort-dial', dial })
      }
      case 'succeeded': return this.#end(dialling, null, false)
      case 'failed': return this.#end(dialling, effect.fault, effect.patient)
    }
  }

  #end(dialling: Dialling, fault: LinkFault | null, patient: boolean): void {
    this.#running.delete(dialling)
    for (const dial of dialling.dials.values()) this.#dials.delete(dial)
    this.#options.ended(dialling, fault, patient)
  }
}
