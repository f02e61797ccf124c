import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HelperProcess } from './helper-process.ts'

/** The JSON API for scripts, as docs/API.md describes it: for what a test has to know but no person would look at. */
export async function callApi<T>(helper: HelperProcess, method: string, args?: object): Promise<T> {
  const token = (await readFile(join(helper.folder.storage, 'api-token'), 'utf8')).trim()
  const response = await fetch(new URL(`/api/${method}`, helper.ui), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    // A method without arguments has no body.
    ...(args === undefined ? {} : { body: JSON.stringify(args) }),
  })
  const body = (await response.json().catch(() => undefined)) as { result: T } | undefined
  if (!response.ok) throw new Error(`${method}: ${response.status} ${JSON.stringify(body)}`)
  return (body as { result: T }).result
}

export interface TransferFacts {
  readonly transferId: string
  readonly path: string
  readonly state: string
  readonly bytes: number
  readonly total: number | null
  readonly reason: { readonly code: string; readonly message: string } | null
  readonly files: { readonly done: number; readonly failed: number; readonly total: number | null }
  readonly notices: readonly object[]
  readonly target: string | null
}

export async function transfersOf(helper: HelperProcess): Promise<readonly TransferFacts[]> {
  return (await callApi<{ transfers: TransferFacts[] }>(helper, 'snapshot')).transfers
}
