// First, so that the styles of components come after them.
import './styles/tokens.css'
import './styles/base.css'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { pairWithHelper, sessionsWith } from './control.ts'
import { openRouter } from './router.ts'
import { useHelper } from './state/helper-store.ts'
import { applyLanguage } from './state/language.ts'
import { openMemory } from './state/memory.ts'
import { type HelperDoor, useSetup } from './state/setup-store.ts'
import { applyTheme } from './state/theme.ts'

/** Wires the app together: the real helper, or in development the mock when the address asks for it. */
applyTheme()
// Another language than English is a file of its own; words must not change under the reader's eyes.
await applyLanguage()
const pinia = createPinia()
createApp(App).use(pinia).use(openRouter()).mount('#app')
void boot()

async function boot() {
  const setup = useSetup(pinia)
  const helper = useHelper(pinia)
  for (const event of ['focus', 'online'] as const) window.addEventListener(event, () => helper.wake())
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') helper.wake()
  })
  if (import.meta.env.DEV) {
    const name = new URLSearchParams(location.search).get('mock')
    if (name !== null) {
      const { openMockDoor } = await import('./mock/mock-door.ts')
      return setup.boot(openMockDoor(name))
    }
  }
  const { memory, db } = await openMemory()
  const door: HelperDoor = {
    pair: (invitation) => pairWithHelper(db, invitation),
    sessions: (helperId) => (db === null ? () => Promise.reject(new Error('no database')) : sessionsWith(db, helperId)),
  }
  await setup.boot({ memory, door })
}
