import { CodedError } from '@harddrive-party/protocol'
import type { TransferInfo, VerifyApi, VerifyReport } from '@harddrive-party/protocol/control'

/** Comparisons in memory: each look at one is a step further, and one file in a hundred differs. */
export function openMockVerify(transferOf: (transferId: string) => TransferInfo | undefined): VerifyApi {
  const reports = new Map<string, VerifyReport>()
  const known = (verifyId: string): VerifyReport => {
    const report = reports.get(verifyId)
    if (report === undefined) throw new CodedError('not-found', 'there is no such comparison')
    return report
  }
  return {
    startVerify: async (request) => {
      const transfer = 'transferId' in request ? transferOf(request.transferId) : undefined
      if ('transferId' in request && transfer === undefined) throw new CodedError('not-found', 'there is no such transfer')
      const { peerId, path } = transfer ?? (request as Exclude<typeof request, { transferId: string }>)
      const verifyId = crypto.randomUUID()
      reports.set(verifyId, {
        verifyId, state: 'comparing', reason: null, peerId, path, local: transfer?.target ?? `/home/me/Downloads/${path.slice(path.lastIndexOf('/') + 1)}`,
        files: { done: 0, total: transfer?.files.total ?? 1 }, bytes: { done: 0, total: transfer?.total ?? 1_000_000 },
        counts: { same: 0, different: 0, missing: 0, extra: 0, unreadable: 0 }, findings: [], cursor: null,
      })
      return { verifyId }
    },
    verifyReport: async ({ verifyId, cursor = 0 }) => {
      const report = step(known(verifyId))
      reports.set(verifyId, report)
      return { ...report, findings: report.findings.slice(cursor) }
    },
    cancelVerify: async ({ verifyId }) => {
      const report = known(verifyId)
      if (report.state === 'comparing') reports.set(verifyId, { ...report, state: 'cancelled' })
    },
  }
}

function step(report: VerifyReport): VerifyReport {
  if (report.state !== 'comparing') return report
  const done = Math.min(report.files.total, report.files.done + Math.max(1, Math.ceil(report.files.total / 4)))
  const isDone = done === report.files.total
  const different = isDone && report.files.total >= 100 ? 1 : 0
  return {
    ...report,
    state: isDone ? 'done' : 'comparing',
    files: { ...report.files, done },
    bytes: { ...report.bytes, done: Math.round((report.bytes.total * done) / Math.max(1, report.files.total)) },
    counts: { ...report.counts, same: done - different, different },
    findings: different === 0 ? [] : [{ kind: 'different', path: 'cover.jpg', detail: { code: 'content', values: { from: 0 } } }],
  }
}
