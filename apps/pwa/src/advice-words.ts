import type { Detail, Fault } from '@harddrive-party/protocol'
import type { TransferNotice, VerifyDetail } from '@harddrive-party/protocol/control'
import { formatBytes } from './format.ts'
import { isolate, locale, t } from './i18n.ts'
import { en } from './locales/en/index.ts'

/** Makes sentences, in the person's language, of what the helper names: notices, findings, and the details of errors. Decides nothing. */

export function wordsForNotice({ code, values }: TransferNotice): string {
  return t(`advice.notice.${code}`, {}, values.count)
}

export function wordsForFinding(detail: VerifyDetail): string {
  switch (detail.code) {
    case 'size':
      return t('advice.finding.size', { here: formatBytes(detail.values.here), there: formatBytes(detail.values.there) })
    case 'content':
      return t('advice.finding.content', { from: formatBytes(detail.values.from) })
    default:
      return t(`advice.finding.${detail.code}`)
  }
}

/** @returns undefined for a detail that a newer helper knows and we do not */
export function wordsForDetail({ code, values }: Detail): string | undefined {
  if (!Object.hasOwn(en.advice.detail, code)) return undefined
  return t(`advice.detail.${code}`, Object.fromEntries(Object.entries(values).map(([key, value]) => [key, wordsForValue(key, value)])))
}

function wordsForValue(key: string, value: string | number): string {
  if (typeof value === 'number') return value.toLocaleString(locale())
  if (key === 'whose' && (value === 'both' || value === 'ours' || value === 'theirs')) return t(`advice.whose.${value}`)
  return isolate(value)
}

type CodeFault = keyof typeof en.advice.code

/** What is wrong with an announce code or a pairing link, as precisely as its parser knows. */
export function wordsForCodeFault({ code }: Fault): string {
  return t(`advice.code.${Object.hasOwn(en.advice.code, code) ? (code as CodeFault) : 'broken'}`)
}
