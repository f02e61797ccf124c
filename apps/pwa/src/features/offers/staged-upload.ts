import { CodedError, decodeDetail, isErrorCode } from '@harddrive-party/protocol'
import { type ControlApi, MAX_STAGED_PIECE } from '@harddrive-party/protocol/control'
import type { HandedFile } from './handed-files.ts'

/** Brings files of the browser to the helper, piece by piece; goes on where it was cut off. */
export interface StagedUpload {
  /** @returns the staging, whole @throws CodedError what the helper says; `connection-lost`, `aborted`. May be called again then. */
  run(options: { signal: AbortSignal; onProgress: (bytes: number) => void }): Promise<string>
  /** Nothing of it is wanted any more. */
  drop(): Promise<void>
}

type Put = (url: string, body: Blob, signal: AbortSignal) => Promise<{ readonly ok: boolean; json(): Promise<unknown> }>

const putByFetch: Put = (url, body, signal) => fetch(url, { method: 'PUT', body, signal, headers: { 'Content-Type': 'application/octet-stream' } })

export function createStagedUpload(api: Pick<ControlApi, 'openStaging' | 'closeStaging'>, files: readonly HandedFile[], put: Put = putByFetch): StagedUpload {
  let staging: { stagingId: string; url: string } | undefined
  let done = 0
  const offsets = files.map(() => 0)

  return {
    run: async ({ signal, onProgress }) => {
      const { stagingId, url } = (staging ??= await api.openStaging())
      for (; done < files.length; done++) {
        const { path, file } = files[done]!
        if (file === null) {
          if (signal.aborted) throw new CodedError('aborted', 'stopped')
          await send(put, `${url}?path=${encodeURIComponent(path)}&folder=1`, new Blob(), signal)
          continue
        }
        do {
          if (signal.aborted) throw new CodedError('aborted', 'stopped')
          const offset = offsets[done]!
          const there = await send(put, `${url}?path=${encodeURIComponent(path)}&offset=${offset}`, file.slice(offset, offset + MAX_STAGED_PIECE), signal)
          if (there > file.size || (there <= offset && file.size > offset)) throw new CodedError('conflict', `${path}: another file has this name, or it is being changed`)
          offsets[done] = there
          onProgress(offsets.reduce((sum, bytes) => sum + bytes, 0))
        } while (offsets[done]! < file.size)
      }
      return stagingId
    },
    drop: async () => {
      if (staging !== undefined) await api.closeStaging({ stagingId: staging.stagingId })
    },
  }
}

async function send(put: Put, url: string, piece: Blob, signal: AbortSignal): Promise<number> {
  let answer: unknown
  let ok = false
  try {
    const response = await put(url, piece, signal)
    ok = response.ok
    answer = await response.json()
  } catch (cause) {
    throw new CodedError(signal.aborted ? 'aborted' : 'connection-lost', signal.aborted ? 'stopped' : 'the connection to the helper ended', { cause })
  }
  const { bytes, error } = answer as { bytes?: unknown; error?: { code?: unknown; message?: unknown; detail?: unknown } }
  if (ok && typeof bytes === 'number') return bytes
  const detail = decodeDetail(error?.detail)
  const message = typeof error?.message === 'string' ? error.message : 'the helper did not take the file'
  throw CodedError.from({ code: isErrorCode(error?.code) ? error.code : 'internal', message, ...(detail && { detail }) })
}
