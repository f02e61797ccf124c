/** Asks STUN servers from many short-lived sockets, one question each, to see how our NAT hands out ports. What the answers mean is decided in core. */
import { type Socket, createSocket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import type { Endpoint } from '@harddrive-party/protocol'
import type { PortSample } from '../../core/punch/nat-kind.ts'
import { STUN_TRANSACTION_ID_BYTES, decodeStunAnswer, encodeBindingRequest } from '../../core/reach/stun-message.ts'

/** Tells counting, block and random NATs apart (measured); a router's table notices nothing. */
export const SAMPLE_SOCKETS = 32
/** A lost packet costs one sample and nothing else, so nothing is sent twice; slow links get this long. */
const SAMPLE_MS = 1_500

export interface SampleOptions {
  readonly servers: readonly Endpoint[]
  /** What sockets are bound to; default: any address. */
  readonly bind?: string
}

/**
 * @returns how each socket was seen, in the order in which they asked: NATs that count show it there. Sockets without an answer are missing.
 * Never rejects; ends early, with what there is, when `signal` aborts.
 */
export async function samplePorts({ servers, bind = '0.0.0.0' }: SampleOptions, { signal }: { signal: AbortSignal }): Promise<PortSample[]> {
  // One server, so that all ports come out of one counter; a second one would only add its own.
  const [server] = servers
  if (server === undefined || signal.aborted) return []
  const sockets = await Promise.all(Array.from({ length: SAMPLE_SOCKETS }, () => openSocket(bind)))
  const open = sockets.filter((socket) => socket !== null)
  const mapped: (Endpoint | null)[] = open.map(() => null)
  await new Promise<void>((resolve) => {
    let left = open.length
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, SAMPLE_MS)
    signal.addEventListener('abort', end, { once: true })
    if (left === 0) return end()
    for (const [i, socket] of open.entries()) {
      const transactionId = randomBytes(STUN_TRANSACTION_ID_BYTES)
      const expected = transactionId.toString('hex')
      socket.on('message', (bytes, from) => {
        const answer = decodeStunAnswer(bytes)
        if (from.address !== server.host || from.port !== server.port || !answer.ok || answer.value.transactionId !== expected || mapped[i] !== null) return
        if (answer.value.outcome.type === 'mapped') mapped[i] = answer.value.outcome.endpoint
        if (--left === 0) end()
      })
      socket.send(encodeBindingRequest(transactionId), server.port, server.host, () => {})
    }
  })
  for (const socket of open) socket.close()
  return mapped.flatMap((endpoint) => (endpoint === null ? [] : [{ mapped: endpoint }]))
}

function openSocket(address: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', lookup: (host, _options, callback) => callback(null, host, 4) })
    const fail = (): void => {
      socket.close()
      resolve(null)
    }
    socket.once('error', fail)
    socket.bind({ port: 0, address, exclusive: true }, () => {
      socket.off('error', fail)
      // "Port unreachable" from a server that is gone.
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}
