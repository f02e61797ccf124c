import { CodedError } from '@harddrive-party/protocol'
import { MAX_STAGED_PIECE } from '@harddrive-party/protocol/control'
import { describe, expect, it, vi } from 'vitest'
import { createStagedUpload } from '../src/features/offers/staged-upload.ts'

/** A helper's staging: what was put where, and what goes wrong next. */
function openDouble() {
  const there = new Map<string, number>()
  const folders: string[] = []
  const asked: string[] = []
  const failures: ((path: string) => unknown)[] = []
  const api = {
    openStaging: vi.fn(async () => ({ stagingId: 's1', url: '/staging/s1', maxBytes: 1e9 })),
    closeStaging: vi.fn(async () => undefined),
  }
  const put = async (url: string, body: Blob, signal: AbortSignal) => {
    if (signal.aborted) throw new DOMException('stopped', 'AbortError')
    const query = new URL(url, 'http://helper').searchParams
    const path = query.get('path') ?? ''
    asked.push(`${path} ${query.get('offset') ?? 'folder'} +${body.size}`)
    const failure = failures.shift()
    if (failure !== undefined) {
      const answer = failure(path)
      return { ok: false, json: async () => answer }
    }
    if (query.get('folder') === '1') {
      folders.push(path)
      return { ok: true, json: async () => ({ bytes: 0 }) }
    }
    const before = there.get(path) ?? 0
    if (Number(query.get('offset')) === before) there.set(path, before + body.size)
    return { ok: true, json: async () => ({ bytes: there.get(path) }) }
  }
  return { api, put, there, folders, asked, failures }
}

const file = (path: string, size: number) => ({ path, file: new File([new Uint8Array(size)], path) })
const run = (upload: ReturnType<typeof createStagedUpload>, signal = new AbortController().signal) => {
  const told: number[] = []
  return { told, done: upload.run({ signal, onProgress: (bytes) => told.push(bytes) }) }
}

describe('bringing files to the helper', () => {
  it('puts them one after the other, in pieces, with folders that have nothing in them', async () => {
    const helper = openDouble()
    const { told, done } = run(createStagedUpload(helper.api, [file('big', MAX_STAGED_PIECE + 5), { path: 'Trip/later', file: null }, file('empty', 0), file('Grüße & Co.txt', 3)], helper.put))
    expect(await done).toBe('s1')
    expect(helper.asked).toEqual([`big 0 +${MAX_STAGED_PIECE}`, `big ${MAX_STAGED_PIECE} +5`, 'Trip/later folder +0', 'empty 0 +0', 'Grüße & Co.txt 0 +3'])
    expect(told).toEqual([MAX_STAGED_PIECE, MAX_STAGED_PIECE + 5, MAX_STAGED_PIECE + 5, MAX_STAGED_PIECE + 8])
    expect(helper.folders).toEqual(['Trip/later'])
    expect(helper.api.openStaging).toHaveBeenCalledTimes(1)
  })

  it('goes on where it was cut off, in the same place', async () => {
    const helper = openDouble()
    const cut = new TypeError('network')
    let calls = 0
    const upload = createStagedUpload(helper.api, [file('a', 4), file('b', MAX_STAGED_PIECE + 1)], async (...args) => {
      if (++calls === 3) throw cut
      return helper.put(...args)
    })
    await expect(run(upload).done).rejects.toMatchObject({ code: 'connection-lost', cause: cut })
    helper.asked.length = 0
    expect(await run(upload).done).toBe('s1')
    expect(helper.asked).toEqual([`b ${MAX_STAGED_PIECE} +1`])
    expect(helper.api.openStaging).toHaveBeenCalledTimes(1)
  })

  it('goes on from what the helper has, where an answer was lost', async () => {
    const helper = openDouble()
    helper.there.set('a', 3)
    await run(createStagedUpload(helper.api, [file('a', 5)], helper.put)).done
    expect(helper.asked).toEqual(['a 0 +5', 'a 3 +2'])
  })

  it('says why the helper does not take a file, and fails where another one has its name', async () => {
    const helper = openDouble()
    helper.failures.push(() => ({ error: { code: 'disk-full', message: 'no room' } }), () => ({ error: { code: 'made up' } }), () => ({}))
    const upload = createStagedUpload(helper.api, [file('a', 2)], helper.put)
    await expect(run(upload).done).rejects.toMatchObject({ code: 'disk-full', message: 'no room' })
    await expect(run(upload).done).rejects.toMatchObject({ code: 'internal' })
    await expect(run(upload).done).rejects.toMatchObject({ code: 'internal' })
    helper.there.set('a', 9)
    await expect(run(upload).done).rejects.toMatchObject({ code: 'conflict' })
  })

  it('stops when told, and drops what nobody wants', async () => {
    const helper = openDouble()
    const stop = new AbortController()
    const upload = createStagedUpload(helper.api, [file('a', 2), file('b', 2)], async (...args) => {
      stop.abort()
      return helper.put(...args)
    })
    await expect(run(upload, stop.signal).done).rejects.toSatisfy((error) => error instanceof CodedError && error.code === 'aborted')
    await upload.drop()
    expect(helper.api.closeStaging).toHaveBeenCalledWith({ stagingId: 's1' })
    const never = createStagedUpload(helper.api, [], helper.put)
    await never.drop()
    expect(helper.api.closeStaging).toHaveBeenCalledTimes(1)
  })
})
