import { HANDSHAKE_TIMEOUT_MS } from '@harddrive-party/protocol'
import type { PeerId } from '@harddrive-party/protocol'
import { Admission, MAX_ARRIVALS_PER_PEER } from './admission.ts'
import { BesideDialling } from './beside-dialling.ts'
import { raisesDoubt } from './connection-set.ts'
import { sortCandidates, sortForMeans } from './dial-candidates.ts'
import { type Dialling, type DiallingStart, Diallings } from './diallings.ts'
import type { KnockName } from './knock-gate.ts'
import type { Machine } from '../machine.ts'
import { keepOrEnd } from './kept-links.ts'
import { type RecordInput, introduces, rememberedReach, takeRecord } from './learnt-record.ts'
import { type LinkCloseCode, type LinkFault, type LinkPolicy, type LinkRole, type LinkStatus, type LinkWay, type LinksEffect, type LinksInput, closeFault } from './peer-link-messages.ts'
import {
  type Link, type Peer, type PeerLinksOptions, START_SPREAD_MS, type Wish, canDial, candidatesOf, chosenLink, earliest, isStranger, isWorthTelling, keyHashText, natOf,
  newLink, retryDelayMs, secretOf, statusOf, zealFor,
} from './peer-link-state.ts'
import { PeerTable } from './peer-table.ts'
import { endPatience, giveUpWish, settleWish } from '../wishes/wishes.ts'

/**
 * Decides with whom we are connected: who is let in, which connection per peer is kept, whom we dial and when again. It knows connections by
 * number only, does not know what is said on them after hello, and remembers nothing beyond its life.
 *
 * One connection: hello -> (asks | waiting) -> ready, and from everywhere to closed. A peer's state is read off its connections.
 */

