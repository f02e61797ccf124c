/**
 * Carries out dialling for the session layer: dials addresses, punches and dials on what was punched, and keeps a record of how each attempt ended. Which
 * attempts are made, and when, is decided in core.
 */
import { CodedError, type Endpoint, type ErrorCode, type Fault, type PeerId, addressScope, formatEndpoint, keyHashOf } from '@harddrive-party/protocol'
import type { PeerPath, ReachAttempt } from '@harddrive-party/protocol/control'
import { AttemptLog, type AttemptsOf } from '../../core/peers/attempt-log.ts'
import type { LinksEffect } from '../../core/peers/peer-link-messages.ts'
import { type Clock, systemClock } from '../system/drive.ts'
import type { PunchOutcome, PunchedPath, Punching } from '../reach/punching.ts'
import type { PeerConnection, Transport } from './transport.ts'

type DialEffect = Extract<LinksEffect, { type: 'dial' }>
type PunchEffect = Extract<LinksEffect, { type: 'punch' }>

export interface PeerDialsOptions {
  /** Absent = everybody is dialled over TCP. */
  readonly transport?: Pick<Transport, 'dial'> | undefined
  readonly tcp?: Pick<Transport, 'dial'> | undefined
  readonly punching: Punching | null
  /** How what nobody has asked for reaches us over IPv4: as it is, through a port that our router keeps open, or not at all. Absent = not known. */
  inward?(): 'open' | 'mapped' | 'closed'
  onConnected(dial: number, connection: PeerConnection, reachedAt: Endpoint, kind: PeerPath['kind']): void
  onFailed(dial: number, fault: Fault<ErrorCode>, patient: boolean): void
  log(message: string, details?: Record<string, unknown>): void
  readonly clock?: Clock
}

/** On a path that the other side has chosen, it dials. If it does not, because it is an address ahead of us or hears us badly, we do. */
const OTHER_DIALS_MS = 1_000
/** Punched paths remembered, to tell what comes in over them. */
const MAX_PUNCHED = 256

export class PeerDials {
  readonly #options: PeerDialsOptions
  readonly #clock: Clock
  readonly #running = new Map<number, AbortController>()
  readonly #attempts = new AttemptLog<ReachAttempt['outcome']>()
  /** By key hash. */
  readonly #punched = new Map<string, Endpoint>()
  /** Key hashes of those towards whom a way is being opened. */
  readonly #opening = new Set<string>()

  constructor(options: PeerDialsOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  async dial(effect: DialEffect): Promise<void> {
    const { dial, candidate: { endpoint, source }, late = false } = effect
    const kind = source === 'mapping' ? 'mapped' : late && isBehindNat(endpoint) ? 'punched' : pathKind(endpoint)
    const controller = this.#begin(dial)
    const record = this.#record(effect, endpoint, source, kind)
    await this.#connect(effect, endpoint, kind, controller, record)
  }

  async punch(effect: PunchEffect): Promise<void> {
    const { dial, candidates, nat, eager, knockSecret } = effect
    const { punching } = this.#options
    const first = candidates[0]
    if (punching === null || first === undefined) return
    const keyHash = keyHashOfExpected(effect)
    const controller = this.#begin(dial)
    const record = this.#record(effect, first.endpoint, first.source, 'punched')
    this.#opening.add(keyHash)
    const outcome = await punching.punch({ keyHash, candidates, nat, eager, knockSecret: Buffer.from(knockSecret, 'hex') }, { signal: controller.signal })
    this.#opening.delete(keyHash)
    if (outcome.type === 'failed') return this.#punchFailed(dial, outcome, controller, record)
    const { path } = outcome
    const { endpoint, packets } = path
    const kind = candidates.some((candidate) => candidate.source === 'mapping' && formatEndpoint(candidate.endpoint) === formatEndpoint(endpoint))
      ? 'mapped'
      : isBehindNat(endpoint) ? 'punched' : pathKind(endpoint)
    record({ candidate: formatEndpoint(endpoint), method: kind, packets })
    this.#remember(keyHash, endpoint)
    try {
      if (!path.decider) await this.#pause(OTHER_DIALS_MS, controller.signal)
      await this.#connect(effect, endpoint, kind, controller, record, path)
    } finally {
      path.release()
    }
  }

  abort(dial: number): void {
    this.#running.get(dial)?.abort()
    this.#running.delete(dial)
  }

  close(): void {
    for (const controller of this.#running.values()) controller.abort()
    this.#running.clear()
  }

  /** What was tried lately, by peer. */
  report(): AttemptsOf<ReachAttempt['outcome']>[] {
    return this.#attempts.report()
  }

  /** How a connection that came to us reaches its peer. */
  kindOf({ peerId, remote }: PeerConnection): PeerPath['kind'] {
    const keyHash = keyHashText(peerId)
    this.#attempts.name(keyHash, peerId)
    if (!isBehindNat(remote)) return pathKind(remote)
    const punched = this.#punched.get(keyHash)
    if (punched && punched.host === remote.host && punched.port === remote.port) return 'punched'
    const inward = this.#options.inward?.() ?? 'open'
    if (inward === 'mapped') return 'mapped'
    return inward === 'closed' && this.#opening.has(keyHash) ? 'punched' : 'direct'
  }

  #begin(dial: number): AbortController {
    const controller = new AbortController()
    this.#running.set(dial, controller)
    return controller
  }

  async #connect(
    effect: DialEffect | PunchEffect, endpoint: Endpoint, kind: PeerPath['kind'], controller: AbortController,
    record: (change: Partial<ReachAttempt>) => void, path?: PunchedPath,
  ): Promise<void> {
    const { transport: quic, tcp, log, onConnected, onFailed } = this.#options
    const transport = effect.type === 'dial' && effect.transport === 'tcp' ? tcp : quic
    if (transport === undefined) return onFailed(effect.dial, { code: 'no-transport', message: 'there is no such transport here' }, false)
    const { dial, knockSecret, expect } = effect
    const target = {
      endpoint, knockSecret: Buffer.from(knockSecret, 'hex'), expect: 'peerId' in expect ? expect : { keyHash: Buffer.from(expect.keyHash, 'hex') },
      ...(path && path.socket !== 0 ? { socket: path.socket } : {}),
    }
    try {
      const connection = await transport.dial(target, { signal: controller.signal })
      this.#running.delete(dial)
      this.#attempts.name(keyHashText(connection.peerId), connection.peerId)
      record({ outcome: 'connected', message: '' })
      // The other side may have dialled at the same moment: what comes from there came the same way.
      if (kind === 'punched') this.#remember(keyHashText(connection.peerId), endpoint)
      onConnected(dial, connection, endpoint, kind)
    } catch (error) {
      const fault = faultOf(error)
      record(controller.signal.aborted ? { outcome: 'given-up', message: '' } : { outcome: fault.code, message: fault.message, ...(fault.detail && { detail: fault.detail }) })
      this.#running.delete(dial)
      if (controller.signal.aborted) return
      log('dialling failed', { endpoint: formatEndpoint(endpoint), error: String(error) })
      onFailed(dial, fault, false)
    }
  }

