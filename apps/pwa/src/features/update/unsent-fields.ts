/** What a person has typed into the page and not sent yet, carried over a reload that they asked for. Knows nothing of what the fields mean. */

const KEY = 'unsent-fields'

type Field = HTMLInputElement | HTMLTextAreaElement

interface Kept {
  readonly page: string
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/** More than a page has, and than a session's storage should hold. */
const MAX_FIELDS = 50
const MAX_LENGTH = 10_000

const typed = new Set<Field>()

/** @returns stops noticing */
export function noticeTyping(): () => void {
  document.addEventListener('input', notice)
  return () => document.removeEventListener('input', notice)
}

/** To be called right before the reload. */
export function keepUnsent(): void {
  const fields = [...typed].filter((field) => field.isConnected && field.value !== '' && nameOf(field) !== '').slice(0, MAX_FIELDS).map((field) => [nameOf(field), field.value.slice(0, MAX_LENGTH)] as const)
  try {
    if (fields.length > 0) sessionStorage.setItem(KEY, JSON.stringify({ page: location.hash, fields } satisfies Kept))
  } catch {
    // A browser that keeps nothing for this page has nothing to carry it in.
  }
}

/** Fills the fields of the page as they appear; whoever goes on to another page, or types, is not disturbed. */
export function restoreUnsent(): void {
  const kept = takeKept()
  if (kept === null || kept.page !== location.hash) return
  const waiting = new Map(kept.fields)
  const observer = new MutationObserver(fill)
  const stop = () => {
    observer.disconnect()
    window.removeEventListener('hashchange', stop)
  }
  function fill() {
    for (const field of document.querySelectorAll<Field>('input, textarea')) {
      const value = isText(field) && !field.disabled ? waiting.get(nameOf(field)) : undefined
      if (value === undefined) continue
      waiting.delete(nameOf(field))
      if (typed.has(field)) continue
      field.value = value
      field.dispatchEvent(new Event('input', { bubbles: true }))
    }
    if (waiting.size === 0) stop()
  }
  observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ['disabled'] })
  window.addEventListener('hashchange', stop)
  fill()
}

function notice({ target }: Event) {
  if (isText(target)) typed.add(target)
}

function takeKept(): Kept | null {
  try {
    const text = sessionStorage.getItem(KEY)
    sessionStorage.removeItem(KEY)
    return text === null ? null : (JSON.parse(text) as Kept)
  } catch {
    return null
  }
}

function isText(target: EventTarget | null): target is Field {
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && ['text', 'search', 'url', 'number'].includes(target.type))
}

function nameOf(field: Field): string {
  // An id that was counted is another field's in another version.
  return /^v-\d/.test(field.id) || field.id === '' ? field.getAttribute('aria-label') ?? '' : field.id
}
