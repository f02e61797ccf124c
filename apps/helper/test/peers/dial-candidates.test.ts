import type { ReachCandidate } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { type NatFacts, type OwnPlace, mayAnswer, placeOf, sortCandidates } from '../../src/core/peers/dial-candidates.ts'
import type { InterfaceAddress } from '../../src/core/reach/own-reach.ts'

function address(host: string, prefixBits: number): InterfaceAddress {
  return { host, family: host.includes(':') ? 6 : 4, name: 'eth0', prefixBits, virtual: false, temporary: false, preferred: true }
}

const HOME: OwnPlace = { interfaces: [address('192.168.1.7', 24), address('10.8.0.2', 24)], endpoints: [{ host: '46.21.22.7', port: 4433 }], loopbackOnly: false }
const CONSISTENT: NatFacts = { nat: { v4: 'consistent', v6: 'unknown' } }

const from = (source: ReachCandidate['source'], ...hosts: string[]): ReachCandidate[] => hosts.map((host) => ({ endpoint: { host, port: 4433 }, source }))
const hosts = (candidates: readonly ReachCandidate[]): string[] => candidates.map(({ endpoint }) => endpoint.host)

describe('addresses that others name', () => {
  it('never make us send to groups, to everybody, to nobody or to ourselves', () => {
    const nobody = [
      '0.0.0.0', '0.1.2.3', '224.0.0.251', '239.255.255.250', '240.0.0.1', '255.255.255.255', '::', 'ff02::fb', '::ffff:8.8.8.8', '::ffff:127.0.0.1', '46.21.22.7',
      'fe00::1', '4000::1',
    ]
    for (const source of ['peer', 'worked', 'record', 'lan', 'mapping'] as const) {
      const sorted = sortCandidates(from(source, ...nobody), CONSISTENT, HOME)
      expect([sorted.dial, sorted.late, sorted.punch].map(hosts)).toEqual([[], [], []])
    }
    expect(hosts(sortCandidates(from('peer', ...nobody), null, null).dial)).toEqual(['46.21.22.7'])
  })

  it('on our own networks are dialled and punched towards, but not their broadcast addresses', () => {
    const sorted = sortCandidates(from('record', '192.168.1.9', '192.168.1.255', '192.168.1.0', '192.168.2.9', '10.8.0.255'), CONSISTENT, HOME)
    expect([sorted.dial, sorted.late, sorted.punch].map(hosts)).toEqual([['192.168.1.9'], [], ['192.168.1.9']])
  })

  it('in private networks that are not ours are left alone, unless a person gave them and they may be routed', () => {
    const far = ['10.200.0.1', '172.16.0.1', '192.168.7.7', '100.64.0.1', 'fd00::1', '169.254.1.1', 'fe80::1']
    expect(hosts(sortCandidates(from('record', ...far), null, HOME).dial)).toEqual([])
    expect(hosts(sortCandidates(from('peer', ...far), null, HOME).dial)).toEqual(['10.200.0.1'])
    expect(hosts(sortCandidates(from('peer', ...far), null, HOME).punch)).toEqual([])
  })

  it('on this machine are tried when a person named them, and punched towards by nobody but a helper that lives here alone', () => {
    const here = ['127.0.0.1', '::1', '127.3.2.1']
    expect(hosts(sortCandidates(from('peer', ...here), null, HOME).dial)).toEqual(here)
    expect(hosts(sortCandidates(from('record', ...here), null, HOME).dial)).toEqual([])
    expect(hosts(sortCandidates(from('peer', ...here), null, HOME).punch)).toEqual([])
    const alone = sortCandidates(from('peer', ...here, '8.8.8.8'), null, { ...HOME, loopbackOnly: true })
    expect(hosts(alone.punch)).toEqual(here)
  })

  it('behind a NAT are dialled late, since an early packet could do harm there', () => {
    const given = [...from('peer', '8.8.8.8', '2a00::1', '192.168.1.9'), ...from('mapping', '8.8.4.4')]
    const sorted = sortCandidates(given, CONSISTENT, HOME)
    expect(hosts(sorted.late)).toEqual(['8.8.8.8'])
    expect(hosts(sorted.dial)).toEqual(['2a00::1', '192.168.1.9', '8.8.4.4'])
    expect(hosts(sorted.punch)).toEqual(hosts(given))
    for (const v4 of ['open', 'unknown'] as const) expect(hosts(sortCandidates(given, { nat: { v4, v6: 'unknown' } }, HOME).late)).toEqual([])
    expect(hosts(sortCandidates(given, null, HOME).late)).toEqual([])
  })
})

describe('an answer', () => {
  it('goes to where a good packet came from, also in a private network that is not ours', () => {
    const answered = ['8.8.8.8', '10.200.0.1', '100.64.1.1', 'fe80::1', '127.0.0.1', '224.0.0.1', '255.255.255.255', '192.168.1.255', '::ffff:8.8.8.8']
    expect(answered.filter((host) => mayAnswer({ host, port: 1 }, HOME))).toEqual(['8.8.8.8', '10.200.0.1', '100.64.1.1', 'fe80::1'])
    expect(mayAnswer({ host: '127.0.0.1', port: 1 }, { ...HOME, loopbackOnly: true })).toBe(true)
  })
})

describe('our own place', () => {
  it('is read off our reach', () => {
    const endpoint = { host: '8.8.8.8', port: 1 }
    expect(placeOf({ interfaces: HOME.interfaces, candidates: [{ endpoint, source: 'stun' }] }, false)).toEqual({ interfaces: HOME.interfaces, endpoints: [endpoint], loopbackOnly: false })
  })
})
