import { CodedError } from '@harddrive-party/protocol'
import type { TransferFile, TransferFilesPage } from '@harddrive-party/protocol/control'
import { jobIdOf } from '../../core/transfers/queue-state.ts'
import type { FileFacts } from '../../core/transfers/queue-status.ts'
import { DONE, type Reason, type WishPage, type WishRecord } from '../../core/wishes/wish.ts'

/** Shows the files of one transfer page by page. Reads only what it is handed. */

/** Pages looked at for one answer: many may hold nothing but folders. */
const MAX_PAGES = 20

interface View {
  readonly cursor: string | undefined
  readonly limit: number
  readonly shown: (facts: FileFacts) => Pick<TransferFile, 'state' | 'wait'> & { readonly reason: Reason | null }
}

/** @throws CodedError `bad-request` for a cursor that is not ours */
export function transferFilesPage(record: WishRecord, pageOf: (number: number) => WishPage | undefined, view: View): TransferFilesPage {
  const { limit, shown } = view
  const [firstPage, firstIndex] = parseCursor(view.cursor)
  const files: TransferFile[] = []
  for (let number = Math.max(record.base, firstPage); number < record.pages; number++) {
    const page = pageOf(number)
    if (files.length >= limit || number - firstPage >= MAX_PAGES) return { files, cursor: `${number}.0` }
    for (const [index, { isDirectory, size, local, remote }] of page?.rows.entries() ?? []) {
      if (isDirectory || (number === firstPage && index < firstIndex)) continue
      if (files.length >= limit) return { files, cursor: `${number}.${index}` }
      const jobId = jobIdOf(record.id, { number, index })
      const state = page?.states[index]
      const renamed = page?.names.get(index)
      const planned = local === '' ? record.path.slice(record.path.lastIndexOf('/') + 1) : local
      const { state: shownState, reason, wait } = shown({ place: { number, index }, state, remote, reason: page?.reasons.get(index) ?? null })
      files.push({
        source: remote,
        path: renamed === undefined ? planned : planned.slice(0, planned.lastIndexOf('/') + 1) + renamed,
        size,
        bytes: state === DONE ? size : (record.begun[jobId] ?? 0),
        state: shownState,
        reason: reason ?? null,
        wait,
      })
    }
  }
  return { files }
}

function parseCursor(cursor: string | undefined): [number, number] {
  if (cursor === undefined) return [0, 0]
  const found = /^(\d{1,9})\.(\d{1,9})$/.exec(cursor)
  if (found === null) throw new CodedError('bad-request', 'this is no cursor of ours')
  return [Number(found[1]), Number(found[2])]
}
