/** A page whose code is no longer there, because another window has changed over to a new version: the only way on is that version. */

const KEY = 'missing-page'

/** @param page the route that was asked for; loading it afresh is tried once, and only where the app itself is kept */
export function loadAfresh(page: string): void {
  if (navigator.serviceWorker?.controller == null) return
  try {
    if (sessionStorage.getItem(KEY) === page) return
    sessionStorage.setItem(KEY, page)
  } catch {
    // Without a memory it could go on for ever.
    return
  }
  location.hash = page
  location.reload()
}

export function noteShown(): void {
  try {
    sessionStorage.removeItem(KEY)
  } catch {
    // Nothing was noted, then.
  }
}
