/** TLS 1.3 over a TCP socket with our Ed25519 identity in both roles, and the few bytes that are read before a connection is one. */
import type { Socket } from 'node:net'
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { ALPN, CodedError, type PeerId, peerIdFromKey } from '@harddrive-party/protocol'
import { type Certificate, ed25519KeyFromCertificate } from '../identity/certificate.ts'

/** The first is the fastest where the processor helps, the second where it does not. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256'

export function makeSecureContext(certificate: Certificate): SecureContext {
  return createSecureContext({
    key: certificate.privateKeyPem, cert: certificate.certificatePem, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: CIPHERS, sigalgs: 'ed25519', ecdhCurve: 'X25519',
  })
}

/** Who the other side is told nothing of may be anybody: keys are compared by us, names and dates mean nothing. */
const OPTIONS = { ALPNProtocols: [ALPN], requestCert: true, rejectUnauthorized: false } as const

/** As the dialler. @returns a socket whose handshake is complete @throws CodedError `timed-out` (the other side closed in silence), `refused` */
export function secureAsDialler(socket: Socket, secureContext: SecureContext): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = connect({ ...OPTIONS, socket, secureContext, checkServerIdentity: () => undefined })
    settle(secured, 'secureConnect', socket, resolve, reject)
  })
}

/** As the listener. What is in the socket's buffer already is taken for its beginning. */
export function secureAsListener(socket: Socket, secureContext: SecureContext): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    settle(new TLSSocket(socket, { ...OPTIONS, isServer: true, secureContext }), 'secure', socket, resolve, reject)
  })
}

function settle(secured: TLSSocket, event: 'secureConnect' | 'secure', socket: Socket, resolve: (secured: TLSSocket) => void, reject: (error: Error) => void): void {
  const onSecure = (): void => {
    secured.off('close', onClose)
    if (secured.alpnProtocol === ALPN) return resolve(secured)
    secured.destroy()
    reject(new CodedError('refused', 'it speaks another protocol'))
  }
  const onClose = (): void => {
    const isSilent = socket.bytesRead === 0
    reject(isSilent ? new CodedError('timed-out', 'it does not answer') : new CodedError('refused', 'the other side ended the handshake'))
  }
  // What goes wrong is followed by `close`.
  secured.on('error', () => {})
  secured.once(event, onSecure)
  secured.once('close', onClose)
}

/** @returns whose private key the other side has proved to hold; undefined = it showed no usable certificate */
export function provenPeer(secured: TLSSocket): PeerId | undefined {
  const shown = secured.getPeerX509Certificate()
  const key = shown === undefined ? undefined : ed25519KeyFromCertificate(shown.raw)
  return key?.ok ? peerIdFromKey(key.value) : undefined
}

/** The next bytes of a socket that nobody reads from yet; what follows them stays in it. @returns null when it ends before */
export function readFirst(socket: Socket, count: number): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const settleWith = (bytes: Buffer | null): void => {
      socket.off('readable', look)
      socket.off('close', onClose)
      resolve(bytes)
    }
    const onClose = (): void => settleWith(null)
    const look = (): void => {
      const bytes = socket.read(count) as Buffer | null
      if (bytes !== null) settleWith(bytes.length === count ? bytes : null)
    }
    socket.on('readable', look)
    socket.on('close', onClose)
    if (socket.destroyed) return settleWith(null)
    look()
  })
}
