/** Stands between a TCP port and whoever dials it: passes bytes on, counts them, and can fall silent or break as a cable does. */
import { connect, createServer, type Socket } from 'node:net'
import type { Endpoint } from '@harddrive-party/protocol'

export interface TcpRelay {
  readonly endpoint: Endpoint
  /** Bytes passed on in both directions. */
  readonly bytes: number
  readonly connections: number
  /** From now on nothing gets through, and nobody is told. */
  cut(): void
  /** Breaks the connections that there are; new ones are refused from then on. */
  break(): void
  close(): Promise<void>
}

export async function openTcpRelay(target: Endpoint): Promise<TcpRelay> {
  const sockets = new Set<Socket>()
  let bytes = 0
  let connections = 0
  let isCut = false
  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer({ allowHalfOpen: true }, (near) => {
    connections++
    const far = connect({ ...target, allowHalfOpen: true })
    for (const [from, to] of [[near, far], [far, near]] as const) {
      keep(from)
      from.on('data', (piece) => {
        if (isCut) return
        bytes += piece.length
        if (!to.write(piece)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
      from.on('end', () => {
        if (!isCut) to.end()
      })
      from.on('close', () => {
        if (!isCut) to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a relay without a port')
  return {
    endpoint: { host: '127.0.0.1', port: address.port },
    get bytes() {
      return bytes
    },
    get connections() {
      return connections
    },
    cut: () => {
      isCut = true
    },
    break: () => {
      server.close()
      for (const socket of sockets) socket.resetAndDestroy()
    },
    close: () => new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    }),
  }
}
