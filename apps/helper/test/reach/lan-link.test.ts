/** What is said on the local network and when, in virtual time; and that nothing that is heard does more than it may. */
import { LAN_SERVICE, LAN_TOPIC_SUFFIX, peerIdFromKey } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ANSWER_DELAY_MS, type LanEffect, LanLink } from '../../src/core/reach/lan-link.ts'
import {
  type DnsRecord, type LanService, MAX_SIGHTING_ADDRESSES, SERVICES_NAME, hostName, instanceName, isNear, ownRecords, readLanResponse, topicRecord,
} from '../../src/core/reach/lan-records.ts'

const SUBNETS = [{ host: '192.168.7.2', prefix: 24 }]

function serviceOf(number: number, hosts: readonly string[] = [`192.168.7.${number}`]): LanService {
  return { peerId: peerIdFromKey(new Uint8Array(32).fill(number)), knockSecret: new Uint8Array(16).fill(number), label: 'Brave Otter', port: 4000 + number, hosts }
}

function linkOf(service = serviceOf(2)): LanLink {
  const link = new LanLink({ subnets: SUBNETS, random: () => 0.5 })
  link.step(0, { type: 'service', service })
  return link
}

function runUntil(link: LanLink, until: number): { at: number; effect: LanEffect }[] {
  const seen: { at: number; effect: LanEffect }[] = []
  for (let at = link.deadline; at !== undefined && at <= until; at = link.deadline) {
    for (const effect of link.step(at, { type: 'tick' })) seen.push({ at, effect })
  }
  return seen
}

/** A link that has announced itself and asked, some time ago. */
function settled(service = serviceOf(2)): LanLink {
  const link = linkOf(service)
  runUntil(link, 30_000)
  return link
}

const responses = (effects: readonly { effect: LanEffect }[]) => effects.flatMap(({ effect }) => (effect.type === 'respond' ? [effect] : []))
const allOf = (service: LanService, ttl?: number): DnsRecord[] => {
  const { pointer, description } = ownRecords(service, ttl)
  return [pointer, ...description]
}

describe('our records', () => {
  it('are those of a DNS-SD service', () => {
    const { pointer, enumeration, description } = ownRecords(serviceOf(2, ['192.168.7.2', '2001:db8::2']))
    const instance = `brave-otter-${'02'.repeat(8)}._hdp._udp.local`
    expect(pointer).toMatchObject({ name: '_hdp._udp.local', type: 'PTR', data: instance })
    expect(enumeration).toMatchObject({ name: SERVICES_NAME, type: 'PTR', data: '_hdp._udp.local' })
    expect(description.map(({ name, type, flush }) => [name, type, flush])).toEqual([
      [instance, 'SRV', true], [instance, 'TXT', true], [`hdp-${'02'.repeat(8)}.local`, 'A', true], [`hdp-${'02'.repeat(8)}.local`, 'AAAA', true],
    ])
    expect(instanceName({ label: 'x'.repeat(200), peerId: serviceOf(2).peerId }).split('.')[0]?.length).toBeLessThanOrEqual(63)
  })
})

