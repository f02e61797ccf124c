import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Page, expect } from '@playwright/test'
import type { AxeResults, RunOptions } from 'axe-core'

// Put into a page once, not for every look at it: that takes longer than the look.
const AXE = readFileSync(createRequire(createRequire(import.meta.url).resolve('@axe-core/playwright')).resolve('axe-core/axe.min.js'), 'utf8')

/** What WCAG 2.2 AA asks for, as far as a program can tell. */
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Fails with the rule, the element and what to do, for everything that axe finds on the page as it is now. @param options.rules these alone */
export async function expectAccessible(page: Page, what: string, { rules }: { rules?: readonly string[] } = {}): Promise<void> {
  // What is fading in has not its colours yet.
  await page.evaluate(() => Promise.all(document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().iterations !== Infinity).map((animation) => animation.finished)))
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE)
  const options: RunOptions = { runOnly: rules === undefined ? { type: 'tag', values: TAGS } : { type: 'rule', values: [...rules] }, resultTypes: ['violations'] }
  const { violations, passes } = await page.evaluate((chosen) => (window as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } }).axe.run(chosen), options)
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${what}: ${id} (${help}) ${target.join(' ')}\n  ${failureSummary ?? ''}`))
  expect.soft(found).toEqual([])
  expect(passes.length, `axe has looked at ${what}`).toBeGreaterThan(rules === undefined ? 10 : 0)
}

/** The element that has the focus, as a person at the keyboard would call it, and whether they can see that it has. */
export async function focused(page: Page): Promise<{ readonly name: string; readonly isVisible: boolean }> {
  return page.evaluate(() => {
    // Between the last stop and the first is the browser itself.
    if (document.activeElement === document.body) return { name: '', isVisible: true }
    const element = document.activeElement as HTMLElement
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element)
    const box = element.getBoundingClientRect()
    const active = element.getAttribute('aria-activedescendant')
    const inside = active === null ? null : document.querySelector(`#${CSS.escape(active)}`)
    const isMarked = (outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2) || boxShadow !== 'none' || (inside !== null && getComputedStyle(inside).boxShadow !== 'none')
    const label = (element as Partial<HTMLInputElement>).labels?.[0]?.textContent
    return { name: (element.getAttribute('aria-label') ?? label ?? element.textContent ?? '').trim(), isVisible: isMarked && box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight }
  })
}

/** Presses Tab until `name` has the focus; everything on the way has to show that it has it. @returns the names on the way */
export async function tabTo(page: Page, name: string | RegExp, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<readonly string[]> {
  const way: string[] = []
  // More stops than any page has between two things.
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press(key)
    const { name: now, isVisible } = await focused(page)
    expect(isVisible, `the focus on “${now}” can be seen`).toBe(true)
    if (typeof name === 'string' ? now === name : name.test(now)) return way
    way.push(now)
  }
  throw new Error(`“${name}” cannot be reached by the keyboard; on the way were ${way.join(' | ')}`)
}
