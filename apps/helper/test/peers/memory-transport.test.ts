import { randomBytes } from 'node:crypto'
import { peerIdFromKey } from '@harddrive-party/protocol'
import { MemoryNetwork } from '../support/memory-transport.ts'
import type { MemoryHost } from '../support/memory-transport.ts'
import { Arrivals, transportContract } from '../support/transport-contract.ts'
import type { ContractSide } from '../support/transport-contract.ts'

transportContract('the memory transport', async () => {
  const network = new MemoryNetwork()
  const [a, b] = [openSide(network, 1), openSide(network, 2)]
  return {
    a,
    b,
    part: () => network.cut(a.peerId, b.peerId),
    close: async () => {
      await a.transport.close()
      await b.transport.close()
    },
  }
})

function openSide(network: MemoryNetwork, number: number): ContractSide {
  const arrivals = new Arrivals()
  const knockSecrets = { code: randomBytes(16), known: randomBytes(16) }
  const host: MemoryHost = {
    peerId: peerIdFromKey(randomBytes(32)),
    endpoint: { host: `10.0.0.${number}`, port: 4433 },
    secrets: () => ({ code: knockSecrets.code.toString('hex'), known: knockSecrets.known.toString('hex') }),
    events: arrivals,
  }
  return { transport: network.open(host), peerId: host.peerId, knockSecrets, endpoint: host.endpoint, arrivals }
}
