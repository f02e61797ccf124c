/** Opens the ways to reach peers: QUIC where this platform has an engine for it, TCP beside it. Decides nothing about when which is used. */
import { CodedError } from '@harddrive-party/protocol'
import { type QuicOptions, type QuicTransport, openQuicTransport } from '../adapters/quic/quic-transport.ts'
import { type TcpTransport, openTcpTransport } from '../adapters/tcp/tcp-transport.ts'
import type { NetworkConfig } from './network-api.ts'
import type { NetworkLog } from './network.ts'

export interface Transports {
  readonly quic: QuicTransport | undefined
  readonly tcp: TcpTransport | undefined
  /** Why there is none at all. */
  readonly missing: string
  /** Where we listen: UDP ports, or those of TCP where there is no QUIC. */
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /** What a hello says of TCP: nothing where it has the numbers of UDP, 0 where there is none. */
  readonly tcpPort: number | undefined
  setKnockSecrets(secrets: QuicOptions['knockSecrets']): void
  close(): Promise<void>
}

export async function openTransports(
  config: NetworkConfig, log: NetworkLog, events: Pick<QuicOptions, 'onConnection' | 'onDatagram' | 'knockSecrets'>,
): Promise<Transports> {
  const shared = {
    seed: Buffer.from(config.identitySeed, 'hex'), loopbackOnly: config.loopbackOnly, ...events,
    log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => log[level](details ?? {}, message),
  }
  const quic = config.quic === false ? 'QUIC is switched off' : await orReason(openQuicTransport({ ...shared, udpPort: config.udpPort }))
  const udp = typeof quic === 'string' ? undefined : quic
  if (typeof quic === 'string') log.warn({ reason: quic }, 'there is no QUIC here')
  const wanted = udp?.ports.v4 ?? udp?.ports.v6 ?? config.udpPort
  const tcp = config.tcp === false ? 'TCP is switched off' : await orReason(openTcpTransport({ ...shared, port: wanted }))
  const second = typeof tcp === 'string' ? undefined : tcp
  const all = [udp, second].filter((transport) => transport !== undefined)
  return {
    quic: udp,
    tcp: second,
    missing: [quic, tcp].filter((transport) => typeof transport === 'string').join('; '),
    ports: all[0]?.ports ?? { v4: null, v6: null },
    tcpPort: tcpPortToTell(udp?.ports, second?.ports),
    setKnockSecrets: (secrets) => {
      for (const transport of all) transport.setKnockSecrets(secrets)
    },
    close: async () => {
      await Promise.all(all.map((transport) => transport.close()))
    },
  }
}

function tcpPortToTell(udp: Transports['ports'] | undefined, tcp: Transports['ports'] | undefined): number | undefined {
  if (tcp === undefined) return 0
  if (udp === undefined || (udp.v4 === tcp.v4 && udp.v6 === tcp.v6)) return undefined
  return tcp.v4 ?? tcp.v6 ?? 0
}

async function orReason<T>(opening: Promise<T>): Promise<T | string> {
  try {
    return await opening
  } catch (error) {
    if (error instanceof CodedError && error.code === 'no-transport') return error.message
    throw error
  }
}
