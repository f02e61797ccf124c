/** Finds a UPnP router on one of our networks and calls its services. What is asked is decided in core; here nothing is sent but to that network. */
import { createSocket } from 'node:dgram'
import { request } from 'node:http'
import { type Result, refuse } from '@harddrive-party/protocol'
import {
  MAX_UPNP_BYTES, SSDP_GROUP, SSDP_PORT, SSDP_TARGETS, type UpnpAnswer, type UpnpArguments, type UpnpService, type UpnpServices, decodeSoap, decodeSsdpAnswer,
  encodeSoap, encodeSsdpSearch, parseUpnpDescription,
} from '../../core/reach/upnp-message.ts'

export interface UpnpRouter {
  /** Where it was found: every call goes there and nowhere else. */
  readonly location: URL
  readonly services: UpnpServices
}

export interface UpnpSearch {
  /** Our address on the network that is searched. */
  readonly address: string
  /** Who is asked; another one in tests. */
  readonly to?: { readonly host: string; readonly port: number }
}

/** Answers come after up to MX = 2 s. */
const SEARCH_MS = 3_000
/** Multicast over Wi-Fi gets lost. */
const SEARCH_AGAIN_MS = 800
const CALL_MS = 3_000
/** Descriptions read in one search: several devices may claim to be routers. */
const MAX_LOCATIONS = 4

/** @returns the first router with a service that we can use; null when none answers in time. Never rejects. */
export async function findUpnpRouter({ address, to = { host: SSDP_GROUP, port: SSDP_PORT } }: UpnpSearch, { signal }: { signal: AbortSignal }): Promise<UpnpRouter | null> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', lookup: (host, _options, callback) => callback(null, host, 4) })
    const tried = new Set<string>()
    const calls = new AbortController()
    let isOver = false
    const end = (router: UpnpRouter | null): void => {
      if (isOver) return
      isOver = true
      for (const timer of timers) clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      calls.abort()
      socket.close()
      resolve(router)
    }
    const onAbort = (): void => end(null)
    const search = (): void => {
      for (const target of SSDP_TARGETS) socket.send(encodeSsdpSearch(target), to.port, to.host, () => {})
    }
    const timers = [setTimeout(() => end(null), SEARCH_MS)]
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', () => end(null))
    socket.on('message', (bytes, from) => {
      const answer = decodeSsdpAnswer(bytes.toString('latin1'))
      const location = answer.ok ? locationOf(answer.value.location, from.address) : null
      if (location === null || tried.has(location.href) || tried.size === MAX_LOCATIONS) return
      tried.add(location.href)
      void describe(location, calls.signal).then((router) => {
        if (router !== null) end(router)
      })
    })
    if (signal.aborted) return end(null)
    socket.bind({ port: 0, address, exclusive: true }, () => {
      if (isOver) return
      try {
        socket.setMulticastInterface(address)
        socket.setMulticastTTL(2)
      } catch {
        return end(null)
      }
      search()
      timers.push(setTimeout(search, SEARCH_AGAIN_MS))
    })
  })
}

/** @returns what the router says; a failure is silence, or what is no answer. Never rejects. */
export async function callUpnp(
  router: UpnpRouter, { service, action, args }: { readonly service: UpnpService; readonly action: string; readonly args: UpnpArguments }, { signal }: { signal: AbortSignal },
): Promise<Result<UpnpAnswer>> {
  const url = sameHostUrl(service.controlUrl, router.location)
  if (url === null) return refuse('bad-location', 'the router sends us somewhere else')
  const body = encodeSoap(service.type, action, args)
  const answer = await exchange(url, 'POST', { 'content-type': 'text/xml; charset="utf-8"', soapaction: `"${service.type}#${action}"` }, body, signal)
  return answer === null ? refuse('no-answer', 'the router does not answer') : decodeSoap(answer)
}

/** A device may only speak of itself: else anybody on the LAN could make us call other machines. */
function locationOf(text: string, sender: string): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null
  return url !== null && url.protocol === 'http:' && url.hostname === sender && url.username === '' && url.password === '' ? url : null
}

function sameHostUrl(text: string, base: URL): URL | null {
  if (!URL.canParse(text, base.href)) return null
  const url = new URL(text, base)
  return url.protocol === 'http:' && url.hostname === base.hostname ? url : null
}

async function describe(location: URL, signal: AbortSignal): Promise<UpnpRouter | null> {
  const xml = await exchange(location, 'GET', {}, null, signal)
  if (xml === null) return null
  const services = parseUpnpDescription(xml)
  return services.ok ? { location, services: services.value } : null
}

/** Plain HTTP, as UPnP is. @returns the body, whatever the status says: faults travel with 500; null when there is none or too much of it */
function exchange(url: URL, method: string, headers: Record<string, string>, body: string | null, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request(url, {
      method, agent: false, signal: AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]),
      headers: { ...headers, connection: 'close', ...(body === null ? {} : { 'content-length': Buffer.byteLength(body) }) },
    }, (response) => {
      const parts: Buffer[] = []
      let size = 0
      response.on('data', (part: Buffer) => {
        size += part.length
        parts.push(part)
        if (size > MAX_UPNP_BYTES) asked.destroy()
      })
      response.on('error', () => resolve(null))
      response.on('close', () => resolve(response.complete ? Buffer.concat(parts).toString('utf8') : null))
    })
    asked.on('error', () => resolve(null))
    asked.end(body ?? undefined)
  })
}