/** Connections in all. A helper serves people who know each other; beyond this lies an attack or a mistake. */
export const MAX_CONNECTIONS = 256
/** How long the other side may take to read why hello failed. */
const TOLD_GRACE_MS = 1_000
/** A connection that lived this long was a success; a shorter one does not restart the backoff. */
const STEADY_MS = 5_000
export class PeerLinksMachine implements Machine<LinksInput, LinksEffect> {
  readonly #self: PeerId
  readonly #options: PeerLinksOptions
  readonly #peers = new PeerTable()
  readonly #links = new Map<number, Link>()
  readonly #diallings: Diallings = new Diallings({
    order: (effect) => void this.#effects.push(effect),
    sort: (candidates, nat, tcpPort) => sortForMeans(sortCandidates(candidates, nat, this.#options.place?.() ?? null), this.#beside.means, tcpPort),
    ended: (dialling, fault, patient) => this.#diallingEnded(dialling, fault, patient),
  })
  readonly #beside: BesideDialling = new BesideDialling({
    chosen: (peer) => this.#chosen(peer), diallings: this.#diallings, means: () => this.#options.means?.() ?? { quic: true, tcp: false }, random: () => this.#options.random(),
  })
  readonly #admission = new Admission()
  #now = 0
  #effects: LinksEffect[] = []
  #lastOrder = 0

  constructor(options: PeerLinksOptions) {
    this.#self = options.self
    this.#options = options
  }

  get deadline(): number | undefined {
    const due = this.#diallings.isFull ? [] : this.#peers.values()
    return earliest(this.#diallings.deadline, this.#links.values(), due)
  }

  step(now: number, input: LinksInput): LinksEffect[] {
    this.#now = now
    this.#effects = []
    this.#take(input)
    this.#dialWhoIsDue()
    this.#beside.look(this.#now, this.#peers.values())
    for (const peer of this.#peers.values()) this.#tell(peer)
    return this.#effects
  }

  /** The connection in use, while the peer is `connected`. */
  connection(peerId: PeerId): number | undefined {
    return this.#chosen(this.#peers.get(peerId))?.link
  }

  status(peerId: PeerId): LinkStatus | undefined {
    const peer = this.#peers.get(peerId)
    return peer && statusOf(this.#self, peer)
  }

  /** Of every peer that is known, connected, asking, waited for or dialled. */
  statuses(): { readonly peerId: PeerId; readonly status: LinkStatus }[] {
    return [...this.#peers.values()].flatMap((peer) => (isWorthTelling(peer) ? [{ peerId: peer.peerId, status: statusOf(this.#self, peer) }] : []))
  }

  #take(input: LinksInput): void {
    switch (input.type) {
      case 'policy': return this.#takePolicy(input.policy)
      case 'connect': return this.#connect(input)
      case 'disconnect': return this.#disconnect(input.peerId)
      case 'reconnect': return this.#reconnect(input.peerId)
      case 'answer': return this.#answer(input.peerId, input.accept)
      case 'learned': return this.#learned(input)
      case 'wake':
        for (const peer of this.#peers.values()) {
          if (peer.retryAt !== undefined) this.#retrySoon(peer)
          this.#beside.afresh(this.#now, peer)
        }
        for (const wish of this.#peers.wishes.values()) if (!wish.dialling) this.#dialWish(wish, null)
        return
      case 'arrived': return this.#arrived(input.link, input.peerId, input.knock, input)
      case 'dialled': return this.#dialled(input.dial, input.link, input.peerId, input)
      case 'dial-failed': return this.#diallings.fail(this.#now, input.dial, input.fault, input.patient ?? false)
      case 'punched':
      case 'knocked': return this.#dialAtOnce(input.keyHash, input.type === 'punched')
      case 'punching-over': return void this.#effects.push(...endPatience(this.#peers, input.keyHash))
      case 'tick': return this.#tick()
      default: {
        const link = this.#links.get(input.link)
        // Anything else is news of a connection that we have closed.
        if (link) this.#takeFromLink(link, input)
      }
    }
  }

  #takeFromLink(link: Link, input: Extract<LinksInput, { link: number }>): void {
    switch (input.type) {
      case 'hello':
        if (link.role === 'listener' && link.phase === 'hello') this.#receive(link)
        return
      case 'greeted':
        if (link.role === 'dialler' && (link.phase === 'hello' || link.phase === 'waiting')) this.#ready(link)
        return
      case 'told': return void (link.peer.hello = input.told)
      case 'waits': return this.#waits(link)
      case 'hello-failed': return this.#helloFailed(link, input.fault, input.told)
      case 'probed': return this.#probed(link, input.alive)
      case 'closed': return this.#gone(link, closeFault(input.code, link.phase === 'waiting'))
    }
  }

  #tick(): void {
    this.#diallings.tick(this.#now)
    for (const link of this.#links.values()) {
      if (link.until === undefined || link.until > this.#now) continue
      if (link.phase === 'hello') this.#end(link, 'protocol', { code: 'timed-out', message: 'the other side did not say hello in time' })
      else this.#end(link, link.phase === 'told' ? 'protocol' : 'duplicate', closeFault('duplicate', false))
    }
  }

  // --- whom the person and the policy want

  #takePolicy(policy: LinkPolicy): void {
    const renewed = policy.codeSecret !== this.#admission.policy.codeSecret
    this.#admission.policy = policy
    const named = new Map(policy.peers.map((entry) => [entry.peerId, entry]))
    named.delete(this.#self)
    for (const peer of this.#peers.values()) if (peer.policy && !named.has(peer.peerId)) this.#forget(peer)
    for (const entry of named.values()) {
      const peer = this.#peers.of(entry.peerId)
      const before = peer.policy
      peer.policy = entry
      peer.reach = rememberedReach(peer.reach, before, entry)
      peer.introduced = false
      // `disconnect` and `reconnect` came first; a policy on its way at that moment must not undo them.
      if (before === null) peer.away ||= !entry.wanted
      else if (before.wanted !== entry.wanted) peer.away = !entry.wanted
      if (entry.blocked) this.#leave(peer, 'blocked', { code: 'blocked', message: 'you have blocked this peer' })
      else if (peer.away) this.#leave(peer, 'goodbye', { code: 'aborted', message: 'disconnected' })
      else if (before === null || before.blocked || before.wanted !== entry.wanted) this.#retrySoon(peer)
      else this.#retry(peer)
    }
    for (const link of this.#links.values()) {
      const stranger = link.role === 'listener' && isStranger(link.peer)
      if (stranger && renewed && link.knock === 'code' && link.phase !== 'ready') this.#end(link, 'refused')
      else if (link.phase === 'asks' && this.#admission.verdict(this.#now, link, this.#links.values()) === 'admit') this.#admit(link)
    }
  }

  #forget(peer: Peer): void {
    peer.policy = null
    peer.introduced = false
    peer.retryAt = undefined
    // A wish made meanwhile stands: the person asked for this peer anew.
    if (peer.wish === null) this.#leave(peer, 'refused', { code: 'aborted', message: 'forgotten' })
    peer.fault = null
    peer.away = false
  }

  #connect(input: Extract<LinksInput, { type: 'connect' }>): void {
    const { connect, keyHash, knockSecret, addresses, nat = null } = input
    const fail = (fault: LinkFault): void => void this.#effects.push({ type: 'connect-failed', connect, fault })
    if (keyHash === keyHashText(this.#self)) return fail({ code: 'bad-request', message: 'this is your own code' })
    const peer = this.#peers.byKeyHash(keyHash)
    if (peer?.policy?.blocked) return fail({ code: 'blocked', message: 'you have blocked this peer' })
    const earlier = peer ? peer.wish : this.#peers.wishes.get(keyHash)
    const connects = [...(earlier?.connects ?? []), connect]
    const wish: Wish = { keyHash, knockSecret, addresses, nat, connects, held: earlier?.held ?? false, patient: false, dialling: null }
    // A dialling under way may know the wrong secret or addresses: the newest code is what counts.
    this.#stopTrying(keyHash, peer?.dialling ?? earlier?.dialling ?? null)
    if (!peer) {
      this.#peers.wishes.set(keyHash, wish)
      return this.#dialWish(wish, null)
    }
    peer.away = false
    peer.wish = wish
    if (this.#chosen(peer)) return void this.#effects.push(...settleWish(peer, 'connected'))
    const links = [...peer.links]
    const asking = links.find((link) => link.phase === 'asks')
    if (asking) return this.#admit(asking)
    if (links.some((link) => link.phase === 'waiting')) return void this.#effects.push(...settleWish(peer, 'waiting'))
    if (!links.some((link) => link.role === 'dialler' && link.phase === 'hello')) this.#dialWish(wish, peer)
  }

  #dialWish(wish: Wish, peer: Peer | null, punched = false): void {
    if (peer) return this.#dialKnown(peer, punched)
    const { keyHash, knockSecret, nat } = wish
    const candidates = wish.addresses.map((endpoint) => ({ endpoint, source: 'peer' }) as const)
    this.#startDialling({ wish, peer, candidates, nat, eager: false, knockSecret, expect: { keyHash }, punched })
  }

  #disconnect(peerId: PeerId): void {
    const peer = this.#peers.get(peerId)
    if (!peer) return
    peer.away = true
    this.#leave(peer, 'goodbye', { code: 'aborted', message: 'disconnected' })
  }

  #reconnect(peerId: PeerId): void {
    const peer = this.#peers.get(peerId)
    if (!peer) return
    peer.away = false
    this.#retrySoon(peer, 0)
  }

  #answer(peerId: PeerId, accept: boolean): void {
    for (const link of this.#peers.get(peerId)?.links ?? []) {
      if (link.phase !== 'asks') continue
      if (accept) return this.#admit(link)
      this.#admission.decline(this.#now, peerId)
      this.#end(link, 'refused')
    }
  }

  /** Ends everything with a peer and everything that would bring it back. */
  #leave(peer: Peer, code: LinkCloseCode, fault: LinkFault): void {
    this.#stopTrying(keyHashText(peer.peerId), peer.dialling)
    peer.retryAt = undefined
    if (peer.wish) this.#effects.push(...giveUpWish(this.#peers, peer, peer.wish, fault))
    for (const link of peer.links) this.#close(link, code)
    peer.fault = null
  }

  // --- who comes

  #arrived(link: number, peerId: PeerId, knock: KnockName, way: LinkWay): void {
    const close = (code: LinkCloseCode): void => void this.#effects.push({ type: 'close', link, code })
    if (peerId === this.#self || this.#links.size >= MAX_CONNECTIONS) return close('refused')
    const peer = this.#peers.of(peerId)
    if (peer.policy?.blocked) return close('blocked')
    if (peer.away) return close('refused')
    if (isStranger(peer) && this.#admission.isFullOfStrangers(this.#links.values())) return close('refused')
    const silent = [...peer.links].filter((other) => other.role === 'listener' && other.phase === 'hello')
    if (silent.length >= MAX_ARRIVALS_PER_PEER && silent[0]) this.#close(silent[0], 'duplicate')
    this.#addLink(link, peer, 'listener', knock, way)
  }

  #receive(link: Link): void {
    const verdict = this.#admission.verdict(this.#now, link, this.#links.values())
    if (verdict === 'admit') return this.#admit(link)
    if (verdict !== 'ask') return this.#end(link, verdict)
    for (const other of link.peer.links) if (other.phase === 'asks') this.#close(other, 'duplicate')
    link.phase = 'asks'
    link.until = undefined
    this.#effects.push({ type: 'hold', link: link.link })
  }

  #admit(link: Link): void {
    this.#effects.push({ type: 'admit', link: link.link })
    this.#ready(link)
  }

  // --- connections

  #addLink(link: number, peer: Peer, role: LinkRole, knock: KnockName | null, way: LinkWay): Link {
    const added = newLink({ link, peer, role, knock, until: this.#now + HANDSHAKE_TIMEOUT_MS, ...way })
    this.#links.set(link, added)
    peer.links.add(added)
    return added
  }

  #waits(link: Link): void {
    if (link.role !== 'dialler' || link.phase !== 'hello') return
    link.phase = 'waiting'
    link.until = undefined
    if (link.peer.wish) link.peer.wish.held = true
    this.#effects.push(...settleWish(link.peer, 'waiting'))
  }

  #ready(link: Link): void {
    const { peer } = link
    for (const other of peer.links) {
      if (other === link) continue
      if (other.phase === 'asks') this.#close(other, 'duplicate')
      if (other.phase === 'ready' && raisesDoubt(this.#self, peer.peerId, other, link, this.#now - other.readyAt)) this.#doubt(other)
    }
    link.phase = 'ready'
    link.order = ++this.#lastOrder
    link.readyAt = this.#now
    link.until = undefined
    if (peer.policy === null) peer.introduced = true
    peer.fault = null
    peer.retryAt = undefined
    this.#stopTrying(keyHashText(peer.peerId), peer.dialling)
    keepOrEnd(this.#self, peer, this.#now)
    this.#beside.plan(this.#now, peer)
    this.#effects.push({ type: 'known', peerId: peer.peerId, link: link.link })
    this.#effects.push(...settleWish(peer, 'connected'))
  }

  #chosen(peer: Peer | undefined): Link | undefined {
    return peer && chosenLink(this.#self, peer)
  }

  #doubt(link: Link): void {
    if (link.doubted) return
    link.doubted = true
    this.#effects.push({ type: 'probe', link: link.link })
  }

  #probed(link: Link, alive: boolean): void {
    if (!link.doubted) return
    link.doubted = false
    if (alive) keepOrEnd(this.#self, link.peer, this.#now)
    else this.#end(link, 'duplicate', closeFault('lost', false))
  }

  #helloFailed(link: Link, fault: LinkFault, told: boolean): void {
    if (link.phase === 'ready' || link.phase === 'told') return
    if (!told) return this.#end(link, 'protocol', fault)
    link.phase = 'told'
    link.until = this.#now + TOLD_GRACE_MS
  }

  #close(link: Link, code: LinkCloseCode): void {
    this.#effects.push({ type: 'close', link: link.link, code })
    this.#remove(link)
  }

  #end(link: Link, code: LinkCloseCode, fault?: LinkFault): void {
    this.#effects.push({ type: 'close', link: link.link, code })
    this.#gone(link, fault ?? closeFault(code, false))
  }

  #remove(link: Link): void {
    this.#links.delete(link.link)
    link.peer.links.delete(link)
  }

  /** A connection is no more: what follows for its peer. */
  #gone(link: Link, fault: LinkFault): void {
    const { peer } = link
    this.#remove(link)
    keepOrEnd(this.#self, peer, this.#now)
    this.#beside.lost(this.#now, link)
    if (this.#chosen(peer) || peer.dialling) return
    // What a stranger's connection came to is its own affair.
    if (link.phase === 'ready' || link.role === 'dialler') peer.fault = fault
    if (link.phase === 'ready') peer.lostAt = this.#now
    // While another one is being set up nothing has failed yet.
    if ([...peer.links].some((other) => other.phase !== 'told')) return
    if (peer.fault !== fault && !peer.wish?.connects.length) return this.#retry(peer)
    if (link.phase === 'ready' && this.#now - link.readyAt >= STEADY_MS) peer.failures = 0
    if (peer.wish && (fault.code === 'refused' || fault.code === 'blocked')) peer.wish.held = false
    this.#failed(peer, peer.wish, peer.fault ?? fault)
  }

  #failed(peer: Peer | null, wish: Wish | null, fault: LinkFault): void {
    if (wish) this.#effects.push(...giveUpWish(this.#peers, peer, wish, fault))
    if (!peer) return
    peer.fault = fault
    peer.failures++
    peer.retryAt = undefined
    this.#retry(peer)
  }

  // --- dialling

  #startDialling(start: DiallingStart): void {
    const { wish, peer } = start
    const dialling = this.#diallings.prepare(start)
    if (peer) {
      peer.dialling = dialling
      peer.retryAt = undefined
    }
    if (wish) wish.dialling = dialling
    this.#diallings.step(this.#now, dialling, { type: 'start' })
  }

  /** @param fault null when it succeeded or was given up */
  #diallingEnded(dialling: Dialling, fault: LinkFault | null, patient: boolean): void {
    const { peer, wish } = dialling
    if (dialling.beside) return this.#beside.ended(this.#now, dialling, fault)
    if (peer?.dialling === dialling) peer.dialling = null
    if (wish?.dialling === dialling) wish.dialling = null
    if (wish) wish.patient = patient
    if (fault) this.#failed(peer, wish, fault)
  }

  #stopTrying(keyHash: string, dialling: Dialling | null): void {
    if (this.#options.place) this.#effects.push({ type: 'stop-punching', keyHash })
    if (dialling) this.#diallings.step(this.#now, dialling, { type: 'abort' })
  }

  #dialled(dial: number, link: number, peerId: PeerId, way: LinkWay): void {
    const found = this.#diallings.find(dial)
    // Given up meanwhile, since another connection was there first or nobody wants it any more: say so instead of hello.
    if (!found) return void this.#effects.push({ type: 'close', link, code: 'duplicate' })
    const peer = this.#peers.of(peerId)
    this.#diallings.step(this.#now, found.dialling, { type: 'attempt-succeeded', attempt: found.attempt })
    const { peer: expected, wish } = found.dialling
    if (expected !== peer) {
      this.#effects.push({ type: 'close', link, code: 'wrong-identity' })
      if (found.dialling.beside) return
      return this.#failed(expected, wish, { code: 'wrong-identity', message: 'somebody else answers there' })
    }
    this.#addLink(link, peer, 'dialler', null, way)
    this.#effects.push({ type: 'greet', link })
  }

  #retry(peer: Peer): void {
    if (peer.retryAt === undefined && canDial(peer)) peer.retryAt = this.#now + retryDelayMs(peer, this.#now, this.#options.random())
  }

  /** Something has changed: earlier failures say nothing any more. */
  #retrySoon(peer: Peer, spreadMs = START_SPREAD_MS): void {
    peer.failures = 0
    if (canDial(peer)) peer.retryAt = this.#now + spreadMs * this.#options.random()
  }

  #dialWhoIsDue(): void {
    for (const peer of this.#peers.values()) {
      if (peer.retryAt === undefined || peer.retryAt > this.#now || this.#diallings.isFull) continue
      peer.retryAt = undefined
      if (canDial(peer)) this.#dialKnown(peer)
    }
  }

  #dialKnown(peer: Peer, punched = false, isLive = false): void {
    const knockSecret = secretOf(peer)
    if (knockSecret === null) return
    const known = { wish: peer.wish, peer, candidates: candidatesOf(peer, isLive), nat: natOf(peer), knockSecret, expect: { peerId: peer.peerId }, punched, tcpPort: peer.hello?.tcpPort ?? null }
    this.#startDialling({ ...known, ...zealFor(peer, this.#now) })
  }

  #dialAtOnce(keyHash: string, punched: boolean): void {
    const peer = this.#peers.byKeyHash(keyHash)
    const wish = this.#peers.wishes.get(keyHash)
    if (peer && canDial(peer)) this.#dialKnown(peer, punched)
    else if (wish && !wish.dialling) this.#dialWish(wish, null, punched)
  }

  #learned(input: RecordInput): void {
    const { record: { peerId }, origin } = input
    // Hints make nobody new.
    if (peerId === this.#self || !(introduces(origin) || this.#peers.isNamed(peerId))) return
    const peer = this.#peers.of(peerId)
    const { effects, meaning, doubts } = takeRecord(this.#self, peer, input)
    this.#effects.push(...effects)
    if (doubts) this.#doubt(doubts)
    if (meaning === 'admit') for (const link of peer.links) if (link.phase === 'asks') return this.#admit(link)
    if (meaning === 'dial') this.#dialKnown(peer, false, input.live)
    if (meaning === 'retry') this.#retrySoon(peer)
  }

  // --- what is said about peers

  #tell(peer: Peer): void {
    const status = statusOf(this.#self, peer)
    const unchanged = peer.told && peer.told.state === status.state && peer.told.link === status.link && peer.told.lastError === status.lastError
    if (!unchanged && isWorthTelling(peer)) {
      peer.told = status
      this.#effects.push({ type: 'status', peerId: peer.peerId, status })
    }
    if (peer.policy || peer.wish || peer.dialling || peer.links.size > 0) return
    this.#peers.delete(peer.peerId)
  }
}
