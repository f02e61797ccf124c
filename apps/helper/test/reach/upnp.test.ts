import type { Endpoint, Result } from '@harddrive-party/protocol'
import { succeed } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LEASE_SECONDS } from '../../src/core/reach/port-lease.ts'
import { UpnpLease, type UpnpLeaseEffect, type UpnpLeaseInput } from '../../src/core/reach/upnp-lease.ts'
import { type UpnpAnswer, type UpnpServices, decodeSoap, decodeSsdpAnswer, encodeSoap, encodeSsdpSearch, parseUpnpDescription } from '../../src/core/reach/upnp-message.ts'

const V1 = { type: 'urn:schemas-upnp-org:service:WANIPConnection:1', controlUrl: '/ctl/IPConn' }
const V2 = { type: 'urn:schemas-upnp-org:service:WANIPConnection:2', controlUrl: '/ctl/IPConn' }
const FIREWALL = { type: 'urn:schemas-upnp-org:service:WANIPv6FirewallControl:1', controlUrl: '/ctl/IP6FCtl' }
const OLD: UpnpServices = { connections: [V1], firewall: null }
const NEW: UpnpServices = { connections: [V2], firewall: FIREWALL }
const PINHOLE: Endpoint = { host: '2001:db8::5', port: 4433 }
const OUTSIDE: Endpoint = { host: '45.11.12.1', port: 4433 }

const answered = (fields: Record<string, string> = {}, error = 0): Result<UpnpAnswer> => succeed({ error, fields })
const refused = (error: number) => answered({}, error)
const silence: Result<UpnpAnswer> = { ok: false, error: { code: 'no-answer', message: '' } }

/** A router that answers each call as told; what is not told is done. */
function play(lease: UpnpLease, services: UpnpServices | null, answers: (action: string, args: ReadonlyMap<string, string | number>) => Result<UpnpAnswer> = plain, from: { now: number; input: UpnpLeaseInput } = { now: 0, input: { type: 'tick' } }) {
  const calls: string[] = []
  const effects: UpnpLeaseEffect[] = []
  const queue = lease.step(from.now, from.input)
  for (let effect = queue.shift(); effect !== undefined && calls.length < 100; effect = queue.shift()) {
    if (effect.type === 'find') queue.push(...lease.step(from.now, { type: 'found', services }))
    else if (effect.type === 'call') {
      const args = new Map(effect.args)
      calls.push([effect.action, args.get('NewExternalPort') ?? args.get('UniqueID') ?? args.get('InternalClient'), args.get('NewLeaseDuration')].filter((part) => part !== undefined).join(' '))
      queue.push(...lease.step(from.now, { type: 'answer', answer: answers(effect.action, args) }))
    } else effects.push(effect)
  }
  return { calls, effects }
}

function plain(action: string, args: ReadonlyMap<string, string | number>): Result<UpnpAnswer> {
  if (action === 'GetExternalIPAddress') return answered({ NewExternalIPAddress: OUTSIDE.host })
  if (action === 'AddAnyPortMapping') return answered({ NewReservedPort: String(args.get('NewExternalPort')) })
  return answered(action === 'AddPinhole' ? { UniqueID: '7' } : {})
}

const open = (overrides: { client?: string | null; pinholes?: Endpoint[] } = {}) => new UpnpLease(0, { client: '192.168.1.5', port: 4433, pinholes: [], random: () => 0.5, ...overrides })

