import { type OfferInfo, hasOfferEnded } from '@harddrive-party/protocol/control'
import { formatBytes } from '../../format.ts'
import { t } from '../../i18n.ts'

/** How offers read. */

export function sizeOf({ files, bytes }: Pick<OfferInfo, 'files' | 'bytes'>): string {
  return `${t('offers.files', {}, files)} · ${formatBytes(bytes)}`
}

export function stateOf({ state, direction, isDelivered, received, bytes }: OfferInfo): string {
  if (state === 'accepted') return t('offers.state.accepted', { part: bytes === 0 ? '0 %' : `${Math.floor((100 * received) / bytes)} %` })
  if (state === 'waiting' && direction === 'out' && !isDelivered) return t('offers.state.undelivered')
  return t(`offers.state.${state}`)
}

export function isAsking({ direction, state }: OfferInfo): boolean {
  return direction === 'in' && state === 'waiting'
}

export { hasOfferEnded }
