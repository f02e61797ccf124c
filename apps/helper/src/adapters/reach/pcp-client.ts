/** One UDP socket towards one router, and the lease that is kept over it (PCP or NAT-PMP). What is asked when is decided in core. */
import { type Socket, createSocket } from 'node:dgram'
import type { Endpoint } from '@harddrive-party/protocol'
import { PCP_ANNOUNCE_GROUP, PCP_ANNOUNCE_PORT, PCP_PORT } from '../../core/reach/pcp-message.ts'
import { PortLease, type PortLeaseInput, type PortLeaseOptions } from '../../core/reach/port-lease.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'

export interface PcpClient {
  /** What is mapped now. */
  readonly held: { readonly protocol: 'pcp' | 'nat-pmp'; readonly outside: Endpoint } | null
  /** An announcement of the router to everybody. */
  take(bytes: Uint8Array): void
  renew(): void
  /** Takes the mapping back: resolves when the router has said so, after a second at most. Idempotent. */
  close(): Promise<void>
  /** Leaves it as it is: the router is no longer in reach. */
  abandon(): void
}

export interface PcpClientOptions extends Pick<PortLeaseOptions, 'of' | 'onlyPort'> {
  readonly gateway: string
  /** The router's port; another one in tests. */
  readonly gatewayPort?: number
  /** Our own address: the socket is bound to it, since PCP checks that requests come from whom they name. */
  readonly client: string
  /** The port to be mapped, which is not this socket's. */
  readonly port: number
  readonly nonce: Uint8Array
  /** `held` has changed, or it has become clear that there is nothing to be had (for now). */
  readonly onChange: (outcome: 'mapped' | 'none') => void
  /** The router says that nobody listens there. It is asked a few times more, but something else may be tried meanwhile. */
  readonly onUnreachable: () => void
  readonly clock?: Clock
}

/** @returns null when no socket can be bound to that address */
export async function openPcpClient(options: PcpClientOptions): Promise<PcpClient | null> {
  const { gateway, client, port, nonce, of, onlyPort, onChange, onUnreachable, clock = systemClock } = options
  const socket = await connectedSocket(client, gateway, options.gatewayPort ?? PCP_PORT)
  if (socket === null) return null
  let held: PcpClient['held'] = null
  let closing: Promise<void> | undefined
  let onClosed: (() => void) | undefined
  let isOpen = true
  const shut = (): void => {
    if (!isOpen) return
    isOpen = false
    driven.close()
    socket.close()
  }
  const driven: Driven<PortLeaseInput> = drive(new PortLease(clock.now(), { client, port, nonce, ...(of === undefined ? {} : { of }), ...(onlyPort === undefined ? {} : { onlyPort }) }), (effect) => {
    if (effect.type === 'send') socket.send(effect.bytes, () => {})
    else if (effect.type === 'closed') {
      shut()
      onClosed?.()
    } else {
      held = effect.type === 'mapped' ? { protocol: effect.protocol, outside: effect.outside } : null
      if (closing === undefined) onChange(effect.type)
    }
  }, clock)
  socket.on('message', (bytes) => driven.input({ type: 'datagram', bytes }))
  socket.on('error', onUnreachable)
  return {
    get held() {
      return held
    },
    take: (bytes) => driven.input({ type: 'datagram', bytes }),
    renew: () => driven.input({ type: 'renew' }),
    close: () => (closing ??= new Promise((resolve) => {
      if (!isOpen) return resolve()
      onClosed = resolve
      driven.input({ type: 'close' })
    })),
    abandon: () => {
      shut()
      onClosed?.()
    },
  }
}

/** Hears routers that announce that they have lost their state. @returns what ends it; nothing is heard where the port is taken */
export function hearAnnouncements(interfaceHosts: readonly string[], onAnnouncement: (from: string, bytes: Uint8Array) => void): () => void {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  let isOpen = true
  const close = (): void => {
    if (isOpen) socket.close()
    isOpen = false
  }
  socket.on('error', close)
  socket.on('message', (bytes, from) => onAnnouncement(from.address, bytes))
  socket.bind(PCP_ANNOUNCE_PORT, () => {
    for (const host of interfaceHosts) {
      try {
        socket.addMembership(PCP_ANNOUNCE_GROUP, host)
      } catch {
        // The group of all hosts is everybody's anyway, on most systems.
      }
    }
  })
  return close
}

/** Connected, so that the system drops what others send. */
function connectedSocket(address: string, gateway: string, port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const family = gateway.includes(':') ? 6 : 4
    const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', lookup: (host, _options, callback) => callback(null, host, family) })
    const fail = (): void => {
      socket.close()
      resolve(null)
    }
    socket.once('error', fail)
    socket.bind({ port: 0, address, exclusive: true }, () => {
      socket.connect(port, gateway, () => {
        socket.off('error', fail)
        // There must be a listener from here on, and whoever opens the socket adds theirs a turn later.
        socket.on('error', () => {})
        resolve(socket)
      })
    })
  })
}
