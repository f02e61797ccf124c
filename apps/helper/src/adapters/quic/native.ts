/** The native QUIC binding: which package has it for this machine, and the part of it that we use. Nothing of it is used outside this folder. */
import { createRequire } from 'node:module'
import { CodedError } from '@harddrive-party/protocol'

export interface NativeQuic {
  readonly Config: {
    /**
     * Keys and certificates in PEM, as bytes. A key that does not fit its certificate is not refused: the result then acts as if it had none.
     */
    withBoringSslCtx(
      verifyPeer: boolean,
      verifyAllowFail: boolean,
      ca: undefined,
      key: Uint8Array[],
      certificate: Uint8Array[],
      signatureAlgorithms: string,
    ): NativeConfig
  }
  readonly Connection: {
    connect(serverName: null, scid: Uint8Array, local: NativeAddress, remote: NativeAddress, config: NativeConfig): NativeConnection
    accept(scid: Uint8Array, originalDcid: null, local: NativeAddress, remote: NativeAddress, config: NativeConfig): NativeConnection
  }
  readonly Shutdown: { readonly Read: number; readonly Write: number }
}

export interface NativeConfig {
  grease(on: boolean): void
  setApplicationProtos(names: string[]): void
  setMaxIdleTimeout(ms: number): void
  setMaxRecvUdpPayloadSize(bytes: number): void
  setMaxSendUdpPayloadSize(bytes: number): void
  setInitialMaxData(bytes: number): void
  setInitialMaxStreamDataBidiLocal(bytes: number): void
  setInitialMaxStreamDataBidiRemote(bytes: number): void
  setInitialMaxStreamsBidi(count: number): void
  setInitialMaxStreamsUni(count: number): void
  setDisableActiveMigration(on: boolean): void
  setCcAlgorithmName(name: string): void
  enableHystart(on: boolean): void
  enablePacing(on: boolean): void
  setMaxConnectionWindow(bytes: number): void
  setMaxStreamWindow(bytes: number): void
}

/** Where it returns null there is nothing (more) now. It throws plain errors whose message is a name, sometimes with a number: `StreamReset(7)`. */
export interface NativeConnection {
  recv(data: Uint8Array, info: { readonly from: NativeAddress; readonly to: NativeAddress }): number
  send(into: Uint8Array): [number, unknown] | null
  streamRecv(id: number, into: Uint8Array): [number, boolean] | null
  streamSend(id: number, data: Uint8Array, finish: boolean): number | null
  /** Throws where there is no such stream (any more), or the peer wants no more of it. */
  streamCapacity(id: number): number
  streamShutdown(id: number, direction: number, code: number): void
  readable(): Iterable<number>
  timeout(): number | null
  onTimeout(): void
  close(application: boolean, code: number, reason: Uint8Array): void
  applicationProto(): Uint8Array
  /** DER. Only to be believed once {@link isEstablished}: before, possession of the key is not proved. */
  peerCertChain(): Uint8Array[] | null
  isEstablished(): boolean
  isDraining(): boolean
  isClosed(): boolean
  isTimedOut(): boolean
  peerError(): NativeConnectionError | null
  localError(): NativeConnectionError | null
  stats(): { readonly recv: number; readonly recvBytes: number; readonly sent: number; readonly lost: number }
  /** `rtt` in whole milliseconds, `deliveryRate` in bytes per second. */
  pathStats(): { readonly rtt: number; readonly cwnd: number; readonly deliveryRate: number; readonly sent: number; readonly lost: number }[]
  sendAckEliciting(): void
}

export interface NativeAddress {
  readonly host: string
  readonly port: number
}

export interface NativeConnectionError {
  readonly isApp: boolean
  readonly errorCode: number
}

/** One API under two names; which of them has a binary for a platform differs. */
const SCOPES = ['@infisical/quic-', '@matrixai/quic-']

/** @throws CodedError `no-transport` when there is no binary for this platform or it cannot be loaded, for example for want of a newer C library */
export function loadNativeQuic(): NativeQuic {
  const require = createRequire(import.meta.url)
  let cause: unknown
  for (const scope of SCOPES) {
    for (const target of targets(process.platform, process.arch)) {
      try {
        return require(scope + target) as NativeQuic
      } catch (error) {
        cause = error
      }
    }
  }
  throw new CodedError('no-transport', `there is no QUIC engine for ${process.platform} on ${process.arch}`, { cause })
}

/** The endings of package names to try, best first. */
export function targets(platform: string, arch: string): string[] {
  switch (platform) {
    case 'darwin':
      return arch === 'x64' || arch === 'arm64' ? [`darwin-${arch}`, 'darwin-universal'] : []
    case 'linux':
      return arch === 'x64' || arch === 'arm64' || arch === 'arm' ? [`linux-${arch}`] : []
    case 'win32':
      return arch === 'x64' ? ['win32-x64'] : []
    default:
      return []
  }
}

/** The name in an error of the binding, without its number. */
export function nativeErrorName(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const end = text.indexOf('(')
  return end === -1 ? text : text.slice(0, end)
}
