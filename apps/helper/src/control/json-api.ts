/** The control API for scripts: the same methods over plain HTTP with a bearer token. Who may reach it from a browser is decided in http-guard. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { CodedError, type ErrorCode } from '@harddrive-party/protocol'
import { CONTROL_METHODS, type ControlApi, type ControlSnapshot, admitCalls, isControlMethod } from '@harddrive-party/protocol/control'
import { type ErrorRequestHandler, type Request, type Response, Router, json } from 'express'

/** As for messages on the control socket. */
const MAX_BODY = '64kb'

/** Parts of a snapshot that have an address of their own. */
const VIEWS = {
  status: (snapshot) => snapshot.status,
  peers: (snapshot) => snapshot.peers,
  transfers: (snapshot) => snapshot.transfers,
  uploads: (snapshot) => snapshot.uploads,
  shares: (snapshot) => snapshot.shares,
  settings: (snapshot) => snapshot.settings,
  topics: (snapshot) => snapshot.topics,
  'upload-peers': (snapshot) => snapshot.uploadPeers,
  limits: (snapshot) => snapshot.limits,
  access: (snapshot) => snapshot.access,
} as const satisfies Record<string, (snapshot: ControlSnapshot) => unknown>

const JSON_TYPE = /^application\/json\s*(;|$)/i

const STATUS_CODES: Partial<Record<ErrorCode, number>> = {
  'bad-request': 400,
  'not-allowed': 401,
  'not-found': 404,
  conflict: 409,
  blocked: 409,
  'too-large': 413,
  unsupported: 415,
  busy: 503,
  'no-transport': 503,
  closed: 503,
  offline: 502,
  unreachable: 502,
  refused: 502,
  'connection-lost': 502,
  'wrong-identity': 502,
  'timed-out': 504,
  internal: 500,
}

/** @param token what `Authorization: Bearer …` must carry */
export function createJsonApi(api: ControlApi, token: string): Router {
  // Whoever can read the token can read the storage, and change everything anyway.
  const checked = admitCalls(api, CONTROL_METHODS, () => 'admin')
  const router = Router()
  router.use((request, response, next) => {
    response.setHeader('Cache-Control', 'no-store')
    if (isSame(request.headers.authorization ?? '', `Bearer ${token}`)) return next()
    response.setHeader('WWW-Authenticate', 'Bearer')
    fail(response, new CodedError('not-allowed', 'a bearer token is needed; it is in the file api-token of the storage'))
  })
  for (const [name, view] of Object.entries(VIEWS)) {
    router.get(`/${name}`, async (_request, response) => {
      response.json(view(await api.snapshot()))
    })
  }
  const answer = async (request: Request<{ method: string }>, response: Response) => {
    try {
      const { method } = request.params
      if (!isControlMethod(method)) throw new CodedError('not-found', 'there is no such method')
      // A simple form post needs no permission of the browser; this content type does.
      if (!JSON_TYPE.test(request.headers['content-type'] ?? '')) throw new CodedError('unsupported', 'the content type must be application/json')
      const body: unknown = request.body
      response.json({ result: (await checked[method](body)) ?? null })
    } catch (error) {
      fail(response, error)
    }
  }
  router.post('/:method', json({ limit: MAX_BODY, strict: true, type: 'application/json' }), (request, response) => {
    void answer(request, response)
  })
  router.use((_request, response) => fail(response, new CodedError('not-found', 'there is no such address')))
  router.use(onError)
  return router
}

const onError: ErrorRequestHandler = (error, _request, response, _next) => fail(response, error)

function fail(response: Response, error: unknown): void {
  const coded = fromBodyParser(error)
  const wire = CodedError.toReason(coded)
  response.status(STATUS_CODES[wire.code] ?? 500).json({ error: wire })
}

/** Express reports bad bodies with errors of its own kind. */
function fromBodyParser(error: unknown): unknown {
  const type = (error as { type?: unknown } | null)?.type
  if (type === 'entity.too.large') return new CodedError('too-large', 'the body is too large')
  if (typeof type === 'string' && /^(entity|encoding|charset|request)\./.test(type)) return new CodedError('bad-request', 'the body is not JSON')
  return error
}

/** In a time that does not depend on where the two differ. */
function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
