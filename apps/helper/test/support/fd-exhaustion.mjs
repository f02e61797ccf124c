// Run with few file descriptors: serves a file while none is left, and again when there are some. Prints what a peer was answered, as JSON.
import { openSync, closeSync } from 'node:fs'
import { register } from 'tsx/esm/api'

register()
const { openShareReader } = await import('../../src/adapters/shares/share-reader.ts')
const { openPeerService } = await import('../../src/adapters/peers/peer-service.ts')
const { requestRead } = await import('../../src/adapters/peers/peer-requests.ts')
const { MemoryNetwork } = await import('./memory-transport.ts')

const [directory, size] = [process.argv[2], Number(process.argv[3])]
const root = { shareId: 's', name: 'Share', directory }
const index = { find: (path) => ({ entry: { path, size, mtime: 0, isDirectory: false }, root, file: `${directory}/file` }), list: async () => ({ entries: [] }) }
const service = openPeerService({ reader: openShareReader({ index }), onUploads: () => {} })
const network = new MemoryNetwork()
const secrets = () => ({ code: '00'.repeat(16), known: '11'.repeat(16) })
const server = {
  peerId: 'ff'.repeat(32), endpoint: { host: '127.0.0.1', port: 1 }, secrets,
  events: { onConnection: (connection) => { connection.onStream = (stream) => service.serve(connection, stream) } },
}
network.open(server)
const { signal } = new AbortController()
const connection = await network.open({ peerId: 'aa'.repeat(32), endpoint: { host: '127.0.0.1', port: 2 }, secrets, events: { onConnection: () => {} } })
  .dial({ endpoint: server.endpoint, knockSecret: new Uint8Array(16), expect: { peerId: server.peerId } }, { signal })
const read = async () => {
  const into = new Uint8Array(size)
  try {
    const { length } = await requestRead(connection, { path: 'Share/file', start: 0, end: size }, into, { signal })
    return `${length} bytes`
  } catch (error) {
    return error.code
  }
}

const answers = [await read()]
const held = []
try {
  for (;;) held.push(openSync('/dev/null', 'r'))
} catch (error) {
  if (error.code !== 'EMFILE') throw error
}
answers.push(await read(), await read())
for (const descriptor of held) closeSync(descriptor)
answers.push(await read())
console.log(JSON.stringify({ held: held.length > 0, answers }))
process.exit(0)
