import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'
import { VitePWA } from 'vite-plugin-pwa'

/** Builds the shell that the helper serves at `/` under a policy without inline scripts or styles. */
export default defineConfig({
  define: { __VUE_I18N_FULL_INSTALL__: false, __VUE_I18N_LEGACY_API__: false, __INTLIFY_PROD_DEVTOOLS__: false },
  plugins: [
    vue(),
    VitePWA({
      registerType: 'prompt',
      injectRegister: false,
      strategies: 'generateSW',
      includeAssets: ['icon.svg'],
      manifest: {
        id: '/',
        name: 'harddrive-party',
        short_name: 'hdparty',
        description: 'Share folders directly between people: browse, search and download, with no account in between.',
        start_url: '/',
        scope: '/',
        display: 'standalone',
        background_color: '#f4f6f3',
        theme_color: '#0b6b58',
        categories: ['utilities', 'productivity'],
        icons: [
          { src: '/icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: '/icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: '/icon-maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
        share_target: { action: '/share-target', method: 'POST', enctype: 'multipart/form-data', params: { title: 'title', text: 'text', url: 'url', files: [{ name: 'files', accept: ['*/*'] }] } },
        // A code opened from anywhere lands in the app with the peer filled in, and in the window that is open already.
        protocol_handlers: [{ protocol: 'web+hdp', url: '/#/add/%s' }],
        launch_handler: { client_mode: ['navigate-existing', 'auto'] },
        shortcuts: [
          { name: 'Search', url: '/#/search' },
          { name: 'Wishes', url: '/#/wishes' },
          { name: 'Transfers', url: '/#/transfers' },
          { name: 'Shares', url: '/#/shares' },
        ],
      },
      workbox: {
        globPatterns: ['**/*.{js,css,html,svg,png,webmanifest}'],
        // The worker loads it itself.
        globIgnores: ['notification-click.js', 'share-target.js'],
        navigateFallback: '/index.html',
        // What the helper answers itself is never the shell.
        navigateFallbackDenylist: [/^\/api\//, /^\/trust/, /^\/control/],
        cleanupOutdatedCaches: true,
        inlineWorkboxRuntime: true,
        importScripts: ['/notification-click.js', '/share-target.js'],
      },
    }),
  ],
  build: { target: 'es2022', assetsInlineLimit: 0, cssCodeSplit: false, modulePreload: { polyfill: false } },
})