describe('UPnP lease', () => {
  it('maps at a router of version 1', () => {
    const { calls, effects } = play(open({ pinholes: [PINHOLE] }), OLD)
    expect(calls).toEqual(['GetExternalIPAddress', `AddPortMapping 4433 ${LEASE_SECONDS}`])
    expect(effects).toEqual([{ type: 'held', outside: OUTSIDE, pinholes: [] }])
  })

  it('maps and opens the IPv6 firewall at a router of version 2, which may choose the port', () => {
    const { calls, effects } = play(open({ pinholes: [PINHOLE] }), NEW, (action, args) => (action === 'AddAnyPortMapping' ? answered({ NewReservedPort: '5555' }) : plain(action, args)))
    expect(calls).toEqual(['GetExternalIPAddress', `AddAnyPortMapping 4433 ${LEASE_SECONDS}`, 'AddPinhole 2001:db8::5'])
    expect(effects).toEqual([{ type: 'held', outside: { ...OUTSIDE, port: 5555 }, pinholes: [PINHOLE] }])
  })

  it('asks for the firewall alone', () => {
    expect(play(open({ client: null, pinholes: [PINHOLE] }), NEW)).toEqual({ calls: ['AddPinhole 2001:db8::5'], effects: [{ type: 'held', outside: null, pinholes: [PINHOLE] }] })
  })

  it('renews at half life, silently', () => {
    const lease = open({ pinholes: [PINHOLE] })
    play(lease, NEW)
    expect(lease.deadline).toBe(1_800_000)
    expect(play(lease, NEW, plain, { now: 1_800_000, input: { type: 'tick' } })).toEqual({ calls: ['GetExternalIPAddress', `AddPortMapping 4433 ${LEASE_SECONDS}`, 'UpdatePinhole 7'], effects: [] })
  })

  it('makes a pinhole anew that the router has forgotten', () => {
    const lease = open({ client: null, pinholes: [PINHOLE] })
    play(lease, NEW)
    const { calls } = play(lease, NEW, (action, args) => (action === 'UpdatePinhole' ? refused(704) : action === 'AddPinhole' ? answered({ UniqueID: '8' }) : plain(action, args)), { now: 1_800_000, input: { type: 'tick' } })
    expect(calls).toEqual(['UpdatePinhole 7', 'AddPinhole 2001:db8::5'])
    expect(play(lease, NEW, plain, { now: 1_800_001, input: { type: 'close' } }).calls).toEqual(['DeletePinhole 8'])
  })

  it('takes another port when ours is taken, and a lease without end where there is no other', () => {
    const { calls, effects } = play(open(), OLD, (action, args) => {
      if (action !== 'AddPortMapping') return plain(action, args)
      if (args.get('NewLeaseDuration') !== 0) return refused(725)
      return args.get('NewExternalPort') === 4433 ? refused(718) : answered()
    })
    expect(calls).toEqual(['GetExternalIPAddress', `AddPortMapping 4433 ${LEASE_SECONDS}`, 'AddPortMapping 4433 0', 'AddPortMapping 33280 0'])
    expect(effects).toEqual([{ type: 'held', outside: { ...OUTSIDE, port: 33_280 }, pinholes: [] }])
  })

  it('falls back to the old call at a router that only claims to be new', () => {
    const { calls } = play(open(), { ...NEW, firewall: null }, (action, args) => (action === 'AddAnyPortMapping' ? refused(401) : plain(action, args)))
    expect(calls).toEqual(['GetExternalIPAddress', `AddAnyPortMapping 4433 ${LEASE_SECONDS}`, `AddPortMapping 4433 ${LEASE_SECONDS}`])
  })

  it.each([
    ['no router', null, plain, []],
    ['a router that is not connected', OLD, () => answered({ NewExternalIPAddress: '' }), ['GetExternalIPAddress']],
    ['a router that falls silent', OLD, (action: string, args: ReadonlyMap<string, string | number>) => (action === 'AddPortMapping' ? silence : plain(action, args)), ['GetExternalIPAddress', `AddPortMapping 4433 ${LEASE_SECONDS}`]],
  ] as const)('has nothing with %s, and looks again later', (_name, services, answers, calls) => {
    const lease = open()
    expect(play(lease, services, answers)).toEqual({ calls, effects: [{ type: 'held', outside: null, pinholes: [] }] })
    expect(lease.deadline).toBe(900_000)
  })

  it('gives up on a router that refuses every port', () => {
    const { calls } = play(open(), OLD, (action, args) => (action === 'AddPortMapping' ? refused(718) : plain(action, args)))
    expect(calls).toHaveLength(5)
  })

  it('tells when a mapping is gone', () => {
    const lease = open()
    play(lease, OLD)
    expect(play(lease, null, plain, { now: 1_800_000, input: { type: 'tick' } }).effects).toEqual([{ type: 'held', outside: null, pinholes: [] }])
  })

  it('takes everything back, by the port that was given', () => {
    const lease = open({ pinholes: [PINHOLE] })
    play(lease, NEW, (action, args) => (action === 'AddAnyPortMapping' ? answered({ NewReservedPort: '5555' }) : plain(action, args)))
    expect(play(lease, NEW, plain, { now: 5, input: { type: 'close' } })).toEqual({ calls: ['DeletePortMapping 5555', 'DeletePinhole 7'], effects: [{ type: 'closed' }] })
    expect(lease.step(9e9, { type: 'renew' })).toEqual([])
  })

  it('takes back what is granted while it closes', () => {
    const lease = open()
    lease.step(0, { type: 'tick' })
    lease.step(0, { type: 'found', services: OLD })
    expect(lease.step(1, { type: 'answer', answer: answered({ NewExternalIPAddress: OUTSIDE.host }) })[0]).toMatchObject({ action: 'AddPortMapping' })
    expect(lease.step(2, { type: 'close' })).toEqual([])
    expect(play(lease, OLD, plain, { now: 3, input: { type: 'answer', answer: answered() } })).toEqual({ calls: ['DeletePortMapping 4433'], effects: [{ type: 'closed' }] })
  })

  it('closes at once with nothing to take back', () => {
    const lease = open()
    lease.step(0, { type: 'tick' })
    expect(lease.step(1, { type: 'close' })).toEqual([{ type: 'closed' }])
    expect(lease.step(2, { type: 'found', services: OLD })).toEqual([])
  })

  it('ends every attempt whatever a router answers', () => {
    const answer = fc.oneof(fc.constant(silence), fc.constantFrom(0, 0, 0, 401, 501, 718, 725, -1).map(refused), fc.constant(plain('AddPinhole', new Map())), fc.constant(plain('GetExternalIPAddress', new Map())))
    fc.assert(fc.property(fc.array(answer, { minLength: 1, maxLength: 30 }), fc.boolean(), (answers, isNew) => {
      const lease = open({ pinholes: [PINHOLE, { host: '2001:db8::6', port: 4433 }] })
      let i = 0
      const next = () => answers[i++ % answers.length] ?? silence
      const { calls, effects } = play(lease, isNew ? NEW : OLD, next)
      expect(calls.length).toBeLessThan(20)
      expect(effects).toHaveLength(1)
      expect(play(lease, isNew ? NEW : OLD, next, { now: 1, input: { type: 'close' } }).effects).toEqual([{ type: 'closed' }])
    }), { numRuns: 300 })
  })
})

