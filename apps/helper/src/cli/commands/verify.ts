/** Compares what is on this machine with its source and says what differs. Fetches nothing. */
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { VerifyReport } from '@harddrive-party/protocol/control'
import { findingWords } from '../advice-words.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { splitPeerPath } from '../peer-reference.ts'
import { openProgressBar } from '../progress-bar.ts'
import { sharePath } from '../share-path-argument.ts'
import { escapeName, formatBytes } from '../text-format.ts'

const LOOK_MS = 200

/** @param local a path of this machine, relative to where the command is run; absent = where a download of it would be */
export async function verify(session: HelperSession, target: string, local: string | undefined, { quick }: { readonly quick: boolean }): Promise<void> {
  const { api, output } = session
  const { peer: peerText, path: pathText } = splitPeerPath(target)
  if (pathText === '') throw new CommandError(EXIT.usage, 'usage', 'name a file or folder: PEER/PATH')
  const { peerId } = await peerCalled(session, peerText)
  const { verifyId } = await api.startVerify({ peerId, path: sharePath(pathText), ...(local === undefined ? {} : { local: resolve(local) }), ...(quick ? { quick } : {}) })
  const report = await watch(session, verifyId)
  const { state, reason, counts } = report
  if (output.json) {
    const { local: compared, files, bytes } = report
    await output.line(JSON.stringify({ state, local: compared, files: files.total, bytes: bytes.total, ...counts, ...(reason === null ? {} : { reason: `${reason.code}: ${reason.message}` }) }))
  }
  if (state !== 'done') throw new CommandError(EXIT.transferFailed, reason?.code ?? 'aborted', reason?.message ?? 'the comparison was stopped')
  if (!output.json) await output.line(summary(report, quick))
  if (counts.different + counts.missing + counts.extra + counts.unreadable > 0) throw new CommandError(EXIT.failed, 'conflict', 'it is not the same as at the source')
}

/** Prints what is found as it is found. @returns the last report */
async function watch({ api, output }: HelperSession, verifyId: string): Promise<VerifyReport> {
  const bar = output.showsProgress ? openProgressBar() : undefined
  const began = performance.now()
  let shown = 0
  try {
    for (;;) {
      const report = await api.verifyReport({ verifyId, cursor: shown })
      const { bytes, files, state, findings } = report
      for (const { kind, path, detail } of findings) {
        await output.line(output.json ? JSON.stringify({ kind, path, detail }) : `${kind.padEnd(10)}  ${escapeName(path === '' ? report.local : path)}  (${escapeName(findingWords(detail))})`)
      }
      shown += findings.length
      const note = `${files.done} of ${files.total} files${state === 'listing' ? ' so far' : ''}`
      bar?.update({ bytes: bytes.done, total: bytes.total, bytesPerSecond: bytes.done / Math.max(0.001, (performance.now() - began) / 1000), note })
      if (report.cursor !== null) continue
      if (state !== 'listing' && state !== 'comparing') return report
      await sleep(LOOK_MS)
    }
  } finally {
    bar?.close()
  }
}

function summary({ counts, bytes, local }: VerifyReport, quick: boolean): string {
  const { same, different, missing, extra, unreadable } = counts
  const differences = Object.entries({ different, missing, extra, unreadable }).filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`)
  const what = quick ? 'by size and time' : `${formatBytes(bytes.total)} by their hashes`
  return `${same} the same${differences.length === 0 ? '' : `, ${differences.join(', ')}`}, ${what}, in ${escapeName(local)}`
}
