/** The one QUIC configuration, for both roles and all connections. Every value avoids a measured fault of this engine or bounds a peer. */
import { ALPN, MAX_READ_BYTES, MAX_SMALL_FRAME_BYTES } from '@harddrive-party/protocol'
import type { Certificate } from '../identity/certificate.ts'
import type { NativeAddress, NativeConfig, NativeQuic } from './native.ts'

/** Largest datagram we send: passes every ordinary path, tunnels included. */
export const MAX_PACKET_BYTES = 1350

/** One read with its header and trailer fits, so that a stream never waits for a window update. */
export const STREAM_WINDOW_BYTES = MAX_READ_BYTES + 2 * MAX_SMALL_FRAME_BYTES

/** The engine closes a connection that has been silent for this long; liveness notices sooner. */
const IDLE_TIMEOUT_MS = 30_000

/** Never to be used up: a lost MAX_DATA frame is not repeated by this engine, and cancelled streams do not give their credit back. */
const UNLIMITED_BYTES = 2 ** 40

/** For the same reasons; how many streams are open at once is bounded by us instead. */
const UNLIMITED_STREAMS = 2 ** 20

/**
 * What the engine is told about addresses, always the same: its code for several paths has a hang that a peer can trigger.
 * Where a peer really is, is ours to know.
 */
export const LOCAL_ADDRESS: NativeAddress = { host: '10.0.0.1', port: 1 }
export const REMOTE_ADDRESS: NativeAddress = { host: '10.0.0.2', port: 2 }
export const RECV_INFO = { from: REMOTE_ADDRESS, to: LOCAL_ADDRESS }

export function makeConfig(native: NativeQuic, certificate: Certificate, alpn: string = ALPN): NativeConfig {
  const key = Buffer.from(certificate.privateKeyPem)
  const chain = Buffer.from(certificate.certificatePem)
  // Both roles ask for a certificate and accept any: the key in it is compared by us, its possession is proved by TLS.
  const config = native.Config.withBoringSslCtx(true, true, undefined, [key], [chain], 'ed25519')
  config.setApplicationProtos([alpn])
  config.grease(false)
  config.setMaxIdleTimeout(IDLE_TIMEOUT_MS)
  config.setMaxRecvUdpPayloadSize(65_527)
  config.setMaxSendUdpPayloadSize(MAX_PACKET_BYTES)
  config.setCcAlgorithmName('bbr')
  config.enableHystart(true)
  // It would compute times that the binding does not give us, and crawl.
  config.enablePacing(false)
  config.setInitialMaxData(UNLIMITED_BYTES)
  config.setMaxConnectionWindow(UNLIMITED_BYTES)
  config.setInitialMaxStreamDataBidiLocal(STREAM_WINDOW_BYTES)
  config.setInitialMaxStreamDataBidiRemote(STREAM_WINDOW_BYTES)
  config.setMaxStreamWindow(STREAM_WINDOW_BYTES)
  config.setInitialMaxStreamsBidi(UNLIMITED_STREAMS)
  config.setInitialMaxStreamsUni(0)
  config.setDisableActiveMigration(true)
  return config
}
