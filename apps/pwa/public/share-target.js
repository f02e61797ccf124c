// Part of the service worker: what another program shares to the installed app is kept until its page has asked to whom it goes.
const SHARED_CACHE = 'shared-files'
const MAX_SHARED_FILES = 1000

self.addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method !== 'POST' || new URL(request.url).pathname !== '/share-target') return
  event.respondWith(keepShared(request))
})

async function keepShared(request) {
  const data = await request.formData()
  // Only the last thing that was shared waits.
  await caches.delete(SHARED_CACHE)
  const cache = await caches.open(SHARED_CACHE)
  const files = data.getAll('files').filter((one) => one instanceof File).slice(0, MAX_SHARED_FILES)
  const taken = new Set()
  for (const [index, file] of files.entries()) {
    // Programs give several pictures the same name.
    const name = taken.has(file.name) ? `${index + 1} ${file.name}` : file.name
    taken.add(name)
    await cache.put(`/shared/${index}?name=${encodeURIComponent(name)}`, new Response(file))
  }
  const note = ['title', 'text', 'url'].map((name) => data.get(name)).filter((one) => typeof one === 'string' && one !== '').join(' ')
  if (note !== '') await cache.put('/shared/note', new Response(note.slice(0, 160)))
  return Response.redirect(new URL('/#/send', self.location.origin).href, 303)
}
