import { CodedError, isErrorCode, type ErrorCode } from '@harddrive-party/protocol'
import type { NatKind } from '@harddrive-party/protocol'
import type { PeerInfo, PeerPath, TransferInfo } from '@harddrive-party/protocol/control'

/** Says in plain words what codes and states mean to the person in front of the screen. Decides nothing. */

const IN_WORDS: Partial<Record<ErrorCode, string>> = {
  offline: 'Not online right now.',
  refused: 'The other side refused the connection. Their code may have been renewed: ask for a new one.',
  blocked: 'This peer is blocked.',
  'approval-pending': 'Waiting for the other person to accept you.',
  'wrong-identity': 'Somebody else answered at this address. Ask for a new code.',
  'timed-out': 'No answer. They may be offline or unreachable from here.',
  'connection-lost': 'The connection was lost.',
  'stream-reset': 'The other side stopped sending.',
  unreachable: 'Could not be reached at any known address.',
  'no-transport': 'This machine has no way to connect directly.',
  'source-changed': 'The file changed at its source.',
  unreadable: 'The other side cannot read this file.',
  'bad-answer': 'The other side sent something that makes no sense.',
  'hash-mismatch': 'What arrived is damaged.',
  'wrong-length': 'What arrived has the wrong length.',
  'bad-path': 'The name is not safe to write to disk.',
  'disk-full': 'The disk is full. It goes on by itself once there is room.',
  'too-large': 'That is too large.',
  busy: 'The other side is busy.',
  closed: 'Your helper is not running.',
  aborted: 'Cancelled.',
  internal: 'Something went wrong in the helper.',
}

/** One sentence about a failure. Codes whose meaning lies in their message (a bad request, a conflict) show that message. */
export function explain(error: unknown): string {
  if (error instanceof CodedError) return explainCode(error.code, error.message)
  if (typeof error === 'object' && error !== null && 'code' in error && isErrorCode(error.code)) {
    return explainCode(error.code, 'message' in error && typeof error.message === 'string' ? error.message : '')
  }
  return 'Something went wrong.'
}

/** So much is said only by a helper that knows why, for example which of the two routers stands in the way. */
const SAYS_WHY_FROM = 60

export function explainCode(code: ErrorCode, message: string): string {
  if ((code === 'unreachable' || code === 'timed-out') && message.length >= SAYS_WHY_FROM) return sentence(message)
  const words = IN_WORDS[code]
  if (words !== undefined) return words
  return message === '' ? 'Something went wrong.' : sentence(message)
}

/** A first capital and a full stop, whatever the message came with. */
export function sentence(text: string): string {
  const trimmed = text.trim()
  if (trimmed === '') return ''
  const start = trimmed[0]!.toUpperCase() + trimmed.slice(1)
  return /[.!?…]$/.test(start) ? start : `${start}.`
}

const PATH_KINDS: Record<PeerPath['kind'], string> = {
  loopback: 'this computer',
  lan: 'same network',
  ipv6: 'direct, IPv6',
  direct: 'direct',
  mapped: 'direct, open port',
  punched: 'direct, through the routers',
}

export function wordsForPath(path: PeerPath): string {
  const round = path.rttMs === null ? '' : ` · ${path.rttMs < 1 ? '<1' : Math.round(path.rttMs)} ms`
  return `${PATH_KINDS[path.kind]}${path.transport === 'tcp' ? ' (TCP)' : ''}${round}`
}

export interface StateWords {
  readonly label: string
  readonly tone: 'good' | 'wait' | 'bad' | 'plain'
}

export const PEER_STATES: Record<PeerInfo['state'], StateWords> = {
  connected: { label: 'Connected', tone: 'good' },
  dialling: { label: 'Connecting…', tone: 'wait' },
  waiting: { label: 'Waiting for them to accept', tone: 'wait' },
  asks: { label: 'Wants to connect', tone: 'wait' },
  offline: { label: 'Offline', tone: 'plain' },
  away: { label: 'Disconnected by you', tone: 'plain' },
  blocked: { label: 'Blocked', tone: 'bad' },
  nearby: { label: 'Nearby', tone: 'plain' },
}

export const TRANSFER_STATES: Record<TransferInfo['state'], StateWords> = {
  queued: { label: 'Queued', tone: 'plain' },
  listing: { label: 'Reading the folder…', tone: 'wait' },
  running: { label: 'Downloading', tone: 'good' },
  waiting: { label: 'Waiting', tone: 'wait' },
  done: { label: 'Done', tone: 'good' },
  failed: { label: 'Failed', tone: 'bad' },
  cancelled: { label: 'Cancelled', tone: 'plain' },
}

/** Why a transfer waits or failed, naming the peer where that helps. */
export function wordsForReason(transfer: Pick<TransferInfo, 'reason' | 'peerName'>): string {
  const { reason, peerName } = transfer
  if (reason === null) return ''
  if (reason.code === 'offline' || reason.code === 'connection-lost') return `Waiting for ${peerName} to come online.`
  return explainCode(reason.code, reason.message)
}

export const NAT_WORDS: Record<NatKind, string> = {
  unknown: 'Not known yet',
  open: 'Open: anyone with your code can reach you directly',
  consistent: 'Friendly: direct connections work well',
  counting: 'Strict, but predictable: direct connections usually work',
  block: 'Strict: direct connections may take a moment',
  random: 'Very strict: connecting to other strict networks may fail',
}
