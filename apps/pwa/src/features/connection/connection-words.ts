import type { DoctorReport, PeerPath, ReachAttempt } from '@harddrive-party/protocol/control'
import { explainCode, sentence } from '../../words.ts'

/** Plain words for what the helper reports about connections. Advice comes from the helper in words already. */

export const ADDRESS_SOURCES: Record<DoctorReport['addresses'][number]['source'], string> = {
  interface: 'this computer',
  stun: 'seen from the internet',
  mapping: 'opened by your router',
  peer: 'told by a peer',
  record: 'passed on by a peer',
  lan: 'heard on your network',
  worked: 'worked before',
}

export const METHODS: Record<PeerPath['kind'], string> = {
  loopback: 'on this computer',
  lan: 'on the same network',
  ipv6: 'over IPv6',
  direct: 'directly',
  mapped: 'through an open port',
  punched: 'through both routers at once',
}

const PROTOCOLS = { pcp: 'PCP', 'nat-pmp': 'NAT-PMP', upnp: 'UPnP' } as const

export function wordsForMapping(mapping: DoctorReport['mapping']): string {
  if (mapping === null) return 'Switched off'
  switch (mapping.state) {
    case 'searching': return 'Asking your router…'
    case 'none': return 'Your router does not open one by itself'
    case 'mapped': return `Yes: ${mapping.outside ?? ''}${mapping.protocol === null ? '' : ` (${PROTOCOLS[mapping.protocol]})`}`
    case 'not-believed': return 'Your router says yes, but there is a second router in front of it'
  }
}

export function wordsForServer({ outcome, mapped }: DoctorReport['stun'][number]): string {
  switch (outcome) {
    case 'asking': return 'being asked…'
    case 'mapped': return `sees you as ${mapped ?? ''}`
    case 'no-address': return 'not reachable this way'
    case 'no-answer': return 'no answer'
  }
}

export function wordsForBroker({ state, problem }: DoctorReport['discovery']['brokers'][number]): string {
  if (state === 'connected') return 'Connected'
  return state === 'connecting' ? 'Connecting…' : sentence(problem ?? 'cannot be reached')
}

/** Host and port; a name and password in the address are nobody's business. */
export function brokerName(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url
}

export function wordsForOutcome({ outcome, message }: ReachAttempt): string {
  if (outcome === 'running') return 'Trying…'
  if (outcome === 'connected') return 'Connected.'
  if (outcome === 'given-up') return 'Not needed: another way was faster.'
  return message === '' ? explainCode(outcome, message) : sentence(message)
}

/** Which of the badge's tones fits. */
export function toneOfOutcome({ outcome }: ReachAttempt): 'good' | 'wait' | 'bad' | 'plain' {
  if (outcome === 'connected') return 'good'
  if (outcome === 'running') return 'wait'
  return outcome === 'given-up' ? 'plain' : 'bad'
}
