/** A UDP relay on loopback, for tests: a NAT in front of one socket, whose mapping can be changed or cut, and whose packets can be looked at. */
import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '@harddrive-party/protocol'

export interface UdpRelay {
  /** Where clients send to. */
  readonly endpoint: Endpoint
  /** From now on the target sees the client at another port. */
  rebind(): Promise<void>
  /** Nothing passes any more. */
  cut(): void
  /** Sees every packet on its way to the target; false = lost. */
  onForward: ((packet: Buffer) => boolean) | null
  /** The same for the way back. */
  onReturn: ((packet: Buffer) => boolean) | null
  close(): Promise<void>
}

export async function openUdpRelay(target: Endpoint): Promise<UdpRelay> {
  const front = await bound()
  let back = await bound()
  let client: Endpoint | null = null
  let open = true

  const serve = (socket: Socket): void => {
    socket.on('message', (packet) => {
      if (open && client !== null && relay.onReturn?.(packet) !== false) front.send(packet, client.port, client.host)
    })
  }
  const relay: UdpRelay = {
    endpoint: { host: '127.0.0.1', port: front.address().port },
    onForward: null,
    onReturn: null,
    async rebind() {
      const old = back
      back = await bound()
      serve(back)
      await close(old)
    },
    cut() {
      open = false
    },
    async close() {
      open = false
      await Promise.all([close(front), close(back)])
    },
  }
  serve(back)
  front.on('message', (packet, from) => {
    client = { host: from.address, port: from.port }
    if (open && relay.onForward?.(packet) !== false) back.send(packet, target.port, target.host)
  })
  return relay
}

function bound(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    socket.once('error', reject)
    socket.bind({ port: 0, address: '127.0.0.1' }, () => {
      socket.setRecvBufferSize(4 * 1024 * 1024)
      resolve(socket)
    })
  })
}

function close(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(resolve))
}
