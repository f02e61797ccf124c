// Bundles the helper into apps/helper/dist (or the directory named): the command, the network process, the workers.
// What has native parts stays outside.
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const helper = fileURLToPath(new URL('../apps/helper', import.meta.url))

const outdir = process.argv[2] ?? `${helper}/dist`

await rm(outdir, { recursive: true, force: true })
await build({
  absWorkingDir: helper,
  entryPoints: {
    cli: 'src/cli/cli.ts',
    'network-main': 'src/network/network-main.ts',
    'hash-worker': 'src/adapters/transfers/hash-worker.ts',
    'share-scan-worker': 'src/adapters/shares/share-scan-worker.ts',
    'thumbnail-worker': 'src/adapters/thumbnails/thumbnail-worker.ts',
  },
  outdir,
  bundle: true,
  // Commands need little of the helper; what the processes have in common is in chunks beside them.
  splitting: true,
  chunkNames: '[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // lmdb, sharp and the QUIC engine are native; pino and open find files of their own beside themselves.
  external: ['koffi', 'sharp', 'lmdb', '@infisical/*', '@matrixai/*', 'cbor-extract', 'pino', 'open'],
  sourcemap: true,
  // CommonJS packages inside of the bundle call require for Node's own modules.
  banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
  logLevel: 'warning',
})
