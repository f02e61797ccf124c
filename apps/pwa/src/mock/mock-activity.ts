import { type ActivityApi, type ActivityEntry, type ControlChange, type TransferInfo } from '@harddrive-party/protocol/control'

/** A log that notes finished downloads only; enough to look at the page, and what the contract asks for. */
export function mockActivity(emit: (change: ControlChange) => void): { readonly api: ActivityApi; hear(change: ControlChange): void } {
  let entries: ActivityEntry[] = []
  let lastId = 0
  const noted = new Set<string>()
  const note = ({ peerId, peerName, transferId, path, bytes, files }: TransferInfo) => {
    lastId += 1
    const entry: ActivityEntry = { id: lastId, at: Date.now(), type: 'download-done', peerId, peerName, transferId, path, bytes, failed: files.failed }
    entries = [entry, ...entries]
    emit({ type: 'activity', entry })
  }
  return {
    hear: (change) => {
      if (change.type !== 'transfer' || change.transfer.state !== 'done' || noted.has(change.transfer.transferId)) return
      noted.add(change.transfer.transferId)
      note(change.transfer)
    },
    api: {
      activity: async ({ before = Number.POSITIVE_INFINITY, limit }) => ({ entries: entries.filter(({ id }) => id < before).slice(0, limit) }),
      clearActivity: async () => {
        entries = []
        emit({ type: 'activity-cleared' })
      },
    },
  }
}
