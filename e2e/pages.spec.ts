import { type Browser, type Page, expect, test } from '@playwright/test'
import { expectAccessible } from './support/accessibility.ts'
import { type MockApp, openMockApp } from './support/mock-app.ts'
import { PAGE_STATES, type PageState } from './support/page-states.ts'

/** What has to hold on every page and in every dialog, in both themes, both languages, at the desk and on a phone. */

// Pictures of every step of so long a walk would take longer than the walk.
test.use({ trace: 'off' })

let app: MockApp

test.beforeAll(async () => {
  app = await openMockApp()
})

test.afterAll(() => app.close())

const PHONE = { width: 390, height: 844 }
const DESK = { width: 1280, height: 800 }

interface Walk {
  readonly viewport: { readonly width: number; readonly height: number }
  readonly language: 'en' | 'de'
}

/** Visits every state; what the pages complain about ends up in the findings. */
async function walk(browser: Browser, { viewport, language }: Walk, look: (page: Page, state: PageState) => Promise<readonly string[]>): Promise<readonly string[]> {
  const context = await browser.newContext({ viewport, locale: language === 'de' ? 'de-DE' : 'en-GB', reducedMotion: 'reduce' })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const findings: string[] = []
  let what = ''
  page.on('pageerror', (error) => findings.push(`${what}: ${error.message}`))
  page.on('console', (message) => {
    // The mock has no files.
    if (['warning', 'error'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) findings.push(`${what}: ${message.text()}`)
  })
  let loaded = ''
  for (const state of PAGE_STATES) {
    ;({ what } = state)
    const world = `${state.world ?? 'default'} ${state.role ?? ''}`
    const address = app.url(state.world ?? 'default', state.path, state.role)
    // What was done on a page must not stay for the next state of it.
    if (world === loaded) await page.evaluate((to) => location.replace(to), app.url(state.world ?? 'default', '/send', state.role))
    await page.goto(address)
    loaded = world
    try {
      await page.locator('h1').first().waitFor({ state: 'attached' })
      await state.open?.(page, ([en, de]) => (language === 'de' ? de : en))
      if (state.isDialog === true) await page.getByRole('dialog').waitFor()
    } catch (error) {
      findings.push(`${what}: cannot be reached: ${(error as Error).message.split('\n').slice(0, 3).join(' ')}`)
      loaded = ''
      continue
    }
    findings.push(...(await look(page, state)).map((finding) => `${what}: ${finding}`))
    // To be looked at, compared with nothing.
    await page.screenshot({ path: test.info().outputPath(`${what}.jpg`), type: 'jpeg', quality: 70 })
    await page.keyboard.press('Escape')
    if (state.isDialog === true) await expect(page.getByRole('dialog'), `${what} closes on Escape`).toHaveCount(0)
  }
  await context.close()
  return findings
}

/** What sticks out of the window or of a part that should only scroll up and down. */
const tooWide = (page: Page) => page.evaluate(() => [document.documentElement, ...Array.from(document.querySelectorAll<HTMLElement>('.shell-view, dialog, main'))]
  .filter((box) => box.scrollWidth > box.clientWidth && box.clientWidth > 0)
  .map((box) => `${box.tagName.toLowerCase()} is ${box.scrollWidth - box.clientWidth} px too wide`))

/** Keys of texts, holes in them and plurals that were not chosen, wherever a person could meet them. */
const rawWords = (page: Page) => page.evaluate(() => {
  const attributes = Array.from(document.querySelectorAll('[aria-label], [title], [placeholder], [alt]')).flatMap((element) => ['aria-label', 'title', 'placeholder', 'alt'].map((name) => element.getAttribute(name) ?? ''))
  const key = /\b(activity|advice|common|connection|entries|helpers|offers|peers|phones|reach|settings|shares|sharing|shell|transfers|verify|viewer|wishes|words)\.[a-z][A-Za-z]+(\.[A-Za-z]+)*\b/
  return [document.title, document.body.innerText, ...attributes].flatMap((text) => [key, /\{\w+\}/, /\w \| \w/].flatMap((pattern) => pattern.exec(text)?.[0] ?? []))
})

test('every page and dialog is accessible, at the desk', async ({ browser }) => {
  test.setTimeout(240_000)
  expect(await walk(browser, { viewport: DESK, language: 'en' }, async (page, { what }) => {
    await page.emulateMedia({ colorScheme: 'light' })
    await expectAccessible(page, what)
    // Nothing but the colours is another one.
    await page.emulateMedia({ colorScheme: 'dark' })
    await expectAccessible(page, `${what}, dark`, { rules: ['color-contrast'] })
    return tooWide(page)
  })).toEqual([])
})

test('every page and dialog is accessible, speaks German and fits, on a phone', async ({ browser }) => {
  test.setTimeout(240_000)
  expect(await walk(browser, { viewport: PHONE, language: 'de' }, async (page, { what }) => {
    await page.emulateMedia({ colorScheme: 'dark' })
    await expectAccessible(page, `${what}, dark, on a phone`)
    const language = await page.evaluate(() => document.documentElement.lang)
    return [...(language === 'de' ? [] : [`is in ${language}`]), ...(await rawWords(page)), ...(await tooWide(page))]
  })).toEqual([])
})
