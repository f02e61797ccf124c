import * as v from 'valibot'
import { LIST_SORTS } from '../entry.ts'
import { CodedError } from '../errors.ts'
import { MAX_CURSOR_BYTES, MAX_PAGE_ENTRIES, MAX_SEARCH_BYTES } from '../limits.ts'
import { type Result, refuse, succeed } from '../result.ts'
import { type SharePath, parseSharePath } from '../share-path.ts'
import { parseTopic } from '../topic-key.ts'
import { ACCESS_SCHEMAS, AUDIENCE } from './access-arguments.ts'
import { MAX_ACTIVITY } from './activity-api.ts'
import type { ControlApi, ControlMethod } from './api.ts'
import { DEVICES_SCHEMAS } from './devices-arguments.ts'
import { type DeviceRole, hasRole, roleFor } from './roles.ts'
import { WISHES_SCHEMAS } from './wishes-arguments.ts'
import { flag, id, parsed, peerId, text } from './argument-parts.ts'
import { LIMITS_SCHEMAS } from './limits-arguments.ts'
import { PREVIEW_SCHEMAS } from './preview-arguments.ts'
import { OFFERS_SCHEMAS } from './offers-arguments.ts'
import { VERIFY_SCHEMAS } from './verify-arguments.ts'

/** What each control method admits as its argument, and the one place where calls are admitted: by role, then by argument. */

/** Of paths on the helper's own machine, in characters: Linux allows 4096 bytes, Windows 32,767 characters; nobody types more than this. */
const MAX_LOCAL_PATH = 4096
/** A code with a name and several IPv6 addresses has a few hundred. */
const MAX_CODE = 4096
/** Of brokers; each costs a connection while there is a topic. */
const MAX_BROKERS = 8
const MAX_BROKER = 512

const sharePath = parsed<SharePath>(parseSharePath)
const wishId = v.pipe(v.string('must be text'), v.regex(/^[A-Za-z0-9_-]{1,64}$/, 'has 1 to 64 letters, digits, - or _'))
const localPath = v.pipe(text(MAX_LOCAL_PATH, 'a path'), v.check((path) => !path.includes('\0'), 'must not contain NUL'))
const cursor = text(MAX_CURSOR_BYTES, 'a cursor')
const limit = v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(1, 'must be at least 1'), v.maxValue(MAX_PAGE_ENTRIES, `must be at most ${MAX_PAGE_ENTRIES}`))
const search = v.pipe(
  text(MAX_SEARCH_BYTES, 'a search term'),
  v.check((term) => new TextEncoder().encode(term).length <= MAX_SEARCH_BYTES, `a search term has at most ${MAX_SEARCH_BYTES} bytes`),
)
// The same name decides about a folder in the list of shares, so it must be a valid part of a share path.
const shareName = v.pipe(
  text(255, 'a name'),
  v.check((name) => !name.includes('/') && parseSharePath(name).ok, 'cannot be the name of a shared folder'),
)
const topic = v.strictObject({ topic: parsed(parseTopic) })
const broker = v.pipe(text(MAX_BROKER, 'a broker'), v.check(isBrokerUrl, 'must be an address like mqtts://broker.example:8883'))

const nothing = v.optional(v.strictObject({}))
const peer = v.strictObject({ peerId })
const share = v.strictObject({ shareId: id })
const transfer = v.strictObject({ transferId: id })

// One of three kinds; a union would not say which field is wrong.
const scope = v.pipe(
  v.strictObject({ transferId: v.exactOptional(id), path: v.exactOptional(sharePath), peerId: v.exactOptional(peerId), all: v.exactOptional(v.literal(true, 'must be true')) }),
  v.check(({ transferId, path, peerId, all }) => [transferId, peerId, all].filter((one) => one !== undefined).length === 1 && (path === undefined || transferId !== undefined),
    'name one of transferId (with or without path), peerId, or all'),
)

