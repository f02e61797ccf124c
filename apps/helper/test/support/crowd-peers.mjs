// Many peers in one process, each with a key and a socket of its own, at one helper. Argument, as JSON: { code, transport: 'quic' | 'tcp', count, slow, path,
// size }. The slow ones ask for all they may and read next to nothing, or begin a question and never end it; they say so on a first line and stay until the
// process is ended. The others fetch the file and print the hash of what they got, each on a line.
import { createHash, randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { connect } from 'node:net'
import { register } from 'tsx/esm/api'

register()
const { MAX_REQUEST_FRAME_BYTES, MAX_READ_BYTES, encodeRequest, parseAnnounceCode } = await import('@harddrive-party/protocol')
const { FrameStream } = await import('../../src/adapters/peers/frame-stream.ts')
const { requestRead } = await import('../../src/adapters/peers/peer-requests.ts')
const { openQuicTransport } = await import('../../src/adapters/quic/quic-transport.ts')
const { openTcpTransport } = await import('../../src/adapters/tcp/tcp-transport.ts')

const { code, transport, count, slow, path, size } = JSON.parse(process.argv[2])
const { knockSecret, keyHash, addresses } = parseAnnounceCode(code).value
const endpoint = addresses.find(({ host }) => host === '127.0.0.1')
const { signal } = new AbortController()
setMaxListeners(0, signal)

async function join() {
  const options = { seed: randomBytes(32), loopbackOnly: true, knockSecrets: { code: randomBytes(16), known: randomBytes(16) }, onConnection: () => {}, log: () => {} }
  const opened = transport === 'quic' ? await openQuicTransport({ ...options, udpPort: 0 }) : await openTcpTransport({ ...options, port: 0 })
  const connection = await opened.dial({ endpoint, knockSecret, expect: { keyHash } }, { signal })
  connection.onClose = () => {}
  connection.onStream = (stream) => stream.abort()
  const stream = connection.openStream()
  const frames = new FrameStream(stream)
  await frames.writeFrame(encodeRequest({ type: 'hello', versions: [1], capabilities: [], agent: 'crowd', knockSecret: randomBytes(16), pathKey: randomBytes(16), addresses: [] }))
  if ((await frames.readFrame(MAX_REQUEST_FRAME_BYTES)) === null) throw new Error('no hello')
  stream.finish()
  return connection
}

async function fetchFile(connection) {
  const hash = createHash('sha256')
  for (let start = 0; start < size; start += MAX_READ_BYTES) {
    const end = Math.min(size, start + MAX_READ_BYTES)
    const into = new Uint8Array(end - start)
    await requestRead(connection, { path, start, end }, into, { signal, noProgressMs: 120_000 })
    hash.update(into)
  }
  console.log(hash.digest('hex'))
}

async function dawdle(number) {
  const connection = await join()
  for (let i = 0; i < 16; i++) {
    const stream = connection.openStream()
    const question = encodeRequest({ type: 'read', path, start: 0, end: Math.min(size, MAX_READ_BYTES) })
    if (number % 2 === 0) {
      await new FrameStream(stream).writeFrame(question)
      void stream.read(new Uint8Array(1)).catch(() => {})
    } else void stream.write(Uint8Array.of(0, 0)).catch(() => {})
  }
}

const slowOnes = await Promise.all(Array.from({ length: slow }, (_, number) => dawdle(number).then(() => 'slow')))
// Connections that never say anything, or only the beginning of it.
const silent = Array.from({ length: slow }, (_, number) => {
  const socket = connect(endpoint.port, '127.0.0.1', () => number % 2 === 0 || socket.write(randomBytes(7)))
  return socket.on('error', () => {})
})
console.log(`${slowOnes.length} slow, ${silent.length} silent`)
// One after another: all of them have one address, from which only some may knock at a time.
const connections = []
for (let i = 0; i < count; i++) connections.push(await join())
await Promise.all(connections.map(fetchFile))
if (slow === 0) process.exit(0)
