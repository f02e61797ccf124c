import type { TransferInfo } from '@harddrive-party/protocol/control'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type FileJobs, openFileJobs } from '../../src/adapters/transfers/file-jobs.ts'
import { openStore } from '../../src/adapters/system/store.ts'
import { openTransfers } from '../../src/adapters/transfers/transfers.ts'
import type { Transfers } from '../../src/control/services.ts'
import type { NetworkApi, NetworkEvent } from '../../src/network/network-api.ts'
import { type FakePeer, temporaryDirectory } from './transfer-fakes.ts'

/** Both halves, joined as the two processes join them, with peers in memory. */
export class World {
  readonly directory: string
  readonly peers: FakePeer[]
  transfers!: Transfers
  readonly started: string[] = []
  infos = new Map<string, TransferInfo>()
  removed: string[] = []
  /** How often a UI was told something. */
  changes = 0
  /** While set, the control process hears nothing any more: the targets it was not told of. */
  lost: string[] | undefined
  #jobs!: FileJobs
  #store!: ReturnType<typeof openStore>
  #watchers = new Set<() => void>()

  constructor(directory: string, peers: FakePeer[]) {
    this.directory = directory
    this.peers = peers
  }

  get downloads(): string {
    return join(this.directory, 'downloads')
  }

  #peer(peerId: string): FakePeer | undefined {
    return this.peers.find((peer) => peer.peerId === peerId)
  }

  openNetwork(): void {
    let transfers: Transfers | undefined
    const onEvent = (event: NetworkEvent) => {
      if (this.lost === undefined) return (transfers ?? this.transfers).onNetworkEvent(event)
      if (event.type === 'file-done') this.lost.push(event.target)
      for (const watcher of this.#watchers) watcher()
    }
    this.#jobs = openFileJobs({
      connection: (peerId) => (this.#peer(peerId)?.connected === true ? this.#peer(peerId)?.connection : undefined),
      onEvent, downloadDirectory: this.downloads,
      read: (connection, ...rest) => this.#peer(connection.peerId)!.read(connection, ...rest),
      readHashes: (connection, ...rest) => this.#peer(connection.peerId)!.readHashes(connection, ...rest),
      readBundle: (connection, ...rest) => this.#peer(connection.peerId)!.readBundle(connection, ...rest),
    })
    transfers = this.transfers
  }

  async open(): Promise<this> {
    this.#store = openStore(join(this.directory, 'store'))
    const network: Pick<NetworkApi, 'list' | 'startFiles' | 'stopFile'> = {
      list: async ({ peerId, request }) => this.#peer(peerId)!.list(request),
      startFiles: async ({ jobs }) => {
        this.started.push(...jobs.map(({ path }) => path))
        this.#jobs.start(jobs)
      },
      stopFile: async ({ jobId, discard, partial }) => this.#jobs.stop(jobId, discard, partial),
    }
    this.transfers = await openTransfers({
      store: this.#store, network, downloadDirectory: this.downloads, peerName: () => 'peer',
      onChange: (info) => {
        this.changes++
        this.infos.set(info.transferId, info)
        for (const watcher of this.#watchers) watcher()
      },
      onRemoved: (id) => this.removed.push(id),
    })
    this.openNetwork()
    for (const peer of this.peers) this.tellPeer(peer)
    return this
  }

  tellPeer(peer: FakePeer): void {
    const state = peer.connected ? 'connected' : 'offline'
    this.transfers.onNetworkEvent({ type: 'peer', peer: { peerId: peer.peerId, state, path: null, lastError: null } })
  }

  async closeNetwork(): Promise<void> {
    await this.#jobs.close()
  }

  async close(): Promise<void> {
    await this.transfers.close()
    await this.#jobs.close()
    await this.#store.close()
  }

  async untilLost(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => {
        if ((this.lost?.length ?? 0) < count) return
        this.#watchers.delete(look)
        resolve()
      }
      this.#watchers.add(look)
      look()
    })
  }

  info(id: string): TransferInfo {
    const info = this.transfers.infos().find(({ transferId }) => transferId === id)
    if (info === undefined) throw new Error('no such transfer')
    return info
  }

  async until(id: string, holds: (info: TransferInfo) => boolean): Promise<TransferInfo> {
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!holds(this.info(id))) return
        this.#watchers.delete(look)
        resolve()
      }
      this.#watchers.add(look)
      look()
    })
    return this.info(id)
  }

  ended(id: string): Promise<TransferInfo> {
    return this.until(id, ({ state }) => state === 'done' || state === 'failed' || state === 'cancelled')
  }
}

export async function openWorld(...peers: FakePeer[]): Promise<World> {
  const world = await new World(await temporaryDirectory(), peers).open()
  onTestFinished(() => world.close())
  return world
}
