import { ref } from 'vue'
import type { ActivityEntry } from '@harddrive-party/protocol/control'
import { wordsForEntry } from './activity-words.ts'

/** Tells the person through the system while the page is not in front. Whether that is wanted is kept in this browser. */

const KEY = 'notify'

export type Permission = NotificationPermission | 'unsupported'

export const permission = ref<Permission>(typeof Notification === 'undefined' ? 'unsupported' : Notification.permission)
export const isWanted = ref(stored())

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) === 'yes'
  } catch {
    return false
  }
}

/** Asks the browser where it has to be asked. @returns whether notifications come from now on */
export async function setWanted(wanted: boolean): Promise<boolean> {
  if (wanted && permission.value === 'default') permission.value = await Notification.requestPermission()
  isWanted.value = wanted && permission.value === 'granted'
  try {
    localStorage.setItem(KEY, isWanted.value ? 'yes' : 'no')
  } catch {
    // It holds until the page is closed.
  }
  return isWanted.value
}

/** Every tab of this browser hears of the same entry; the tag makes one notification of it. */
export async function notifyOf(entry: ActivityEntry): Promise<void> {
  if (!isWanted.value || permission.value !== 'granted' || document.hasFocus()) return
  const { title, body, to } = wordsForEntry(entry)
  const options: NotificationOptions = { body, tag: `hdp-${entry.id}`, icon: '/icon-192.png', badge: '/icon-192.png', data: { url: `/#${to}` } }
  // On phones only a service worker may show one; it also brings the page to the front when it is tapped.
  const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined)
  if (registration?.active != null) await registration.showNotification(title, options).catch(() => undefined)
  else {
    const notification = new Notification(title, options)
    notification.addEventListener('click', () => {
      window.focus()
      location.hash = to
    })
  }
}
