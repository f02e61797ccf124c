// Part of the service worker: a tapped notification brings the app to the front, at the page it is about.
self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  const url = new URL(event.notification.data?.url ?? '/', self.location.origin)
  if (url.origin !== self.location.origin) return
  event.waitUntil((async () => {
    const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
    const page = pages.find((client) => new URL(client.url).origin === url.origin)
    if (page === undefined) return self.clients.openWindow(url.href)
    await page.focus()
    return page.navigate(url.href)
  })())
})