describe('an interface', () => {
  it('announces us twice and asks at once, then less and less often', () => {
    const seen = runUntil(linkOf(), 300_000)
    expect(responses(seen).map(({ answers }) => answers)).toEqual([allOf(serviceOf(2)), allOf(serviceOf(2))])
    const asks = seen.filter(({ effect }) => effect.type === 'query')
    expect(asks[0]?.at).toBeLessThan(100)
    expect(asks[1]?.at).toBeLessThan(1_200)
    expect(asks.length).toBeLessThan(12)
    expect(asks.every(({ effect }) => effect.type === 'query' && effect.questions.every(({ name, type }) => name === LAN_SERVICE && type === 'PTR'))).toBe(true)
  })

  it('answers who asks for our kind of service, with everything that is needed to connect', () => {
    const link = settled()
    expect(link.step(40_000, { type: 'query', questions: [{ name: '_HDP._udp.local', type: 'PTR' }], known: [] })).toEqual([])
    const [answer] = runUntil(link, 40_500)
    expect(answer?.at).toBeGreaterThanOrEqual(40_000 + ANSWER_DELAY_MS.least)
    expect(answer?.at).toBeLessThanOrEqual(40_000 + ANSWER_DELAY_MS.most)
    const { pointer, description } = ownRecords(serviceOf(2))
    expect(answer?.effect).toEqual({ type: 'respond', answers: [pointer], additionals: description })
  })

  it('answers for its names, and for the list of services', () => {
    for (const [name, type] of [[instanceName(serviceOf(2)), 'SRV'], [instanceName(serviceOf(2)), 'TXT'], [hostName(serviceOf(2)), 'A'], [hostName(serviceOf(2)), 'ANY']] as const) {
      const link = settled()
      link.step(40_000, { type: 'query', questions: [{ name, type }], known: [] })
      expect(responses(runUntil(link, 40_500))).toEqual([{ type: 'respond', answers: ownRecords(serviceOf(2)).description, additionals: [] }])
    }
    const link = settled()
    link.step(40_000, { type: 'query', questions: [{ name: SERVICES_NAME, type: 'PTR' }], known: [] })
    expect(responses(runUntil(link, 40_500))).toEqual([{ type: 'respond', answers: [ownRecords(serviceOf(2)).enumeration], additionals: [] }])
  })

  it('is silent about what does not concern it, or is known already', () => {
    const link = settled()
    const { pointer } = ownRecords(serviceOf(2))
    link.step(40_000, { type: 'query', questions: [{ name: '_http._tcp.local', type: 'PTR' }, { name: instanceName(serviceOf(3)), type: 'SRV' }, { name: LAN_SERVICE, type: 'TXT' }], known: [] })
    link.step(40_000, { type: 'query', questions: [{ name: LAN_SERVICE, type: 'PTR' }], known: [pointer] })
    expect(responses(runUntil(link, 50_000))).toEqual([])
    link.step(50_000, { type: 'query', questions: [{ name: LAN_SERVICE, type: 'PTR' }], known: [{ ...pointer, ttl: 10 }] })
    expect(responses(runUntil(link, 50_500))).toHaveLength(1)
  })

  it('answers no more than once a second, however often it is asked', () => {
    const link = settled()
    let answers = 0
    for (let now = 40_000; now < 50_000; now += 1) {
      link.step(now, { type: 'query', questions: [{ name: LAN_SERVICE, type: 'PTR' }, { name: hostName(serviceOf(2)), type: 'ANY' }], known: [] })
      answers += responses(runUntil(link, now)).length
    }
    expect(answers).toBeGreaterThan(5)
    expect(answers).toBeLessThanOrEqual(10)
  })

  it('tells who has been heard, and lets those it knows be silent', () => {
    const link = linkOf()
    runUntil(link, 100)
    const [sighted] = link.step(100, { type: 'response', records: allOf(serviceOf(3)), source: '192.168.7.3' })
    const { peerId, knockSecret } = serviceOf(3)
    expect(sighted).toEqual({ type: 'sighted', sighting: { peerId, knockSecret, endpoints: [{ host: '192.168.7.3', port: 4003 }], ttl: 120 } })
    const asks = runUntil(link, 90_000).flatMap(({ effect }) => (effect.type === 'query' ? [effect.known.map(({ data }) => data)] : []))
    expect(asks[0]).toEqual([instanceName(serviceOf(3))])
    expect(asks.at(-1)).toEqual([])
  })

  it('passes over its own voice', () => {
    expect(settled().step(40_000, { type: 'response', records: allOf(serviceOf(2)), source: '192.168.7.2' })).toEqual([])
  })

  it('asks for the rest where only a name was told, and not too often', () => {
    const link = settled()
    const { pointer } = ownRecords(serviceOf(3))
    const [question] = link.step(40_000, { type: 'response', records: [pointer], source: '192.168.7.3' })
    expect(question).toMatchObject({ type: 'query', questions: [{ name: instanceName(serviceOf(3)), type: 'SRV' }, { name: instanceName(serviceOf(3)), type: 'TXT' }] })
    expect(link.step(40_100, { type: 'response', records: [pointer], source: '192.168.7.3' })).toEqual([])
  })

  it('says goodbye, and nothing after that', () => {
    const link = settled()
    expect(link.step(40_000, { type: 'goodbye' })).toEqual([{ type: 'respond', answers: allOf(serviceOf(2), 0), additionals: [] }])
    link.step(41_000, { type: 'query', questions: [{ name: LAN_SERVICE, type: 'PTR' }], known: [] })
    expect(link.deadline).toBeUndefined()
  })

  it('remembers nobody longer than we would be remembered', () => {
    const [sighted] = settled().step(40_000, { type: 'response', records: allOf(serviceOf(3), 4e9), source: '192.168.7.3' })
    expect(sighted).toMatchObject({ sighting: { ttl: 120 } })
  })

  it('hears goodbye', () => {
    const [gone] = settled().step(40_000, { type: 'response', records: allOf(serviceOf(3), 0), source: '192.168.7.3' })
    expect(gone).toMatchObject({ type: 'sighted', sighting: { ttl: 0 } })
  })

  it('carries topic announcements', () => {
    const bytes = Uint8Array.from({ length: 768 }, (_, i) => i & 0xff)
    const link = settled()
    const name = 'ab'.repeat(16)
    const [said] = link.step(40_000, { type: 'topic', name, bytes })
    expect(said).toMatchObject({ type: 'respond', answers: [{ name: `${name}.${LAN_TOPIC_SUFFIX}`, type: 'TXT' }] })
    expect(link.step(40_000, { type: 'response', records: [topicRecord(name, bytes)], source: '192.168.7.3' })).toEqual([{ type: 'topic', name, bytes }])
    expect(link.step(40_000, { type: 'response', records: [topicRecord(name, new Uint8Array(769)), topicRecord('AB', bytes)], source: '192.168.7.3' })).toEqual([])
  })
})

