/** The way for files from a browser to the helper: pieces put to an address that only whoever opened the staging knows. Behind the guard of its door. */
import { CodedError } from '@harddrive-party/protocol'
import { MAX_STAGED_PIECE } from '@harddrive-party/protocol/control'
import express from 'express'
import type { Staging } from '../adapters/offers/staging.ts'

export const STAGING_PREFIX = '/staging'

const STATUS: Partial<Record<CodedError['code'], number>> = { 'not-found': 404, 'bad-path': 400, 'bad-request': 400, 'too-large': 413, 'disk-full': 507, busy: 503 }

/** Answers `{ bytes }`, or `{ error: { code, message } }`. */
export function createStagingDoor(staging: Pick<Staging, 'put' | 'putFolder'>): express.Router {
  const router = express.Router()
  router.put('/:stagingId', express.raw({ type: () => true, limit: MAX_STAGED_PIECE, inflate: false }), (request, response) => {
    const { path, offset, folder } = request.query
    const at = typeof offset === 'string' && /^\d{1,15}$/.test(offset) ? Number(offset) : undefined
    const work = async () => {
      if (typeof path === 'string' && folder === '1' && offset === undefined) {
        await staging.putFolder(request.params.stagingId, path)
        return 0
      }
      if (folder !== undefined || typeof path !== 'string' || at === undefined) throw new CodedError('bad-request', 'path and offset are wanted, or path and folder=1')
      // Without a body there is no buffer.
      const piece: unknown = request.body
      return staging.put(request.params.stagingId, path, at, piece instanceof Uint8Array ? piece : new Uint8Array())
    }
    work().then(
      (bytes) => response.json({ bytes }),
      (error: unknown) => {
        const answer = CodedError.toReason(error)
        response.status(STATUS[answer.code] ?? 500).json({ error: answer })
      },
    )
  })
  return router
}