describe('UPnP messages', () => {
  const DESCRIPTION = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
    <serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3</controlURL></service></serviceList>
    <deviceList><device><serviceList>
      <service><serviceType> ${V1.type} </serviceType><serviceId>x</serviceId><SCPDURL>/x.xml</SCPDURL><controlURL>/ctl/IPConn</controlURL><eventSubURL/></service>
      <s:service xmlns:s="y"><s:controlURL a="b">/ctl/IP6FCtl</s:controlURL><s:serviceType>${FIREWALL.type}</s:serviceType></s:service>
    </serviceList></device></deviceList></device></root>`

  it('asks for routers', () => {
    expect(encodeSsdpSearch('urn:x')).toBe('M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: urn:x\r\n\r\n')
  })

  it('finds the services in a description', () => {
    expect(parseUpnpDescription(DESCRIPTION)).toEqual({ ok: true, value: { connections: [V1], firewall: FIREWALL } })
    expect(parseUpnpDescription(DESCRIPTION.replaceAll('WANIP', 'LANIP'))).toMatchObject({ ok: false, error: { code: 'no-service' } })
  })

  it('reads answers to a search', () => {
    const answer = 'HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nst: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLocation:  http://192.168.1.1:5000/rootDesc.xml \r\n\r\n'
    expect(decodeSsdpAnswer(answer)).toEqual({ ok: true, value: { location: 'http://192.168.1.1:5000/rootDesc.xml' } })
    for (const bad of [answer.replace('200', '404'), answer.replace('http:', 'file:'), answer.replace('InternetGateway', 'MediaServer'), `${answer}${' '.repeat(3000)}`]) {
      expect(decodeSsdpAnswer(bad).ok).toBe(false)
    }
  })

  it('writes and reads SOAP', () => {
    expect(encodeSoap('urn:s', 'Do', [['A', 'x<&"'], ['B', 5]])).toContain('<u:Do xmlns:u="urn:s"><A>x&lt;&amp;&quot;</A><B>5</B></u:Do>')
    expect(decodeSoap('<?xml version="1.0"?><s:Envelope><s:Body><u:R><NewExternalIPAddress>1.2.3.4</NewExternalIPAddress><Other>5</Other></u:R></s:Body></s:Envelope>')).toEqual({
      ok: true, value: { error: 0, fields: { NewExternalIPAddress: '1.2.3.4' } },
    })
    expect(decodeSoap('<s:Envelope><s:Body><s:Fault><faultcode>s:Client</faultcode><detail><UPnPError><errorCode>718</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>')).toMatchObject({ value: { error: 718 } })
    expect(decodeSoap('<s:Envelope><s:Fault/></s:Envelope>')).toMatchObject({ value: { error: -1 } })
    expect(decodeSoap('<html>')).toMatchObject({ ok: false })
  })

  it('never throws on what a device sends, and reads any of it in one pass', () => {
    const pieces = fc.array(fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('<', '>', '</', '<service>', '</service>', '<serviceType>', `<controlURL>/x`, V1.type, '<s:Envelope>', '<errorCode>7', 'HTTP/1.1 200 OK\r\n', 'LOCATION: http://x\r\n')), { maxLength: 40 })
    fc.assert(fc.property(pieces, (parts) => {
      const text = parts.join('')
      parseUpnpDescription(text)
      decodeSoap(text)
      decodeSsdpAnswer(text)
    }), { numRuns: 500 })
    for (const text of ['<'.repeat(65_536), '<service>'.repeat(7_000), `<a ${'b'.repeat(65_000)}>`]) expect(parseUpnpDescription(text).ok).toBe(false)
    expect(parseUpnpDescription(' '.repeat(65_537))).toMatchObject({ error: { code: 'too-long' } })
  })
})
