import { randomBytes } from 'node:crypto'
import { certificateFromSeed } from '../src/adapters/certificate.ts'
import { openQuicTransport } from '../src/adapters/quic/quic-transport.ts'
import { Arrivals, type ContractPair, type ContractSide, transportContract } from './transport-contract.ts'
import { openUdpRelay, type UdpRelay } from './udp-relay.ts'

async function openPair(): Promise<ContractPair> {
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

async function openSide(): Promise<ContractSide & { readonly relay: UdpRelay }> {
  const seed = randomBytes(32)
  const arrivals = new Arrivals()
  const knockSecrets = { code: randomBytes(16), known: randomBytes(16) }
  const { onConnection } = arrivals
  const transport = await openQuicTransport({ seed, udpPort: 0, loopbackOnly: true, knockSecrets, onConnection, log: () => {} })
  const relay = await openUdpRelay({ host: '127.0.0.1', port: transport.ports.v4! })
  return { transport, peerId: certificateFromSeed(seed).peerId, knockSecrets, endpoint: relay.endpoint, arrivals, relay }
}

transportContract('QUIC', openPair)
