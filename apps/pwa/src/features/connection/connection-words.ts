import type { DoctorReport, PeerPath, ReachAttempt } from '@harddrive-party/protocol/control'
import { locale, t } from '../../i18n.ts'
import { explainCode, sentence } from '../../words.ts'

/** Plain words for what the helper reports about connections. */

export function wordsForSource(source: DoctorReport['addresses'][number]['source']): string {
  return t(`connection.source.${source}`)
}

export function wordsForMethod(method: PeerPath['kind']): string {
  return t(`connection.method.${method}`)
}

const PROTOCOLS = { pcp: 'PCP', 'nat-pmp': 'NAT-PMP', upnp: 'UPnP' } as const

export function wordsForMapping(mapping: DoctorReport['mapping']): string {
  if (mapping === null) return t('connection.mapping.off')
  switch (mapping.state) {
    case 'searching': return t('connection.mapping.searching')
    case 'none': return t('connection.mapping.none')
    case 'mapped': return t('connection.mapping.mapped', { address: `${mapping.outside ?? ''}${mapping.protocol === null ? '' : ` (${PROTOCOLS[mapping.protocol]})`}` })
    case 'not-believed': return t('connection.mapping.notBelieved')
  }
}

export function wordsForServer({ outcome, mapped }: DoctorReport['stun'][number]): string {
  return t(`connection.stun.${outcome}`, { address: mapped ?? '' })
}

export function wordsForBroker({ state, problem }: DoctorReport['discovery']['brokers'][number]): string {
  if (state === 'connected' || state === 'connecting') return t(`connection.broker.${state}`)
  // What a broker's library says is English.
  return problem === undefined || problem === null || locale() !== 'en' ? t('connection.broker.failed') : sentence(problem)
}

/** Host and port; a name and password in the address are nobody's business. */
export function brokerName(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url
}

export function wordsForOutcome({ outcome, message, detail }: ReachAttempt): string {
  if (outcome === 'running' || outcome === 'connected' || outcome === 'given-up') return t(`connection.outcome.${outcome}`)
  return explainCode(outcome, message, detail)
}

/** Which of the badge's tones fits. */
export function toneOfOutcome({ outcome }: ReachAttempt): 'good' | 'wait' | 'bad' | 'plain' {
  if (outcome === 'connected') return 'good'
  if (outcome === 'running') return 'wait'
  return outcome === 'given-up' ? 'plain' : 'bad'
}
