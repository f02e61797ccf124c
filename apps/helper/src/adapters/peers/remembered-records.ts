import { decodePeerRecord, recordAge } from '@harddrive-party/protocol'
import type { PeerId, PeerRecord, SignedPeerRecord } from '@harddrive-party/protocol'
import type { KnownPeer } from '../../network/network-api.ts'
import { verifyEd25519 } from '../identity/ed25519.ts'

/** What control is to remember of a record. */
export function rememberedRecord({ record, bytes }: SignedPeerRecord): { readonly peerId: PeerId; readonly record: string; readonly knockSecret: string } {
  return { peerId: record.peerId, record: Buffer.from(bytes).toString('hex'), knockSecret: Buffer.from(record.knockSecret).toString('hex') }
}

/** Reads the records that control remembers of known peers, each text once: policies come often, and verifying costs time. */
export class RememberedRecords {
  readonly #read = new Map<PeerId, { readonly text: string; readonly record: PeerRecord | null }>()

  /** @param unixMs wall-clock time @returns null when there is none, or it is not good any more */
  read({ peerId, record: text }: Pick<KnownPeer, 'peerId' | 'record'>, unixMs = Date.now()): PeerRecord | null {
    if (text === undefined || text === null) return null
    let read = this.#read.get(peerId)
    if (read?.text !== text) {
      const signed = decodePeerRecord(Buffer.from(text, 'hex'), verifyEd25519)
      read = { text, record: signed.ok && signed.value.record.peerId === peerId ? signed.value.record : null }
      this.#read.set(peerId, read)
    }
    return read.record && recordAge(read.record, unixMs) === 'current' ? read.record : null
  }
}
