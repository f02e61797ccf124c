import { type Detail, type ErrorCode, type NatKind, decodeDetail, isErrorCode } from '@harddrive-party/protocol'
import type { PeerInfo, PeerPath, TransferInfo } from '@harddrive-party/protocol/control'
import { wordsForDetail } from './advice-words.ts'
import { type TextKey, isolate, locale, t } from './i18n.ts'

/** Says in plain words what codes and states mean to the person in front of the screen. Decides nothing. */

/** One sentence about a failure: an error, or a reason that the helper gave. */
export function explain(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error) || !isErrorCode(error.code)) return t('common.wentWrong')
  const message = 'message' in error && typeof error.message === 'string' ? error.message : ''
  return explainCode(error.code, message, 'detail' in error ? decodeDetail(error.detail) : undefined)
}

/** What these mean lies in the message of the helper, which is English. */
const MESSAGE_SAYS_MORE: readonly ErrorCode[] = ['bad-request', 'conflict', 'not-found', 'not-allowed', 'unsupported', 'disk-error', 'address-in-use', 'too-large']

/** The detail says most, then the message where the person reads English, then the code. */
export function explainCode(code: ErrorCode, message: string, detail?: Detail): string {
  const words = detail && wordsForDetail(detail)
  if (words !== undefined) return words
  if (locale() === 'en' && message !== '' && MESSAGE_SAYS_MORE.includes(code)) return sentence(message)
  return t(`words.error.${code}`)
}

/** A first capital and a full stop, whatever the message came with. */
export function sentence(text: string): string {
  const trimmed = text.trim()
  if (trimmed === '') return ''
  const start = trimmed[0]!.toUpperCase() + trimmed.slice(1)
  return /[.!?…]$/.test(start) ? start : `${start}.`
}

export function wordsForPath(path: PeerPath): string {
  const round = path.rttMs === null ? '' : ` · ${path.rttMs < 1 ? '<1' : Math.round(path.rttMs)} ms`
  return `${t(`words.path.${path.kind}`)}${path.transport === 'tcp' ? ' (TCP)' : ''}${round}`
}

export interface StateWords {
  readonly label: string
  readonly tone: 'good' | 'wait' | 'bad' | 'plain'
}

/** The label is read when it is shown: the language may have changed since. */
function stateWords(key: TextKey, tone: StateWords['tone']): StateWords {
  return {
    tone,
    get label() {
      return t(key)
    },
  }
}

export const PEER_STATES: Record<PeerInfo['state'], StateWords> = {
  connected: stateWords('words.peer.connected', 'good'),
  dialling: stateWords('words.peer.dialling', 'wait'),
  waiting: stateWords('words.peer.waiting', 'wait'),
  asks: stateWords('words.peer.asks', 'wait'),
  offline: stateWords('words.peer.offline', 'plain'),
  away: stateWords('words.peer.away', 'plain'),
  blocked: stateWords('words.peer.blocked', 'bad'),
  nearby: stateWords('words.peer.nearby', 'plain'),
}

export const TRANSFER_STATES: Record<TransferInfo['state'], StateWords> = {
  queued: stateWords('words.transfer.queued', 'plain'),
  listing: stateWords('words.transfer.listing', 'wait'),
  running: stateWords('words.transfer.running', 'good'),
  waiting: stateWords('words.transfer.waiting', 'wait'),
  paused: stateWords('words.transfer.paused', 'plain'),
  done: stateWords('words.transfer.done', 'good'),
  failed: stateWords('words.transfer.failed', 'bad'),
  cancelled: stateWords('words.transfer.cancelled', 'plain'),
}

/** Why a transfer waits or failed, naming the peer where that helps. */
export function wordsForReason(transfer: Pick<TransferInfo, 'reason' | 'peerName'>): string {
  const { reason, peerName } = transfer
  if (reason === null) return ''
  if (reason.code === 'offline' || reason.code === 'connection-lost') return t('words.waitingFor', { name: isolate(peerName) })
  return explain(reason)
}

export function wordsForNat(kind: NatKind): string {
  return t(`words.nat.${kind}`)
}
