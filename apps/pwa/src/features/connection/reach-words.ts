import type { Advice } from '@harddrive-party/protocol/control'
import { addTexts, t } from '../../i18n.ts'
import { reach as german } from '../../locales/de/reach.ts'
import { reach as english } from '../../locales/en/reach.ts'

/** Makes sentences of the advice that the helper names. Their texts are long and for one page only, so they come with it. */

addTexts({ en: { reach: english }, de: { reach: german } })

export function wordsForAdvice(advice: Advice): string {
  switch (advice.code) {
    case 'brokers-down':
      return t('reach.brokers-down', {}, advice.values.count)
    case 'open-port': {
      const { ways, port } = advice.values
      const words = ways.map((way) => t(`reach.way.${way}`, { port: port ?? '' }))
      return t('reach.open-port', { ways: words.reduce((first, second) => t('reach.way.or', { first, second })) })
    }
    case 'routers-random':
    case 'routers-vague':
      return t(`reach.${advice.code}`, { whose: t(`advice.whose.${advice.values.whose}`) })
    default:
      return t(`reach.${advice.code}`)
  }
}
