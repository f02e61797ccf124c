import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'

/** The app with a pretended helper, for what a page looks like: states that a real helper takes minutes to reach are there at once. */
export interface MockApp {
  /** @param world one of the mock's @param path a route @param role of this browser */
  url(world: string, path: string, role?: string): string
  close(): Promise<void>
}

export async function openMockApp(): Promise<MockApp> {
  const server = await createServer({ root: fileURLToPath(new URL('../../apps/pwa', import.meta.url)), logLevel: 'error', server: { host: '127.0.0.1', port: 0, hmr: false, watch: null } })
  await server.listen()
  const address = server.httpServer?.address()
  if (typeof address !== 'object' || address === null) throw new Error('the development server has no address')
  return {
    url: (world, path, role) => `http://127.0.0.1:${address.port}/?mock=${world}${role === undefined ? '' : `&role=${role}`}#${path}`,
    close: () => server.close(),
  }
}
