// Real helper processes for the benchmarks: started on loopback, connected, told to download, watched.
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { callApi } from '../../../e2e/support/api.ts'
import { makeHelperFolder, startHelper } from '../../../e2e/support/helper-process.ts'
import { writeLibrary } from '../../../e2e/support/library.ts'
import { cpuSeconds, sum, withChildren } from '../../../apps/helper/bench/process-figures.ts'

/** A share with files of these sizes. @returns its directory */
export async function makeLibrary(bench, files) {
  const directory = await bench.temporary('library')
  await writeLibrary(directory, new Map(Object.entries(files)))
  return directory
}

/** A helper that is stopped, and its folder removed, when the family is done. */
export async function openHelper(bench, name, options = {}) {
  const folder = await makeHelperFolder(name)
  bench.onTidy(() => folder.remove())
  const helper = await startHelper(folder, options)
  bench.onTidy(() => helper.stop())
  return helper
}

export async function connect(receiver, sender) {
  await callApi(receiver, 'connect', { code: sender.code })
}

/**
 * Downloads one shared file or folder and removes what came.
 * @returns {Promise<{ seconds: number, cpuSeconds: number | null, controlP99Ms: number }>} of all processes of both helpers
 */
export async function download(receiver, sender, library, path) {
  const pids = [...(await withChildren(sender.pid)), ...(await withChildren(receiver.pid))]
  const before = await sum(pids, cpuSeconds)
  // Its figures are of the time since they were last asked for.
  await callApi(receiver, 'diagnostics')
  const started = performance.now()
  const { transferId } = await callApi(receiver, 'download', { peerId: sender.peerId, path: `${basename(library)}/${path}` })
  const transfer = await untilDone(receiver, transferId)
  const seconds = (performance.now() - started) / 1000
  const { control } = await callApi(receiver, 'diagnostics')
  const after = await sum(pids, cpuSeconds)
  await rm(transfer.target ?? join(receiver.folder.downloads, path), { recursive: true, force: true })
  return { seconds, cpuSeconds: before === null || after === null ? null : after - before, controlP99Ms: control.eventLoopP99Ms }
}

/** Looks often enough that looking adds less than 1 % to a second. */
export async function untilDone(helper, transferId) {
  for (;;) {
    const { transfers } = await callApi(helper, 'snapshot')
    const transfer = transfers.find((candidate) => candidate.transferId === transferId)
    if (transfer?.state === 'done') return transfer
    if (transfer === undefined || transfer.state === 'failed') throw new Error(`the transfer failed: ${JSON.stringify(transfer)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