  #punchFailed(
    dial: number, { fault, patient, packets }: Extract<PunchOutcome, { type: 'failed' }>, controller: AbortController, record: (change: Partial<ReachAttempt>) => void,
  ): void {
    this.#running.delete(dial)
    record(controller.signal.aborted ? { outcome: 'given-up', packets } : { outcome: fault.code, message: fault.message, packets, ...(fault.detail && { detail: fault.detail }) })
    if (!controller.signal.aborted) this.#options.onFailed(dial, fault, patient)
  }

  #record(effect: DialEffect | PunchEffect, endpoint: Endpoint, source: ReachAttempt['source'], method: PeerPath['kind']): (change: Partial<ReachAttempt>) => void {
    const began = this.#clock.now()
    const peer = { keyHash: keyHashOfExpected(effect), peerId: 'peerId' in effect.expect ? effect.expect.peerId : null }
    const over = effect.type === 'dial' && effect.transport === 'tcp' ? ({ transport: 'tcp' } as const) : {}
    const attempt = { at: Date.now(), candidate: formatEndpoint(endpoint), source, method, outcome: 'running', message: '', ms: 0, packets: 0, ...over } as const
    const change = this.#attempts.begin(peer, attempt)
    return (changed) => change({ ...changed, ms: Math.round(this.#clock.now() - began) })
  }

  #remember(keyHash: string, endpoint: Endpoint): void {
    this.#punched.delete(keyHash)
    this.#punched.set(keyHash, endpoint)
    const [oldest] = this.#punched.keys()
    if (this.#punched.size > MAX_PUNCHED && oldest !== undefined) this.#punched.delete(oldest)
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const cancel = this.#clock.wakeAfter(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = (): void => {
        cancel()
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}

/** What kind of path leads to an address, as far as the address tells. */
export function pathKind({ host }: Endpoint): PeerPath['kind'] {
  // Behind a link-local address the system writes its interface.
  const scope = addressScope(host.split('%', 1)[0] ?? host)
  if (scope === 'loopback') return 'loopback'
  if (scope === 'private' || scope === 'link-local') return 'lan'
  return host.includes(':') && !host.startsWith('::ffff:') ? 'ipv6' : 'direct'
}

function isBehindNat(endpoint: Endpoint): boolean {
  return pathKind(endpoint) === 'direct'
}

function keyHashOfExpected({ expect }: DialEffect | PunchEffect): string {
  return 'keyHash' in expect ? expect.keyHash : keyHashText(expect.peerId)
}

function keyHashText(peerId: PeerId): string {
  return Buffer.from(keyHashOf(peerId)).toString('hex')
}

/** What our own code did not foresee is a bug and stays one. */
export function faultOf(error: unknown): Fault<ErrorCode> {
  if (error instanceof CodedError) return CodedError.toReason(error)
  throw error
}
