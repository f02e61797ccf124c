/** Answers the control methods about comparing with a source: which comparisons there are, and what each is about. */
import { randomUUID } from 'node:crypto'
import { isAbsolute, join } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'
import type { VerifyApi, VerifyRequest } from '@harddrive-party/protocol/control'
import type { NetworkApi } from '../network/network-api.ts'
import type { PeerBook, SettingsStore, Transfers } from './services.ts'
import { type Verification, type VerificationPlan, startVerification } from './verification.ts'

export interface VerifyDeps {
  readonly network: Pick<NetworkApi, 'list' | 'compareFile'>
  readonly book: Pick<PeerBook, 'info'>
  readonly transfers: Pick<Transfers, 'infos' | 'renamed'>
  readonly settings: Pick<SettingsStore, 'current'>
}

/** At work at once; each reads a disk as fast as it can. */
const MAX_RUNNING = 4
/** Remembered after their end; the oldest goes first. */
const MAX_KEPT = 20

export interface Verifications extends VerifyApi {
  /** Stops all. */
  close(): void
}

export function createVerifications({ network, book, transfers, settings }: VerifyDeps): Verifications {
  const running = new Set<string>()
  const kept = new Map<string, Verification>()

  function known(verifyId: string): Verification {
    const verification = kept.get(verifyId)
    if (verification === undefined) throw new CodedError('not-found', 'there is no such comparison')
    return verification
  }

  async function planOf(request: VerifyRequest): Promise<Omit<VerificationPlan, 'verifyId'>> {
    const { quick = false } = request
    if ('transferId' in request) {
      const transfer = transfers.infos().find(({ transferId }) => transferId === request.transferId)
      if (transfer === undefined) throw new CodedError('not-found', 'there is no such transfer')
      if (transfer.target === null) throw new CodedError('conflict', 'it is not known yet where this transfer will be', { detail: { code: 'no-target-yet', values: {} } })
      return { peerId: transfer.peerId, path: transfer.path, local: transfer.target, quick, renamed: await transfers.renamed(transfer.transferId) }
    }
    const { peerId, path, local } = request
    if (book.info(peerId) === undefined) throw new CodedError('not-found', 'there is no such peer')
    if (local !== undefined && !isAbsolute(local)) throw new CodedError('bad-request', 'local: must be absolute', { detail: { code: 'not-absolute', values: {} } })
    // As a download of it would be; the last one tells where it really went.
    const last = transfers.infos().findLast((transfer) => transfer.peerId === peerId && transfer.path === path && transfer.target !== null)
    if (local === undefined && last !== undefined) return planOf({ transferId: last.transferId, quick })
    const usual = join(settings.current().downloadDirectory, path.slice(path.lastIndexOf('/') + 1))
    return { peerId, path, local: local ?? usual, quick, renamed: new Map() }
  }

  return {
    startVerify: async (request) => {
      const plan = await planOf(request)
      if (running.size >= MAX_RUNNING) throw new CodedError('busy', `${MAX_RUNNING} comparisons are under way, which is the most; wait for one or stop it`, { detail: { code: 'too-many-checks', values: { max: MAX_RUNNING } } })
      const verifyId = randomUUID()
      const verification = startVerification({ ...plan, verifyId }, network)
      running.add(verifyId)
      kept.set(verifyId, verification)
      void verification.ended.then(() => {
        running.delete(verifyId)
        for (const id of kept.keys()) {
          if (kept.size <= MAX_KEPT) break
          if (!running.has(id)) kept.delete(id)
        }
      })
      return { verifyId }
    },
    verifyReport: async ({ verifyId, cursor = 0 }) => known(verifyId).report(cursor),
    cancelVerify: async ({ verifyId }) => known(verifyId).cancel(),
    close: () => {
      for (const verification of kept.values()) verification.cancel()
    },
  }
}