const SCHEMAS = {
  pauseTransfers: scope,
  resumeTransfers: scope,
  cancelTransfers: scope,
  retryTransfers: scope,
  moveTransfer: v.pipe(
    v.strictObject({ transferId: id, to: v.exactOptional(v.picklist(['top', 'up', 'down', 'bottom'], 'must be top, up, down or bottom')), before: v.exactOptional(id) }),
    v.check(({ to, before }) => (to === undefined) !== (before === undefined), 'name one of to and before'),
  ),
  followTransfer: v.strictObject({ transferId: id, follow: flag }),
  fetchAgain: transfer,
  previewDownload: v.strictObject({ peerId, path: sharePath }),
  snapshot: nothing,
  announceCode: nothing,
  renewCode: nothing,
  connect: v.strictObject({ code: text(MAX_CODE, 'a code') }),
  disconnect: peer,
  reconnect: peer,
  forget: peer,
  block: peer,
  unblock: peer,
  answerPeer: v.strictObject({ peerId, accept: flag }),
  ping: peer,
  list: v.strictObject({
    peerId: v.nullable(peerId),
    path: v.exactOptional(sharePath),
    search: v.exactOptional(search),
    recursive: flag,
    sort: v.exactOptional(v.picklist(LIST_SORTS, 'is name, size, date or rank')),
    reverse: v.exactOptional(flag),
    cursor: v.exactOptional(cursor),
    limit,
  }),
  addShare: v.strictObject({ directory: localPath, name: v.exactOptional(shareName), audience: v.exactOptional(AUDIENCE) }),
  removeShare: share,
  rescanShare: v.strictObject({ shareId: id, quick: v.exactOptional(flag) }),
  cancelScan: share,
  browseFolders: v.strictObject({ path: v.exactOptional(localPath) }),
  download: v.strictObject({ peerId, path: sharePath, id: v.exactOptional(wishId), follow: v.exactOptional(flag) }),
  cancel: transfer,
  retry: transfer,
  clearFinished: nothing,
  transferFiles: v.strictObject({ transferId: id, cursor: v.exactOptional(cursor), limit }),
  downloadedFileUrl: v.strictObject({ transferId: id, path: v.exactOptional(sharePath) }),
  remoteFileUrl: v.strictObject({ peerId: v.nullable(peerId), path: sharePath }),
  ...DEVICES_SCHEMAS,
  updateSettings: v.strictObject({
    askBeforeAccepting: v.exactOptional(flag),
    downloadDirectory: v.exactOptional(localPath),
    localDiscovery: v.exactOptional(flag),
    portMapping: v.exactOptional(flag),
    passMeOn: v.exactOptional(flag),
    introductions: v.exactOptional(flag),
    mqttBrokers: v.exactOptional(v.pipe(v.array(broker, 'must be a list'), v.maxLength(MAX_BROKERS, `must be at most ${MAX_BROKERS}`))),
  }),
  joinTopic: topic,
  leaveTopic: topic,
  activity: v.strictObject({ before: v.exactOptional(v.pipe(v.number('must be a number'), v.safeInteger('must be a whole number'))), limit: v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(1, 'must be at least 1'), v.maxValue(MAX_ACTIVITY, `must be at most ${MAX_ACTIVITY}`)) }),
  clearActivity: nothing,
  ...WISHES_SCHEMAS,
  autostart: nothing,
  setAutostart: v.strictObject({ enabled: flag }),
  doctor: nothing,
  shutdown: nothing,
  diagnostics: nothing,
  storage: nothing,
  ...ACCESS_SCHEMAS,
  ...LIMITS_SCHEMAS,
  ...VERIFY_SCHEMAS,
  ...OFFERS_SCHEMAS,
  ...PREVIEW_SCHEMAS,
} satisfies Record<ControlMethod, v.GenericSchema>

/** What an MQTT client can connect to: `mqtt`, `mqtts`, `ws` or `wss`. A name and password may be part of it. */
export function isBrokerUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return /^(mqtts?|wss?):$/.test(protocol) && hostname !== ''
}

/** What a method is called with once checked. */
export type ControlArguments<M extends ControlMethod> = Parameters<ControlApi[M]>[0]

/** @returns a fresh object with only the known fields, or `bad-request` naming the field */
export function parseArguments<M extends ControlMethod>(method: M, raw: unknown): Result<ControlArguments<M>> {
  const result = v.safeParse(SCHEMAS[method], raw, { abortEarly: true })
  if (result.success) return succeed(result.output as ControlArguments<M>)
  const issue = result.issues[0]
  const field = v.getDotPath(issue)
  return refuse('bad-request', field === null ? `${method}: ${issue.message}` : `${field}: ${issue.message}`)
}

/**
 * A control API whose every method checks first who calls, then its argument. Its object has no prototype and nothing but the methods.
 * @param role of the caller, asked at every call: it may change
 */
export function admitCalls(api: ControlApi, methods: readonly ControlMethod[], role: () => DeviceRole): Readonly<Record<ControlMethod, (raw?: unknown) => Promise<unknown>>> {
  const checked = Object.create(null) as Record<ControlMethod, (raw?: unknown) => Promise<unknown>>
  for (const method of methods) {
    checked[method] = async (raw) => {
      const needed = roleFor(method, raw)
      if (!hasRole(role(), needed)) throw new CodedError('not-allowed', `this takes a device with the role "${needed}"; this one has "${role()}"`, { detail: { code: 'role-needed', values: { role: needed } } })
      const args = parseArguments(method, raw)
      if (!args.ok) throw new CodedError('bad-request', args.error.message)
      return (api[method] as (args: unknown) => Promise<unknown>)(args.value)
    }
  }
  return Object.freeze(checked)
}
