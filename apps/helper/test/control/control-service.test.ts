import { join } from 'node:path'
import { controlContract } from '@harddrive-party/protocol/control/contract'
import { DIRECTORY, ENDLESS, FILE, PEER, openControlWorld } from '../support/control-world.ts'

controlContract('the helper behind its door', async () => {
  const world = await openControlWorld()
  await world.addDevice('cli')
  const { api, onEvent } = await world.connect(await world.addDevice())
  return {
    api, onEvent, peerId: PEER, directory: DIRECTORY, file: FILE, endlessFile: ENDLESS,
    shareDirectory: world.shareDirectory, missingDirectory: join(world.base, 'nothing here'), close: world.close,
  }
})
