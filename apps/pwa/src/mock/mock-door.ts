import { CodedError } from '@harddrive-party/protocol'
import { follow } from '../control.ts'
import type { OpenSession } from '../state/link.ts'
import { type Memory, memoryInRam } from '../state/memory.ts'
import type { HelperDoor } from '../state/setup-store.ts'
import { openMockControl } from './mock-control.ts'
import { MY_ID, isMockScenario, makeWorld } from './mock-scenarios.ts'

/** Puts the mock where the helper would be, with a memory that lasts as long as the tab. */
export function openMockDoor(name: string): { memory: Memory; door: HelperDoor } {
  const scenario = isMockScenario(name) ? name : 'default'
  const memory = memoryInRam()
  if (scenario !== 'unpaired') void memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
  if (scenario === 'down') {
    const world = makeWorld('default')
    void memory.putPeers(world.peers.map(({ info }) => info))
  }
  const open: OpenSession = async (listener) => {
    if (scenario === 'down') throw new CodedError('unreachable', 'no helper answers at this address')
    const mock = openMockControl(scenario === 'unpaired' ? 'empty' : scenario)
    return follow(mock, listener, new Promise(() => undefined))
  }
  return { memory, door: { pair: async () => MY_ID, sessions: () => open } }
}
