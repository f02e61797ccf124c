import { type RouteRecordRaw, createRouter, createWebHashHistory } from 'vue-router'
import { type TextKey, t } from './i18n.ts'
import SetupPage from './features/setup/SetupPage.vue'
import { loadAfresh, noteShown } from './features/update/missing-page.ts'
import PeersPage from './features/peers/PeersPage.vue'

declare module 'vue-router' {
  interface RouteMeta {
    readonly title?: TextKey
    /** Without the frame of navigation. */
    readonly bare?: boolean
    /** As high as the window, with parts that scroll. */
    readonly tall?: boolean
  }
}

/** Which address shows which page. Hash routes, because the helper serves one document and links carry secrets that must not reach a server. */
const routes: RouteRecordRaw[] = [
  { path: '/', redirect: '/peers' },
  { path: '/peers', component: PeersPage, meta: { title: 'shell.pages.peers' } },
  { path: '/add/:code(.*)', component: PeersPage, props: true, meta: { title: 'shell.pages.add' } },
  { path: '/pair/:invitation(.*)', component: SetupPage, props: true, meta: { title: 'shell.pages.pair', bare: true } },
  { path: '/peers/:peerId', component: () => import('./features/browse/BrowsePage.vue'), props: true, meta: { title: 'shell.pages.browse', tall: true } },
  { path: '/search', component: () => import('./features/search/SearchPage.vue'), meta: { title: 'shell.pages.search', tall: true } },
  { path: '/wishes', component: () => import('./features/wishes/WishesPage.vue'), meta: { title: 'wishes.title' } },
  { path: '/transfers', component: () => import('./features/transfers/TransfersPage.vue'), meta: { title: 'shell.pages.transfers' } },
  { path: '/shares', component: () => import('./features/shares/SharesPage.vue'), meta: { title: 'shell.pages.shares' } },
  { path: '/shares/browse', component: () => import('./features/browse/BrowsePage.vue'), props: { peerId: null }, meta: { title: 'shell.pages.mine', tall: true } },
  { path: '/send', component: () => import('./features/offers/SendPage.vue'), meta: { title: 'offers.whom' } },
  { path: '/activity', component: () => import('./features/activity/ActivityPage.vue'), meta: { title: 'activity.title' } },
  { path: '/settings', component: () => import('./features/settings/SettingsPage.vue'), meta: { title: 'shell.pages.settings' } },
  { path: '/connection/:peerId?', component: () => import('./features/connection/ConnectionPage.vue'), props: true, meta: { title: 'shell.pages.connection' } },
  { path: '/:rest(.*)', redirect: '/peers' },
]

export function openRouter() {
  const router = createRouter({ history: createWebHashHistory(), routes })
  router.onError((_, to) => loadAfresh(to.fullPath))
  router.afterEach((to) => {
    noteShown()
    const { title } = to.meta
    document.title = title === undefined ? 'harddrive-party' : `${t(title)} · harddrive-party`
  })
  return router
}
