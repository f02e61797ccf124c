/** One dial: tries, tries again beside it when there is silence, and settles on the first answer of the right peer. */
import { CodedError, type ErrorCode, keyHashOf, type PeerId } from '@harddrive-party/protocol'
import type { CloseReason, DialTarget } from '../peers/transport.ts'
import type { HandshakeListener } from './connection-host.ts'
import type { QuicConnection } from './quic-connection.ts'

/** The engine repeats its first packet after a whole second; a second connection gets through a lost packet sooner. */
const SECOND_ATTEMPT_MS = 250

/** Then nobody is there, or nobody who knows our knock. */
export const DIAL_TIMEOUT_MS = 8000

/** Of the system: there is no way to there from here. */
const NO_ROUTE = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'])

export interface Dial {
  readonly connected: Promise<QuicConnection>
  readonly target: DialTarget
  /** The system could not send to the target. */
  onSendError(code: string): void
  abandon(error: CodedError): void
}

/** @param connect begins a new connection to the target and sends its first packet */
export function beginDial(
  target: DialTarget,
  connect: (listener: HandshakeListener) => QuicConnection,
  signal: AbortSignal,
): Dial {
  const attempts = new Set<QuicConnection>()
  let settled = false
  let resolve: (connection: QuicConnection) => void
  let reject: (error: Error) => void
  const connected = new Promise<QuicConnection>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })

  function settle(): boolean {
    if (settled) return false
    settled = true
    clearTimeout(second)
    clearTimeout(end)
    signal.removeEventListener('abort', onAbort)
    return true
  }

  function abandon(error: CodedError): void {
    if (!settle()) return
    for (const attempt of attempts) attempt.discard()
    reject(error)
  }

  function onAbort(): void {
    abandon(new CodedError('aborted', 'the dial was called off'))
  }

  const listener: HandshakeListener = {
    established(connection) {
      if (settled) return false
      if (!isExpected(connection.peerId, target.expect)) return false
      settle()
      attempts.delete(connection)
      resolve(connection)
      // The others must not be ended from within this one's packet.
      queueMicrotask(() => {
        for (const attempt of attempts) attempt.discard()
      })
      return true
    },
    failed(connection, reason, badCertificate) {
      attempts.delete(connection)
      const error = failure(reason, badCertificate)
      if (error.code === 'wrong-identity' || (attempts.size === 0 && error.code !== 'timed-out')) abandon(error)
    },
  }

  const second = setTimeout(() => {
    for (const attempt of attempts) if (attempt.heard) return
    attempts.add(connect(listener))
  }, SECOND_ATTEMPT_MS)
  const end = setTimeout(() => abandon(new CodedError('timed-out', 'no answer')), DIAL_TIMEOUT_MS)
  signal.addEventListener('abort', onAbort)
  attempts.add(connect(listener))

  return {
    connected,
    target,
    abandon,
    onSendError: (code) => {
      if (NO_ROUTE.has(code)) abandon(new CodedError('unreachable', `there is no way to ${target.endpoint.host} from here`))
    },
  }
}

function isExpected(peerId: PeerId, expect: DialTarget['expect']): boolean {
  return 'peerId' in expect ? peerId === expect.peerId : Buffer.compare(keyHashOf(peerId), expect.keyHash) === 0
}

function failure({ by, code }: CloseReason, badCertificate: boolean): CodedError {
  if (badCertificate || code === 'wrong-identity') return new CodedError('wrong-identity', 'somebody else answered')
  if (by === 'timeout') return new CodedError('timed-out', 'no answer')
  const coded: ErrorCode = code === 'blocked' ? 'blocked' : 'refused'
  return new CodedError(coded, 'the other side ended the handshake')
}
