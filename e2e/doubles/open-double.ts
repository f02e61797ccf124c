import { randomBytes } from 'node:crypto'
import { decode } from 'cbor-x'
import { MAX_REQUEST_FRAME_BYTES, encodeAnswer, encodeRequest, formatAnnounceCode, keyHashOf, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import { peerName } from '@harddrive-party/protocol/peer-name'
import { FrameStream } from '../../apps/helper/src/adapters/peers/frame-stream.ts'
import { openQuicTransport } from '../../apps/helper/src/adapters/quic/quic-transport.ts'
import type { PeerStream } from '../../apps/helper/src/adapters/peers/transport.ts'

/** As it was decoded and not checked: a double serves helpers of our own. */
export interface DoubleRequest {
  readonly type: string
  readonly path?: string
  readonly start?: number
  readonly end?: number
}

/**
 * A peer that shakes hands like anybody, on a new identity: prints its announce code and answers until its process is killed.
 * @param answer to everything but `hello` and `ping`
 */
export async function openDouble({ agent, capabilities, answer }: {
  readonly agent: string
  readonly capabilities: readonly string[]
  readonly answer: (frames: FrameStream, request: DoubleRequest) => Promise<void>
}): Promise<void> {
  const seed = randomBytes(32)
  const peerId = peerIdFromKey(publicKeyOf(seed))
  const codeSecret = randomBytes(16)
  const knownSecret = randomBytes(16)

  async function serve(stream: PeerStream): Promise<void> {
    const frames = new FrameStream(stream)
    const body = await frames.readFrame(MAX_REQUEST_FRAME_BYTES)
    if (body === null) return
    const request = decode(body) as DoubleRequest
    if (request.type === 'hello') {
      await frames.writeFrame(encodeRequest({ type: 'hello', versions: [1], capabilities, agent, knockSecret: knownSecret, pathKey: randomBytes(16), addresses: [] }))
    } else if (request.type === 'ping') await frames.writeFrame(encodeAnswer({ type: 'pong' }))
    else await answer(frames, request)
    stream.finish()
  }

  const transport = await openQuicTransport({
    seed,
    udpPort: 0,
    loopbackOnly: true,
    knockSecrets: { code: codeSecret, known: knownSecret },
    onConnection: (connection) => {
      connection.onClose = () => undefined
      connection.onStream = (stream) => {
        serve(stream).catch(() => stream.abort())
      }
    },
    log: () => undefined,
  })
  const code = formatAnnounceCode({
    version: 1,
    name: peerName(peerId),
    keyHash: keyHashOf(peerId),
    knockSecret: codeSecret,
    addresses: [{ host: '127.0.0.1', port: transport.ports.v4 as number }],
    natKind: 'open',
  })
  console.log(JSON.stringify({ code, peerId }))
}
