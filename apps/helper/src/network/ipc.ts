/** The envelopes between the control and the network process: their shapes, checked on both ends. Moves nothing itself. */
import { type ErrorCode, decodeDetail, isErrorCode } from '@harddrive-party/protocol'
import type { FromNetwork, NetworkApi, NetworkConfig, NetworkEvent } from './network-api.ts'

/** Every method of the network process; a test keeps it complete. */
export const NETWORK_METHODS = [
  'setPolicy', 'connect', 'disconnect', 'reconnect', 'answerPeer', 'ping', 'list', 'startFiles', 'stopFile', 'compareFile', 'grantFile', 'readText', 'makesThumbnails', 'revokeGrants', 'setLanFiles', 'sharesChanged', 'setOffers', 'tellOffer', 'setLimits',
  'setDownloadDirectory', 'setReach', 'reachReport', 'close',
] as const satisfies readonly (keyof NetworkApi)[]

export type NetworkMethod = (typeof NETWORK_METHODS)[number]

/** A call that the network process can make; the arguments are typed by the method. */
export type NetworkCall = { readonly kind: 'call'; readonly id: number; readonly method: NetworkMethod; readonly args: unknown }
export type ConfigMessage = { readonly kind: 'config'; readonly config: NetworkConfig }

/**
 * What the child sent, or undefined when it makes no sense. The child is our own program, but it is the one that strangers talk to: what it says is
 * checked for shape before control acts on it.
 */
export function decodeFromNetwork(raw: unknown): FromNetwork | undefined {
  if (!isRecord(raw)) return undefined
  switch (raw['kind']) {
    case 'result':
      return isId(raw['id']) ? { kind: 'result', id: raw['id'], value: raw['value'] } : undefined
    case 'error': {
      const { id, code, message } = raw
      const detail = decodeDetail(raw['detail'])
      if (!isId(id) || typeof message !== 'string') return undefined
      return { kind: 'error', id, code: knownCode(code), message, ...(detail && { detail }) }
    }
    case 'event': {
      const event = raw['event']
      return isRecord(event) && typeof event['type'] === 'string' ? { kind: 'event', event: event as unknown as NetworkEvent } : undefined
    }
    case 'heartbeat': {
      const { rssBytes, eventLoopP99Ms } = raw
      if (typeof rssBytes !== 'number' || typeof eventLoopP99Ms !== 'number') return undefined
      return { kind: 'heartbeat', rssBytes, eventLoopP99Ms }
    }
    default:
      return undefined
  }
}

/** What control sent, or undefined. */
export function decodeToNetwork(raw: unknown): NetworkCall | ConfigMessage | undefined {
  if (!isRecord(raw)) return undefined
  if (raw['kind'] === 'config') return isRecord(raw['config']) ? { kind: 'config', config: raw['config'] as unknown as NetworkConfig } : undefined
  const { kind, id, method } = raw
  if (kind !== 'call' || !isId(id) || typeof method !== 'string') return undefined
  const known = NETWORK_METHODS.find((name) => name === method)
  return known === undefined ? undefined : { kind: 'call', id, method: known, args: raw['args'] }
}

function knownCode(code: unknown): ErrorCode {
  return isErrorCode(code) ? code : 'internal'
}

function isRecord(raw: unknown): raw is Record<string, unknown> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
}

function isId(raw: unknown): raw is number {
  return typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 0
}

/** A network side that may not be there yet, or be another one at each call. */
export function forwardCalls(network: () => NetworkApi): NetworkApi {
  const forwarded: Partial<Record<NetworkMethod, (args: unknown) => Promise<unknown>>> = {}
  for (const method of NETWORK_METHODS) {
    forwarded[method] = async (args) => (network()[method] as (args: unknown) => Promise<unknown>)(args)
  }
  return forwarded as unknown as NetworkApi
}
