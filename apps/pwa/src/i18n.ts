import { createI18n } from 'vue-i18n'
import { en } from './locales/en/index.ts'
import type { LateTexts, Messages } from './locales/messages.ts'

/** The app's texts in the person's language. Components import `t`; which language it speaks is decided in `state/language.ts`. */

const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: 'en', messages: { en } as { en: Messages } & Record<string, Messages>, missingWarn: import.meta.env.DEV, fallbackWarn: false })

export const LOCALES = ['en', 'de'] as const
export type Locale = (typeof LOCALES)[number]

const LOADERS: Record<Exclude<Locale, 'en'>, () => Promise<Messages>> = {
  de: async () => (await import('./locales/de/index.ts')).de,
}

/** Every way to a text: `peers.card.disconnect`. */
export type TextKey = Paths<typeof en> | Paths<LateTexts>
type Paths<T> = { [K in keyof T & string]: T[K] extends string ? K : `${K}.${Paths<T[K]>}` }[keyof T & string]

/**
 * @param values for the places in braces; numbers that are not counted are formatted by the caller
 * @param count chooses between the forms of a text that has several; also given to it as `n`, formatted
 */
export function t(key: TextKey, values: Readonly<Record<string, string | number>> = {}, count?: number): string {
  return count === undefined ? i18n.global.t(key, values) : i18n.global.t(key, { n: count.toLocaleString(locale()), ...values }, count)
}

/** The language in use; reading it in a computed value follows its changes. */
export function locale(): Locale {
  return i18n.global.locale.value as Locale
}

/** Loads a language and switches to it; the page's own language attribute, too. */
export async function useLocale(next: Locale): Promise<void> {
  if (next !== 'en') i18n.global.mergeLocaleMessage(next, await LOADERS[next]())
  i18n.global.locale.value = next
  document.documentElement.lang = next
}

/** Texts of a part of the app that is loaded later. */
export function addTexts(texts: Readonly<Record<Locale, Partial<LateTexts>>>): void {
  for (const locale of LOCALES) i18n.global.mergeLocaleMessage(locale, texts[locale])
}

const ODD_DIRECTIONS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff]|[\ud802-\ud803\ud83a-\ud83b]/

/** Keeps a name from turning the sentence around it: wrapped in isolates where it has letters or marks of another direction. */
export function isolate(name: string): string {
  return ODD_DIRECTIONS.test(name) ? `\u2068${name.replace(/[\u202a-\u202e\u2066-\u2069]/g, '')}\u2069` : name
}