describe('what others say', () => {
  it('names no address elsewhere than on this network', () => {
    const lying = allOf(serviceOf(3, ['8.8.8.8', '192.168.8.1', '2001:db8::1', '192.168.7.9', '127.0.0.1', '224.0.0.1']))
    expect(readLanResponse(lying, '10.1.1.1', SUBNETS).sightings[0]?.endpoints).toEqual([{ host: '192.168.7.9', port: 4003 }])
    expect(readLanResponse(lying, '10.1.1.1', []).sightings[0]?.endpoints).toEqual([])
    const many = allOf(serviceOf(3, Array.from({ length: 100 }, (_, i) => `192.168.7.${i + 1}`)))
    expect(readLanResponse(many, '192.168.7.3', SUBNETS).sightings[0]?.endpoints).toHaveLength(MAX_SIGHTING_ADDRESSES)
  })

  it('is compared by the bits of the network', () => {
    const subnets = [{ host: '10.0.3.1', prefix: 22 }, { host: '2001:db8:0:1::1', prefix: 64 }]
    expect(['10.0.0.9', '10.0.3.255', '2001:db8:0:1:ffff::'].every((host) => isNear(host, subnets))).toBe(true)
    expect(['10.0.4.0', '2001:db8:0:2::1', '::ffff:10.0.0.9', 'fe80::1', 'x', ''].some((host) => isNear(host, subnets))).toBe(false)
  })

  it('does no harm, whatever it is', () => {
    const value = fc.oneof(
      fc.constantFrom(LAN_SERVICE, instanceName(serviceOf(3)), hostName(serviceOf(3)), `${'ab'.repeat(16)}.${LAN_TOPIC_SUFFIX}`, 'PTR', 'SRV', 'TXT', 'A', 'AAAA', 0, 120, null, undefined),
      fc.string(), fc.nat(), fc.uint8Array(), fc.array(fc.uint8Array()), fc.record({ target: fc.anything(), port: fc.anything() }),
    )
    const record = fc.oneof(fc.record({ name: value, type: value, ttl: value, data: value }), fc.constantFrom(...allOf(serviceOf(3))), fc.anything()) as fc.Arbitrary<unknown>
    fc.assert(fc.property(fc.array(record, { maxLength: 20 }), fc.string(), (records, source) => {
      const { sightings, undescribed, topics } = readLanResponse(records as DnsRecord[], source, SUBNETS)
      for (const { endpoints } of sightings) for (const { host } of endpoints) expect(isNear(host, SUBNETS)).toBe(true)
      expect(sightings.length + undescribed.length + topics.length).toBeLessThanOrEqual(48)
      settled().step(40_000, { type: 'response', records: records as DnsRecord[], source })
    }))
    fc.assert(fc.property(fc.array(record, { maxLength: 8 }), fc.array(fc.record({ name: fc.string(), type: fc.string() })), (known, questions) => {
      settled().step(40_000, { type: 'query', questions: [...questions, { name: LAN_SERVICE, type: 'PTR' }], known: known as DnsRecord[] })
    }))
  })

  it('costs no more when there is a lot of it', () => {
    const records = Array.from({ length: 5_000 }, (_, i) => allOf(serviceOf(i % 256))).flat()
    const { sightings, undescribed } = readLanResponse(records, '192.168.7.3', SUBNETS)
    expect(sightings.length).toBeLessThanOrEqual(16)
    expect(undescribed.length).toBeLessThanOrEqual(16)
  })
})
