/** Keeps what the network process says about this helper itself (ports, addresses, NAT, uploads) and the space left for downloads. */
import { statfs } from 'node:fs/promises'
import type { NatKind, PeerId } from '@harddrive-party/protocol'
import type { ControlChange, StatusInfo, UploadInfo, UploadPeerInfo } from '@harddrive-party/protocol/control'
import type { UploadPeerStatus, UploadStatus } from '../network/network-api.ts'
import type { StatusBook } from './services.ts'

export interface StatusBookOptions {
  readonly version: string
  readonly peerId: PeerId
  readonly name: string
  readonly startedAt: number
  readonly downloadDirectory: () => string
  readonly nameOf: (peerId: PeerId) => string
  readonly onChange: (change: ControlChange) => void
}

/** Space changes while others write too; asking is cheap. */
const SPACE_INTERVAL_MS = 10_000
/** A smaller change is not worth an event. */
const SPACE_STEP_BYTES = 16 * 1024 * 1024

export function createStatusBook(options: StatusBookOptions): StatusBook {
  const { onChange } = options
  let udp: StatusInfo['udp'] = { v4: null, v6: null }
  let addresses: readonly string[] = []
  let natKind: NatKind = 'unknown'
  let network: StatusInfo['network'] = 'restarting'
  let freeBytes: number | null = null
  let uploads: readonly UploadStatus[] = []
  let uploadPeers: readonly UploadPeerStatus[] = []

  const info = (): StatusInfo => ({
    version: options.version,
    peerId: options.peerId,
    name: options.name,
    natKind,
    udp,
    addresses,
    network,
    downloadDirectory: options.downloadDirectory(),
    freeBytes,
    startedAt: options.startedAt,
  })
  const named = (): UploadInfo[] => uploads.map((upload) => ({ ...upload, peerName: options.nameOf(upload.peerId) }))
  const namedPeers = (): UploadPeerInfo[] => uploadPeers.map((peer) => ({ ...peer, peerName: options.nameOf(peer.peerId) }))
  const tell = () => onChange({ type: 'status', status: info() })
  const measure = async () => {
    const found = await readFreeBytes(options.downloadDirectory())
    const changed = freeBytes === null || found === null ? found !== freeBytes : Math.abs(found - freeBytes) >= SPACE_STEP_BYTES
    if (!changed) return
    freeBytes = found
    tell()
  }
  void measure()
  const timer = setInterval(() => void measure(), SPACE_INTERVAL_MS)
  timer.unref()

  return {
    info,
    uploads: named,
    uploadPeers: namedPeers,
    onNetworkEvent: (event) => {
      switch (event.type) {
        case 'ready':
          udp = event.udp
          network = 'ready'
          return tell()
        case 'no-transport':
          network = 'unavailable'
          return tell()
        case 'addresses':
          addresses = event.addresses
          natKind = event.natKind
          return tell()
        case 'uploads':
          uploads = event.uploads
          return onChange({ type: 'uploads', uploads: named() })
        case 'upload-peers':
          uploadPeers = event.peers
          return onChange({ type: 'upload-peers', uploadPeers: namedPeers() })
      }
    },
    onNetworkDown: () => {
      network = 'restarting'
      tell()
    },
    close: () => clearInterval(timer),
  }
}

/** @returns bytes that this user may still write there, or null when the directory cannot be asked */
async function readFreeBytes(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize
  } catch {
    return null
  }
}
