/** One way to a peer over TCP: connects, knocks, secures, and makes sure that the right peer answered. */
import { createHmac, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import type { SecureContext, TLSSocket } from 'node:tls'
import { CodedError, type Hmac, keyHashOf, KNOCK_NONCE_BYTES, makeTcpKnock, type PeerId } from '@harddrive-party/protocol'
import type { DialTarget } from '../peers/transport.ts'
import { provenPeer, secureAsDialler } from './tcp-tls.ts'

/** Then nobody is there. */
export const TCP_DIAL_TIMEOUT_MS = 8_000

/** Idle lanes say something to the NATs and firewalls on their way this often. */
export const KEEP_ALIVE_MS = 30_000

const hmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

/**
 * @param loopbackOnly nobody but this machine can be reached
 * @returns a socket whose handshake is complete, and who is behind it
 * @throws CodedError `timed-out`, `unreachable`, `refused`, `wrong-identity`, or the signal's reason
 */
export async function dialTcp(
  { endpoint, knockSecret, expect }: DialTarget, secureContext: SecureContext, { loopbackOnly, signal }: { readonly loopbackOnly: boolean; readonly signal: AbortSignal },
): Promise<{ readonly socket: TLSSocket; readonly peerId: PeerId }> {
  signal.throwIfAborted()
  const localAddress = endpoint.host.includes(':') ? '::1' : '127.0.0.1'
  const socket = connect({ ...endpoint, noDelay: true, ...(loopbackOnly ? { localAddress } : {}) })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    socket.destroy()
  }, TCP_DIAL_TIMEOUT_MS)
  const onAbort = (): void => void socket.destroy()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await connected(socket)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.write(makeTcpKnock(knockSecret, randomBytes(KNOCK_NONCE_BYTES), Date.now(), hmac))
    const secured = await secureAsDialler(socket, secureContext)
    const peerId = provenPeer(secured)
    if (peerId === undefined || !isExpected(peerId, expect)) throw new CodedError('wrong-identity', 'somebody else answered')
    return { socket: secured, peerId }
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    if (timedOut) throw new CodedError('timed-out', 'no answer')
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    // What goes wrong later is followed by `close`.
    socket.on('error', (cause) => reject(new CodedError('unreachable', 'no TCP connection can be made to there', { cause })))
    socket.once('close', () => reject(new CodedError('unreachable', 'no TCP connection can be made to there')))
    socket.once('connect', resolve)
  })
}

function isExpected(peerId: PeerId, expect: DialTarget['expect']): boolean {
  return 'peerId' in expect ? peerId === expect.peerId : Buffer.compare(keyHashOf(peerId), expect.keyHash) === 0
}
