/** Routers on loopback, for tests: one that speaks PCP, NAT-PMP or nothing, and one that speaks UPnP. */
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RouterRequest, decodeRequest, natPmpAddress, natPmpMap, natPmpRefusal, pcpMap } from './router-messages.ts'

export const OUTSIDE = '45.11.12.1'

export interface PcpRouter {
  readonly port: number
  readonly requests: RouterRequest[]
  /** By protocol and inside port (`udp 4433`): outside port. */
  readonly mappings: Map<string, number>
  /** Outside ports that are somebody else's: the next one is given instead. */
  readonly taken: Set<string>
  /** Resolves when a request fits. */
  until(matches: (request: RouterRequest) => boolean): Promise<RouterRequest>
  close(): void
}

export async function openPcpRouter(speaks: 'pcp' | 'nat-pmp' | 'nothing'): Promise<PcpRouter> {
  const socket: Socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const requests: RouterRequest[] = []
  const mappings = new Map<string, number>()
  const taken = new Set<string>()
  const waiting = new Set<() => void>()
  const epoch = 77
  socket.on('message', (bytes, from) => {
    const request = decodeRequest(bytes)
    const answer = speaks === 'nothing' ? null : answerTo(request, bytes)
    requests.push(request)
    if (answer !== null) socket.send(answer, from.port, from.address)
    for (const look of waiting) look()
  })

  function answerTo(request: RouterRequest, bytes: Uint8Array): Uint8Array | null {
    if (request.protocol === 'pcp') {
      if (speaks === 'nat-pmp') return natPmpRefusal(1)
      const { of } = request
      const port = map(of, request.port, request.wanted.port, request.lifetime)
      return pcpMap({ of, nonce: bytes.subarray(24, 36), port: request.port, outside: { host: OUTSIDE, port }, lifetime: request.lifetime, epoch })
    }
    if (request.protocol === 'nat-pmp-address') return natPmpAddress(OUTSIDE, epoch)
    return natPmpMap({ of: request.of, port: request.port, outsidePort: map(request.of, request.port, request.wantedPort, request.lifetime), lifetime: request.lifetime, epoch })
  }

  function map(of: string, inside: number, wanted: number, lifetime: number): number {
    if (lifetime === 0) {
      mappings.delete(`${of} ${inside}`)
      return 0
    }
    const outside = taken.has(`${of} ${wanted}`) ? wanted + 1 : wanted
    mappings.set(`${of} ${inside}`, outside)
    return outside
  }

  return {
    port: socket.address().port, requests, mappings, taken,
    until: (matches) => new Promise((resolve) => {
      const look = (): void => {
        const found = requests.find(matches)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    }),
    close: () => socket.close(),
  }
}

export interface UpnpFake {
  /** Where a search goes to. */
  readonly ssdp: { readonly host: string; readonly port: number }
  readonly actions: string[]
  readonly mappings: Map<string, string>
  readonly pinholes: Map<string, string>
  close(): Promise<void>
}

export interface UpnpFakeOptions {
  readonly version?: 1 | 2
  /** What it says about where its description is. */
  readonly location?: (port: number) => string
  readonly controlUrl?: string
  /** Instead of its description. */
  readonly description?: string
  /** Says no to those of TCP. */
  readonly onlyUdp?: boolean
}

export async function openUpnpRouter({ version = 1, location = (port) => `http://127.0.0.1:${port}/root.xml`, controlUrl = '/ctl', description, onlyUdp = false }: UpnpFakeOptions = {}): Promise<UpnpFake> {
  const actions: string[] = []
  const mappings = new Map<string, string>()
  const pinholes = new Map<string, string>()
  let lastPinhole = 4
  const firewall = `<service><serviceType>urn:schemas-upnp-org:service:WANIPv6FirewallControl:1</serviceType><controlURL>${controlUrl}</controlURL></service>`
  const root = description ?? `<root><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:${version}</serviceType>` +
    `<controlURL>${controlUrl}</controlURL></service>${version === 2 ? firewall : ''}</serviceList></device></root>`
  const server: Server = createServer((request, response) => {
    if (request.method === 'GET') {
      actions.push('describe')
      response.end(root)
      return
    }
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (part) => (body += part))
    request.on('end', () => {
      const action = /#(\w+)"/.exec(String(request.headers['soapaction']))?.[1] ?? ''
      actions.push(action)
      const [status, fields] = act(action, (name) => new RegExp(`<${name}>([^<]*)<`).exec(body)?.[1] ?? '')
      response.statusCode = status
      response.end(`<?xml version="1.0"?><s:Envelope><s:Body><u:${action}Response>${fields}</u:${action}Response></s:Body></s:Envelope>`)
    })
  })

  function act(action: string, field: (name: string) => string): [number, string] {
    const key = `${field('NewExternalPort')} ${field('NewProtocol')}`
    switch (action) {
      case 'GetExternalIPAddress':
        return [200, `<NewExternalIPAddress>${OUTSIDE}</NewExternalIPAddress>`]
      case 'AddPortMapping':
      case 'AddAnyPortMapping':
        if (onlyUdp && field('NewProtocol') === 'TCP') return [500, '<errorCode>718</errorCode>']
        mappings.set(key, `${field('NewInternalClient')}:${field('NewInternalPort')}`)
        return [200, `<NewReservedPort>${field('NewExternalPort')}</NewReservedPort>`]
      case 'DeletePortMapping':
        return mappings.delete(key) ? [200, ''] : [500, '<errorCode>714</errorCode>']
      case 'AddPinhole':
        pinholes.set(String(++lastPinhole), `[${field('InternalClient')}]:${field('InternalPort')} ${field('Protocol')}`)
        return [200, `<UniqueID>${lastPinhole}</UniqueID>`]
      case 'DeletePinhole':
        return pinholes.delete(field('UniqueID')) ? [200, ''] : [500, '<errorCode>704</errorCode>']
      default:
        return [500, '<errorCode>401</errorCode>']
    }
  }

  server.listen(0, '127.0.0.1')
  const socket: Socket = createSocket('udp4').bind(0, '127.0.0.1')
  await Promise.all([once(server, 'listening'), once(socket, 'listening')])
  const { port } = server.address() as AddressInfo
  socket.on('message', (bytes, from) => {
    const target = /^ST: (.*)$/m.exec(bytes.toString('latin1'))?.[1]?.trim()
    socket.send(`HTTP/1.1 200 OK\r\nST: ${target}\r\nUSN: uuid:x\r\nLOCATION: ${location(port)}\r\n\r\n`, from.port, from.address)
  })
  return {
    ssdp: { host: '127.0.0.1', port: socket.address().port }, actions, mappings, pinholes,
    close: async () => {
      socket.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
