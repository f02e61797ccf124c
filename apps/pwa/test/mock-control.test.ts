import type { SharePath } from '@harddrive-party/protocol'
import { controlContract } from '@harddrive-party/protocol/control/contract'
import { openMockControl } from '../src/mock/mock-control.ts'

controlContract('mock', async () => {
  const mock = openMockControl('default')
  const { peers } = await mock.api.snapshot()
  const peerId = peers.find((peer) => peer.state === 'connected')!.peerId
  return {
    api: mock.api, onEvent: mock.onEvent, peerId,
    directory: 'Music/Lena Okafor/Harbour Lights (2019)' as SharePath,
    file: 'Music/Lena Okafor/Harbour Lights (2019)/cover.jpg' as SharePath,
    endlessFile: 'Films/Super 8 transfers/1974 Summer at the lake.mkv' as SharePath,
    shareDirectory: '/home/robin/Videos', missingDirectory: '/nowhere',
    close: mock.close,
  }
})
