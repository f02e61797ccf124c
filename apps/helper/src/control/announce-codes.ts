/** Makes this helper's announce code from its secrets and its addresses of the moment. Keeps the secrets; never looks for addresses itself. */
import { randomBytes } from 'node:crypto'
import {
  CodedError, type Endpoint, KNOCK_SECRET_BYTES, MAX_CODE_ADDRESSES, type NatKind, type NatPorts, type PeerId, addressScope, formatAnnounceCode, formatAnnounceLink, keyHashOf, parseEndpoint,
} from '@harddrive-party/protocol'
import { peerName } from '@harddrive-party/protocol/peer-name'
import * as v from 'valibot'
import type { Store } from '../adapters/system/store.ts'
import type { AnnounceCodes } from './services.ts'

const SECRET = v.strictObject({ hex: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)) })
/** In every code: whoever has it may knock. */
const CODE_SECRET = 'announce-code'
/** Given to peers once they are known, so that a new code does not shut them out. */
const KNOWN_SECRET = 'known-peers'

/** @param appUrl origin of the app, for links @throws CodedError `disk-error` when new secrets cannot be kept */
export async function createAnnounceCodes(options: { store: Store; peerId: PeerId; appUrl: () => string }): Promise<AnnounceCodes> {
  const { store, peerId, appUrl } = options
  const table = store.table<{ hex: string }>('secrets', (raw) => {
    const result = v.safeParse(SECRET, raw)
    return result.success ? result.output : undefined
  })
  const make = async (key: string): Promise<string> => {
    const hex = randomBytes(KNOCK_SECRET_BYTES).toString('hex')
    await table.put(key, { hex })
    // A code may be on its way to a friend the next moment.
    await store.flushed()
    return hex
  }
  let codeSecret = table.get(CODE_SECRET)?.hex ?? (await make(CODE_SECRET))
  const knownSecret = table.get(KNOWN_SECRET)?.hex ?? (await make(KNOWN_SECRET))
  let loopback: readonly Endpoint[] = []
  let reachable: readonly Endpoint[] = []
  let natKind: NatKind = 'unknown'
  let nat: NatPorts | undefined
  let unavailable = false

  const current = () => {
    // Our own LAN address works from this machine too, so loopback is only needed when there is nothing else.
    const addresses = reachable.length > 0 ? reachable : loopback
    if (addresses.length === 0) {
      throw unavailable
        ? new CodedError('no-transport', 'there is no transport here, so nobody can connect to this helper')
        : new CodedError('busy', 'the network is still starting; try again in a moment', { detail: { code: 'starting', values: {} } })
    }
    const code = {
      version: 1,
      name: peerName(peerId),
      keyHash: keyHashOf(peerId),
      knockSecret: Buffer.from(codeSecret, 'hex'),
      addresses: addresses.slice(0, MAX_CODE_ADDRESSES),
      natKind,
      ...(nat && { nat }),
    } as const
    return { code: formatAnnounceCode(code), link: formatAnnounceLink(`${appUrl()}/`, code) }
  }
  return {
    current,
    renew: async () => {
      current() // throws while there is no code to give, before anything has changed
      codeSecret = await make(CODE_SECRET)
      return current()
    },
    secrets: () => ({ codeSecret, knownSecret }),
    onNetworkEvent: (event) => {
      if (event.type === 'no-transport') unavailable = true
      if (event.type === 'ready') {
        const { v4, v6 } = event.udp.v4 === null && event.udp.v6 === null && event.tcp ? event.tcp : event.udp
        loopback = [...(v4 === null ? [] : [{ host: '127.0.0.1', port: v4 }]), ...(v6 === null ? [] : [{ host: '::1', port: v6 }])]
      }
      if (event.type !== 'addresses') return
      natKind = event.natKind
      nat = event.nat
      reachable = event.addresses.flatMap((text) => {
        const parsed = parseEndpoint(text)
        return parsed.ok && isWorthTelling(parsed.value.host) ? [parsed.value] : []
      })
    },
  }
}

function isWorthTelling(host: string): boolean {
  const scope = addressScope(host)
  return scope === 'public' || scope === 'private' || scope === 'shared' || scope === 'reserved'
}
