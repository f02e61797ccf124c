import { afterEach, describe, expect, it } from 'vitest'
import { formatBytes } from '../src/format.ts'
import { type TextKey, isolate, t, useLocale } from '../src/i18n.ts'
import { de } from '../src/locales/de/index.ts'
import { reach as germanReach } from '../src/locales/de/reach.ts'
import { en } from '../src/locales/en/index.ts'
import { reach } from '../src/locales/en/reach.ts'
import { bestLocale } from '../src/state/language.ts'

type Tree = { readonly [key: string]: string | Tree }

function texts(tree: Tree, path = ''): Map<string, string> {
  const all = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    const at = path === '' ? key : `${path}.${key}`
    if (typeof value === 'string') all.set(at, value)
    else for (const [deeper, text] of texts(value, at)) all.set(deeper, text)
  }
  return all
}

const placesOf = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort()
const shapeOf = (text: string) => ({ places: placesOf(text), forms: formsOf(text), isEmpty: text.trim() === '' })
const formsOf = (text: string) => text.split(' | ').length
const shapes = (all: Map<string, string>) => Object.fromEntries([...all].map(([key, text]) => [key, shapeOf(text)]))

describe('German', () => {
  const english = texts({ ...en, reach })
  const german = texts({ ...(de as unknown as Tree), reach: germanReach })

  it('has every text, and none that English has not', () => {
    expect([...german.keys()].sort()).toEqual([...english.keys()].sort())
  })
  it('has the same places for values, and as many forms', () => {
    expect(shapes(german)).toEqual(shapes(english))
  })
})

it('can show every text', () => {
  const broken = [...texts(en)].filter(([key, text]) => {
    const values = Object.fromEntries(placesOf(text).map((place) => [place.slice(1, -1), 'Ada']))
    return t(key as TextKey, values, 2) !== (text.split(' | ')[1] ?? text).replaceAll(/\{\w+\}/g, 'Ada')
  })
  expect(broken).toEqual([])
})

describe('the chosen language', () => {
  afterEach(() => useLocale('en'))

  it('counts, formats and names in German', async () => {
    await useLocale('de')
    expect(t('shell.state.connected', {}, 1)).toBe('Online · 1 verbunden')
    expect(t('common.duration.days', {}, 2)).toBe('2 Tage')
    expect(formatBytes(1_234_567)).toBe('1,2 MB')
    expect(document.documentElement.lang).toBe('de')
  })
  it('is the first that we speak of those that the person reads', () => {
    expect(bestLocale(['fr-FR', 'de-AT', 'en'])).toBe('de')
    expect(bestLocale(['fr', 'en-GB'])).toBe('en')
    expect(bestLocale([])).toBe('en')
  })
})

it('keeps names of another direction from turning the sentence', () => {
  expect(isolate('Ada')).toBe('Ada')
  expect(isolate('שלום')).toBe('\u2068שלום\u2069')
  // An override inside of a name ends with the name.
  expect(isolate('exe.\u202Egpj')).toBe('\u2068exe.gpj\u2069')
})
