import { type RouteRecordRaw, createRouter, createWebHashHistory } from 'vue-router'
import SetupPage from './features/setup/SetupPage.vue'
import PeersPage from './features/peers/PeersPage.vue'

/** Which address shows which page. Hash routes, because the helper serves one document and links carry secrets that must not reach a server. */
const routes: RouteRecordRaw[] = [
  { path: '/', redirect: '/peers' },
  { path: '/peers', component: PeersPage, meta: { title: 'Peers' } },
  { path: '/add/:code(.*)', component: PeersPage, props: true, meta: { title: 'Add peer' } },
  { path: '/pair/:invitation(.*)', component: SetupPage, props: true, meta: { title: 'Pair', bare: true } },
  { path: '/peers/:peerId', component: () => import('./features/browse/BrowsePage.vue'), props: true, meta: { title: 'Browse', tall: true } },
  { path: '/search', component: () => import('./features/search/SearchPage.vue'), meta: { title: 'Search', tall: true } },
  { path: '/transfers', component: () => import('./features/transfers/TransfersPage.vue'), meta: { title: 'Transfers' } },
  { path: '/shares', component: () => import('./features/shares/SharesPage.vue'), meta: { title: 'Shares' } },
  { path: '/shares/browse', component: () => import('./features/browse/BrowsePage.vue'), props: { peerId: null }, meta: { title: 'My shares', tall: true } },
  { path: '/settings', component: () => import('./features/settings/SettingsPage.vue'), meta: { title: 'Settings' } },
  { path: '/connection/:peerId?', component: () => import('./features/connection/ConnectionPage.vue'), props: true, meta: { title: 'Connection' } },
  { path: '/:rest(.*)', redirect: '/peers' },
]

export function openRouter() {
  const router = createRouter({ history: createWebHashHistory(), routes })
  router.afterEach((to) => {
    document.title = typeof to.meta.title === 'string' ? `${to.meta.title} · harddrive-party` : 'harddrive-party'
  })
  return router
}
