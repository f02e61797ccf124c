import { ref } from 'vue'
import { LOCALES, type Locale, useLocale } from '../i18n.ts'

/** English, German, or what the browser says; kept in this browser. */
export type Language = 'auto' | Locale

const KEY = 'language'

export const language = ref<Language>(storedLanguage())

function storedLanguage(): Language {
  try {
    const text = localStorage.getItem(KEY)
    return LOCALES.find((locale) => locale === text) ?? 'auto'
  } catch {
    return 'auto'
  }
}

/** The first of the person's languages that we speak; English where there is none. */
export function bestLocale(wanted: readonly string[]): Locale {
  for (const tag of wanted) {
    const found = LOCALES.find((locale) => tag.toLowerCase().split('-')[0] === locale)
    if (found !== undefined) return found
  }
  return 'en'
}

export async function setLanguage(next: Language): Promise<void> {
  language.value = next
  try {
    localStorage.setItem(KEY, next)
  } catch {
    // A browser that stores nothing still speaks it until it is closed.
  }
  await applyLanguage()
}

/** A language that cannot be loaded (offline, and never seen before) leaves the present one. */
export async function applyLanguage(): Promise<void> {
  await useLocale(language.value === 'auto' ? bestLocale(navigator.languages ?? []) : language.value).catch(() => undefined)
}
