import {
  CHANGES_CAPABILITY, CodedError, GOSSIP_CAPABILITY, INTRODUCE_CAPABILITY, MAX_HELLO_ADDRESSES, MAX_HELLO_FRAME_BYTES, OFFER_CAPABILITY, addressScope, decodeAnswer, decodeRequest, encodeAnswer, encodeRequest, formatEndpoint,
  parseEndpoint,
} from '@harddrive-party/protocol'
import type { Endpoint, ErrorCode, Fault, HelloMessage } from '@harddrive-party/protocol'
import { FrameStream } from './frame-stream.ts'
import { errorFromPeer } from './peer-requests.ts'
import type { PeerStream } from './transport.ts'

/** Says and hears `hello` on the first stream of a connection. It does not decide who is let in, nor what follows from a failure. */

export const PROTOCOL_VERSION = 1

/** What this helper understands beyond what every helper does. */
const CAPABILITIES = [GOSSIP_CAPABILITY, INTRODUCE_CAPABILITY, CHANGES_CAPABILITY, OFFER_CAPABILITY] as const

/** `wait` may be repeated, to show that somebody is still there; this many are more than a day of one a minute. */
const MAX_WAITS = 2_000

/** What the dialler says, and what the listener answers. @param more capabilities that only some helpers have */
export function makeHello(own: { agent: string; knockSecret: Uint8Array; pathKey: Uint8Array; addresses: readonly string[]; tcpPort?: number }, more: readonly string[] = []): HelloMessage {
  return { type: 'hello', versions: [PROTOCOL_VERSION], capabilities: [...CAPABILITIES, ...more], ...own, addresses: own.addresses.slice(0, MAX_HELLO_ADDRESSES) }
}

/**
 * As the dialler: says ours and waits for the listener's, which may take as long as a person needs.
 * @param onWait called once when the other side says that its person has to accept first
 * @throws CodedError what the other side answered; `bad-answer`, `unsupported` (no common version), and what streams throw
 */
export async function sayHello(stream: PeerStream, ours: HelloMessage, onWait: () => void): Promise<HelloMessage> {
  const frames = new FrameStream(stream)
  await frames.writeFrame(encodeRequest(ours))
  stream.finish()
  for (let waits = 0; waits <= MAX_WAITS; waits++) {
    const body = await frames.readFrame(MAX_HELLO_FRAME_BYTES)
    if (body === null) throw new CodedError('bad-answer', 'the other side ended hello without a word')
    const answer = decodeAnswer(body)
    if (!answer.ok) throw new CodedError('bad-answer', answer.error.message)
    const { value } = answer
    if (value.type === 'hello') return withCommonVersion(value)
    if (value.type === 'error') throw errorFromPeer(value)
    if (value.type !== 'wait' || value.reason !== 'approval') throw new CodedError('bad-answer', `hello was answered with “${value.type}”`)
    if (waits === 0) onWait()
  }
  throw new CodedError('bad-answer', 'the other side asks to wait without end')
}

/**
 * As the listener: reads the dialler's.
 * @throws CodedError `bad-request`, `not-allowed` (another request came first), `unsupported` (no common version), and what streams throw
 */
export async function hearHello(frames: FrameStream): Promise<HelloMessage> {
  const body = await frames.readFrame(MAX_HELLO_FRAME_BYTES)
  if (body === null) throw new CodedError('bad-request', 'there was no hello')
  const request = decodeRequest(body)
  if (!request.ok) throw new CodedError('bad-request', request.error.message)
  if (request.value.type !== 'hello') throw new CodedError('not-allowed', 'hello comes first')
  return withCommonVersion(request.value)
}

function withCommonVersion(theirs: HelloMessage): HelloMessage {
  if (theirs.versions.includes(PROTOCOL_VERSION)) return theirs
  const spoken = theirs.versions.join(', ')
  throw new CodedError('unsupported', `no common protocol version: ${theirs.agent} speaks ${spoken}, this helper speaks ${PROTOCOL_VERSION}`)
}

export async function answerWait(frames: FrameStream): Promise<void> {
  await frames.writeFrame(encodeAnswer({ type: 'wait', reason: 'approval' }))
}

export async function answerHello(frames: FrameStream, ours: HelloMessage): Promise<void> {
  await frames.writeFrame(encodeAnswer(ours))
  frames.stream.finish()
}

export async function answerFault(frames: FrameStream, fault: Fault<ErrorCode>): Promise<void> {
  await frames.writeFrame(encodeAnswer({ type: 'error', ...fault }))
  frames.stream.finish()
}

/**
 * Where a peer can be dialled again: where it was just seen, then what it claims. Claims are hints of a stranger, so none may name a place that is
 * no single machine, and this machine only if the peer is on it.
 * @param seen where we reached it or see it now, best first
 * @returns at most MAX_HELLO_ADDRESSES
 */
export function believedAddresses(seen: readonly Endpoint[], claimed: readonly string[]): string[] {
  const isHere = seen.some(({ host }) => addressScope(host) === 'loopback')
  const believed = new Set(seen.map(formatEndpoint))
  for (const text of claimed) {
    const endpoint = parseEndpoint(text)
    if (!endpoint.ok) continue
    const scope = addressScope(endpoint.value.host)
    if (scope === 'multicast' || scope === 'unspecified' || endpoint.value.host === '255.255.255.255') continue
    if (scope === 'loopback' && !isHere) continue
    believed.add(formatEndpoint(endpoint.value))
  }
  return [...believed].slice(0, MAX_HELLO_ADDRESSES)
}
