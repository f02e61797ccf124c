import { randomBytes } from 'node:crypto'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { openTcpTransport, type TcpTransport } from '../../src/adapters/tcp/tcp-transport.ts'
import { openTcpRelay, type TcpRelay } from '../support/tcp-relay.ts'
import { Arrivals, type ContractPair, type ContractSide, transportContract } from '../support/transport-contract.ts'

interface TcpSide extends ContractSide {
  readonly transport: TcpTransport
  readonly relay: TcpRelay
}

interface TcpPair extends ContractPair {
  readonly a: TcpSide
  readonly b: TcpSide
}

async function openPair(): Promise<TcpPair> {
  const [a, b] = [await openSide(), await openSide()]
  return {
    a,
    b,
    part() {
      a.relay.cut()
      b.relay.cut()
    },
    async close() {
      await Promise.all([a.transport.close(), b.transport.close()])
      await Promise.all([a.relay.close(), b.relay.close()])
    },
  }
}

async function openSide(): Promise<TcpSide> {
  const seed = randomBytes(32)
  const arrivals = new Arrivals()
  const knockSecrets = { code: randomBytes(16), known: randomBytes(16) }
  const transport = await openTcpTransport({ seed, port: 0, loopbackOnly: true, knockSecrets, onConnection: arrivals.onConnection, log: () => {} })
  const relay = await openTcpRelay({ host: '127.0.0.1', port: transport.ports.v4! })
  return { transport, peerId: certificateFromSeed(seed).peerId, knockSecrets, endpoint: relay.endpoint, arrivals, relay }
}

transportContract('TCP', openPair)
