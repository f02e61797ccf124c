import { CodedError } from '@harddrive-party/protocol'
import type { TransferFile, TransferFilesPage, TransferState } from '@harddrive-party/protocol/control'
import { jobIdOf } from '../core/queue-state.ts'
import { DONE, FAILED, type WishPage, type WishRecord, hasEnded } from '../core/wish.ts'

/** Shows the files of one transfer page by page. Reads only what it is handed. */

/** Pages looked at for one answer: many may hold nothing but folders. */
const MAX_PAGES = 20

interface View {
  readonly cursor: string | undefined
  readonly limit: number
  readonly isRunning: (jobId: string) => boolean
}

/** @throws CodedError `bad-request` for a cursor that is not ours */
export function transferFilesPage(record: WishRecord, pageOf: (number: number) => WishPage | undefined, view: View): TransferFilesPage {
  const { limit, isRunning } = view
  const [firstPage, firstIndex] = parseCursor(view.cursor)
  const files: TransferFile[] = []
  for (let number = firstPage; number < record.pages; number++) {
    const page = pageOf(number)
    if (files.length >= limit || number - firstPage >= MAX_PAGES) return { files, cursor: `${number}.0` }
    for (const [index, { isDirectory, size, local }] of page?.rows.entries() ?? []) {
      if (isDirectory || (number === firstPage && index < firstIndex)) continue
      if (files.length >= limit) return { files, cursor: `${number}.${index}` }
      const jobId = jobIdOf(record.id, { number, index })
      const state = page?.states[index]
      const renamed = page?.names.get(index)
      const planned = local === '' ? record.path.slice(record.path.lastIndexOf('/') + 1) : local
      files.push({
        path: renamed === undefined ? planned : planned.slice(0, planned.lastIndexOf('/') + 1) + renamed,
        size,
        bytes: state === DONE ? size : (record.begun[jobId] ?? 0),
        state: stateOf(record, state, isRunning(jobId)),
        reason: page?.reasons.get(index)?.message ?? null,
      })
    }
  }
  return { files }
}

function stateOf(record: WishRecord, state: number | undefined, isRunning: boolean): TransferState {
  if (state === DONE) return 'done'
  if (state === FAILED) return 'failed'
  if (isRunning) return 'running'
  return hasEnded(record.phase) ? 'cancelled' : 'queued'
}

function parseCursor(cursor: string | undefined): [number, number] {
  if (cursor === undefined) return [0, 0]
  const found = /^(\d{1,9})\.(\d{1,9})$/.exec(cursor)
  if (found === null) throw new CodedError('bad-request', 'this is no cursor of ours')
  return [Number(found[1]), Number(found[2])]
}
