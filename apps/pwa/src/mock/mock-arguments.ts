import { CodedError, MAX_PAGE_ENTRIES, MAX_SEARCH_BYTES, parseAnnounceCode, parsePeerId, parseSharePath, parseTopic } from '@harddrive-party/protocol'
import { type ControlMethod, isBrokerUrl } from '@harddrive-party/protocol/control'

/** Refuses what a real helper would refuse, and names the field, so that a mistake in the app shows while it runs on the mock. */

type Check = (value: unknown) => boolean
type Fields = Readonly<Record<string, Check>>

const text: Check = (value) => typeof value === 'string' && value !== ''
const flag: Check = (value) => typeof value === 'boolean'
const peer: Check = (value) => typeof value === 'string' && parsePeerId(value).ok
const path: Check = (value) => typeof value === 'string' && parseSharePath(value).ok
const directory: Check = (value) => typeof value === 'string' && value.startsWith('/') && !value.includes('\0')
const limit: Check = (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_PAGE_ENTRIES
const term: Check = (value) => typeof value === 'string' && new TextEncoder().encode(value).length <= MAX_SEARCH_BYTES
const deviceId: Check = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
const wishId: Check = (value) => typeof value === 'string' && /^[\w-]{1,64}$/.test(value)
const topic: Check = (value) => typeof value === 'string' && parseTopic(value).ok
const optional = (check: Check): Check => (value) => value === undefined || check(value)

const ONE_PEER: Fields = { peerId: peer }
const ONE_TRANSFER: Fields = { transferId: text }

const FIELDS: Record<ControlMethod, Fields> = {
  snapshot: {}, announceCode: {}, renewCode: {}, clearFinished: {}, devices: {}, createPairingLink: {}, diagnostics: {}, shutdown: {},
  connect: { code: (value) => typeof value === 'string' && parseAnnounceCode(value).ok },
  disconnect: ONE_PEER, reconnect: ONE_PEER, forget: ONE_PEER, block: ONE_PEER, unblock: ONE_PEER, ping: ONE_PEER,
  answerPeer: { peerId: peer, accept: flag },
  list: { peerId: (value) => value === null || peer(value), path: optional(path), search: optional(term), recursive: flag, cursor: optional(text), limit },
  addShare: { directory, name: optional(text) },
  removeShare: { shareId: text }, rescanShare: { shareId: text },
  browseFolders: { path: optional(directory) },
  download: { peerId: peer, path, id: optional(wishId) },
  cancel: ONE_TRANSFER, retry: ONE_TRANSFER,
  transferFiles: { transferId: text, cursor: optional(text), limit },
  downloadedFileUrl: { transferId: text, path: optional(text) },
  remoteFileUrl: { peerId: peer, path },
  revokeDevice: { deviceId },
  updateSettings: {
    askBeforeAccepting: optional(flag), downloadDirectory: optional(directory), localDiscovery: optional(flag), portMapping: optional(flag), passMeOn: optional(flag),
    mqttBrokers: optional((value) => Array.isArray(value) && value.every((url) => typeof url === 'string' && isBrokerUrl(url))),
  },
  joinTopic: { topic }, leaveTopic: { topic }, doctor: {},
}

export function checkArguments(method: ControlMethod, args: unknown): void {
  const fields = FIELDS[method]
  if (args === undefined && Object.keys(fields).length > 0) throw new CodedError('bad-request', `${method} needs arguments`)
  const given = (args ?? {}) as Record<string, unknown>
  for (const name of Object.keys(given)) if (!Object.hasOwn(fields, name)) throw new CodedError('bad-request', `${method} knows no ${name}`)
  for (const [name, check] of Object.entries(fields)) if (!check(given[name])) throw new CodedError('bad-request', `${name} is not valid`)
}
