/** What every transport must do, the fake one included. Run by `quic.slow.test.ts` and by the memory transport's tests. */
import { createHash, randomBytes } from 'node:crypto'
import { type Endpoint, keyHashOf, MAX_STREAMS_PER_PEER, type PeerId } from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLOSE_CODES, type CloseCode, type CloseReason, type KnockKind, type PeerConnection, type PeerStream, type Transport } from '../../src/adapters/peers/transport.ts'

export interface Arrival {
  readonly connection: PeerConnection
  readonly knock: KnockKind
}

/** Collects what a transport's `onConnection` reports. */
export class Arrivals {
  readonly #waiting: ((arrival: Arrival) => void)[] = []
  readonly #arrived: Arrival[] = []

  readonly onConnection = (connection: PeerConnection, knock: KnockKind): void => {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#arrived.push({ connection, knock })
    else waiting({ connection, knock })
  }

  get count(): number {
    return this.#arrived.length
  }

  next(): Promise<Arrival> {
    const arrived = this.#arrived.shift()
    return arrived === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(arrived)
  }
}

export interface ContractSide {
  readonly transport: Transport
  readonly peerId: PeerId
  readonly knockSecrets: { readonly code: Uint8Array; readonly known: Uint8Array }
  /** Where the other side dials it. */
  readonly endpoint: Endpoint
  readonly arrivals: Arrivals
}

export interface ContractPair {
  readonly a: ContractSide
  readonly b: ContractSide
  /** From now on neither hears the other: a crash, or a cable pulled. */
  part(): void
  close(): Promise<void>
}

const never = new AbortController().signal
const SLOW = 20_000

export function dial(from: ContractSide, to: ContractSide, secret: Uint8Array = to.knockSecrets.code, expected: PeerId = to.peerId): Promise<PeerConnection> {
  return from.transport.dial({ endpoint: to.endpoint, knockSecret: secret, expect: { peerId: expected } }, { signal: never })
}

/** Both ends of a new connection. */
export async function connect(from: ContractSide, to: ContractSide): Promise<[PeerConnection, PeerConnection]> {
  const dialled = await dial(from, to)
  return [dialled, (await to.arrivals.next()).connection]
}

export function nextStream(connection: PeerConnection): Promise<PeerStream> {
  return new Promise((resolve) => {
    connection.onStream = resolve
  })
}

export function closed(connection: PeerConnection): Promise<CloseReason> {
  return new Promise((resolve) => {
    connection.onClose = resolve
  })
}

export async function readAll(stream: PeerStream): Promise<Buffer> {
  const parts: Buffer[] = []
  const into = new Uint8Array(256 * 1024)
  for (let count = await stream.read(into); count > 0; count = await stream.read(into)) parts.push(Buffer.from(into.slice(0, count)))
  return Buffer.concat(parts)
}

export async function say(stream: PeerStream, bytes: Uint8Array): Promise<void> {
  await stream.write(bytes)
  stream.finish()
}

/** Answers every stream with what came on it, as it comes. */
export function echoStreams(connection: PeerConnection): void {
  connection.onStream = (stream) => void echo(stream)
}

async function echo(stream: PeerStream): Promise<void> {
  const into = new Uint8Array(64 * 1024)
  for (let count = await stream.read(into); count > 0; count = await stream.read(into)) await stream.write(into.subarray(0, count))
  stream.finish()
}

export async function askEcho(connection: PeerConnection, bytes: Uint8Array): Promise<Buffer> {
  const stream = connection.openStream()
  const [answer] = await Promise.all([readAll(stream), say(stream, bytes)])
  return answer
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** @param openPair two transports that can reach each other, fresh for each test */
export function transportContract(name: string, openPair: () => Promise<ContractPair>): void {
  describe(`${name}: the transport contract`, () => {
    let pair: ContractPair
    let a: ContractSide
    let b: ContractSide

    beforeEach(async () => {
      pair = await openPair()
      ;({ a, b } = pair)
    })
    afterEach(() => pair.close())

    describe('dialling', () => {
      it('connects two peers who then know each other', async () => {
        const [dialled, accepted] = await connect(a, b)
        expect([dialled.peerId, dialled.role]).toEqual([b.peerId, 'dialler'])
        expect([accepted.peerId, accepted.role]).toEqual([a.peerId, 'listener'])
        expect(dialled.remote).toEqual(b.endpoint)
        expect(await Promise.all([askBothWays(dialled, accepted), askBothWays(accepted, dialled)])).toEqual(['ping', 'ping'])
      })

      it('says which knock secret was used, and takes a key hash for an identity', async () => {
        for (const knock of ['code', 'known'] as const) {
          const expected = { keyHash: keyHashOf(b.peerId) }
          const dialled = await a.transport.dial({ endpoint: b.endpoint, knockSecret: b.knockSecrets[knock], expect: expected }, { signal: never })
          expect(dialled.peerId).toBe(b.peerId)
          expect((await b.arrivals.next()).knock).toBe(knock)
        }
      })

      it('refuses to talk to anybody but the expected peer, who hears nothing of it', async () => {
        await expect(dial(a, b, b.knockSecrets.code, a.peerId)).rejects.toMatchObject({ code: 'wrong-identity' })
        const wrongHash = { keyHash: randomBytes(16) }
        await expect(
          a.transport.dial({ endpoint: b.endpoint, knockSecret: b.knockSecrets.code, expect: wrongHash }, { signal: never }),
        ).rejects.toMatchObject({ code: 'wrong-identity' })
        const dialled = await dial(a, b)
        const { connection } = await b.arrivals.next()
        const ended = closed(connection)
        dialled.close('refused')
        expect(await ended).toEqual({ by: 'peer', code: 'refused' })
        expect(b.arrivals.count).toBe(0)
      })

      it('can be called off', async () => {
        const calling = new AbortController()
        const target = { endpoint: b.endpoint, knockSecret: randomBytes(16), expect: { peerId: b.peerId } }
        const dialling = a.transport.dial(target, { signal: calling.signal })
        calling.abort()
        await expect(dialling).rejects.toMatchObject({ code: 'aborted' })
        await expect(a.transport.dial(target, { signal: calling.signal })).rejects.toMatchObject({ code: 'aborted' })
      })

      it('works in both roles on one port, and both at once give two usable connections', async () => {
        const [ab, ba] = await Promise.all([dial(a, b), dial(b, a)])
        const [atB, atA] = await Promise.all([b.arrivals.next(), a.arrivals.next()])
        echoStreams(atB.connection)
        echoStreams(atA.connection)
        const words = [randomBytes(1000), randomBytes(1000)] as const
        const answers = await Promise.all([askEcho(ab, words[0]), askEcho(ba, words[1])])
        expect(answers.map((answer) => answer.toString('hex'))).toEqual(words.map((word) => word.toString('hex')))
      })
    })

    describe('streams', () => {
      it('carry megabytes in both directions at once, unchanged', async () => {
        const [dialled, accepted] = await connect(a, b)
        echoStreams(dialled)
        echoStreams(accepted)
        const data = [randomBytes(5_000_000), randomBytes(6_000_000)] as const
        const answers = await Promise.all([askEcho(dialled, data[0]), askEcho(accepted, data[1])])
        expect(answers.map(hash)).toEqual(data.map(hash))
      }, SLOW)

      it('are independent of each other, many at once', async () => {
        const [dialled, accepted] = await connect(a, b)
        echoStreams(accepted)
        const words = Array.from({ length: 60 }, (_, i) => Buffer.from(`stream ${i} `.repeat(200)))
        const answers = await Promise.all(words.map((word) => askEcho(dialled, word)))
        expect(answers.map(String)).toEqual(words.map(String))
      })

      it('are kept until somebody wants them', async () => {
        const [dialled, accepted] = await connect(a, b)
        const early = dialled.openStream()
        await say(early, Buffer.from('early'))
        const second = nextStream(dialled)
        await say(accepted.openStream(), Buffer.from('go on'))
        expect(String(await readAll(await second))).toBe('go on')
        expect(String(await readAll(await nextStream(accepted)))).toBe('early')
      })

      it('end in each direction on its own', async () => {
        const [dialled, accepted] = await connect(a, b)
        const ours = dialled.openStream()
        await say(ours, Buffer.from('question'))
        const theirs = await nextStream(accepted)
        expect(String(await readAll(theirs))).toBe('question')
        expect(await theirs.read(new Uint8Array(1))).toBe(0)
        await say(theirs, Buffer.from('answer'))
        expect(String(await readAll(ours))).toBe('answer')
        expect(await ours.read(new Uint8Array(1))).toBe(0)
        ours.abort()
        theirs.abort()
        await say(dialled.openStream(), Buffer.from('still there'))
        expect(String(await readAll(await nextStream(accepted)))).toBe('still there')
      })

      it('can be empty', async () => {
        const [dialled, accepted] = await connect(a, b)
        dialled.openStream().finish()
        const theirs = await nextStream(accepted)
        expect(await readAll(theirs)).toHaveLength(0)
      })

      it('can be given up by either side', async () => {
        const [dialled, accepted] = await connect(a, b)
        const ours = dialled.openStream()
        await ours.write(Buffer.from('some'))
        const theirs = await nextStream(accepted)
        const reading = ours.read(new Uint8Array(10))
        ours.abort()
        ours.abort()
        await expect(reading).rejects.toMatchObject({ code: 'aborted' })
        await expect(ours.read(new Uint8Array(10))).rejects.toMatchObject({ code: 'aborted' })
        await expect(ours.write(new Uint8Array(10))).rejects.toMatchObject({ code: 'aborted' })
        await expect(readAll(theirs)).rejects.toMatchObject({ code: 'stream-reset' })
        await expect(writeForEver(theirs)).rejects.toMatchObject({ code: 'stream-reset' })
      })

      it('make the writer wait for the reader, and nobody else', async () => {
        const [dialled, accepted] = await connect(a, b)
        const ours = dialled.openStream()
        const data = randomBytes(12_000_000)
        let written = false
        const writing = (async () => {
          await ours.write(data)
          written = true
          ours.finish()
        })()
        const theirs = await nextStream(accepted)
        echoStreams(accepted)
        for (let i = 0; i < 10; i++) expect(await askEcho(dialled, randomBytes(100_000))).toHaveLength(100_000)
        expect(written).toBe(false)
        expect(hash(await readAll(theirs))).toBe(hash(data))
        await writing
      }, SLOW)

      it(`are at most ${MAX_STREAMS_PER_PEER} at once`, async () => {
        const [dialled, accepted] = await connect(a, b)
        echoStreams(accepted)
        const streams = Array.from({ length: MAX_STREAMS_PER_PEER }, () => dialled.openStream())
        expect(() => dialled.openStream()).toThrow(expect.objectContaining({ code: 'busy' }))
        await Promise.all([readAll(streams[0]!), say(streams[0]!, Buffer.from('done'))])
        streams[1]!.abort()
        expect(String(await askEcho(dialled, Buffer.from('one')))).toBe('one')
        expect(dialled.openStream()).toBeDefined()
      })
    })

    describe('the end', () => {
      it('is told to the other side with its reason', async () => {
        for (const code of Object.keys(CLOSE_CODES) as CloseCode[]) {
          const [dialled, accepted] = await connect(a, b)
          const [closer, other] = code === 'duplicate' ? [dialled, accepted] : [accepted, dialled]
          const ends = Promise.all([closed(closer), closed(other)])
          closer.close(code)
          closer.close('goodbye')
          expect(await ends).toEqual([{ by: 'us', code }, { by: 'peer', code }])
        }
      })

      it('wakes everybody who waits', async () => {
        const [dialled, accepted] = await connect(a, b)
        const ours = dialled.openStream()
        const reading = ours.read(new Uint8Array(10))
        const writing = writeForEver(dialled.openStream())
        accepted.close('goodbye')
        await expect(reading).rejects.toMatchObject({ code: 'connection-lost' })
        await expect(writing).rejects.toMatchObject({ code: 'connection-lost' })
        await expect(ours.write(new Uint8Array(10))).rejects.toMatchObject({ code: 'connection-lost' })
        expect(() => dialled.openStream()).toThrow(expect.objectContaining({ code: 'connection-lost' }))
        ours.abort()
        // Who asks late is told all the same.
        expect(await closed(dialled)).toEqual({ by: 'peer', code: 'goodbye' })
      })

      it('comes to all connections with that of the transport', async () => {
        const [dialled] = await connect(a, b)
        const [, accepted] = await connect(b, a)
        const silent = dial(a, b, randomBytes(16))
        const refused = expect(silent).rejects.toMatchObject({ code: 'closed' })
        const ends = Promise.all([closed(dialled), closed(accepted)])
        await a.transport.close()
        await a.transport.close()
        await refused
        expect(await ends).toEqual([{ by: 'us', code: 'goodbye' }, { by: 'us', code: 'goodbye' }])
        await expect(dial(a, b)).rejects.toMatchObject({ code: 'closed' })
      })

      it('of one side reaches the other when a transport is closed', async () => {
        const [dialled] = await connect(a, b)
        const end = closed(dialled)
        await b.transport.close()
        expect(await end).toEqual({ by: 'peer', code: 'goodbye' })
      })
    })
  })

  // Each waits for real seconds, so they wait together.
  describe.concurrent(`${name}: the transport contract, where patience is needed`, () => {
    it('dialling is met with silence without the knock secret', async ({ expect }) => {
      const pair = await openPair()
      const { a, b } = pair
      await expect(dial(a, b, randomBytes(16))).rejects.toMatchObject({ code: 'timed-out' })
      expect(b.arrivals.count).toBe(0)
      await pair.close()
    }, SLOW)

    it('the end is noticed within seconds when the peer is gone without a word', async ({ expect }) => {
      const pair = await openPair()
      const [dialled, accepted] = await connect(pair.a, pair.b)
      dialled.setBusy(true)
      accepted.setBusy(true)
      const ends = Promise.all([closed(dialled), closed(accepted)])
      const reading = dialled.openStream().read(new Uint8Array(10))
      pair.part()
      await expect(reading).rejects.toMatchObject({ code: 'connection-lost' })
      expect(await ends).toEqual([{ by: 'timeout', code: 'lost' }, { by: 'timeout', code: 'lost' }])
      await pair.close()
    }, SLOW)
  })
}

async function askBothWays(from: PeerConnection, to: PeerConnection): Promise<string> {
  const arriving = nextStream(to)
  const stream = from.openStream()
  await say(stream, Buffer.from('ping'))
  return String(await readAll(await arriving))
}

async function writeForEver(stream: PeerStream): Promise<never> {
  for (;;) await stream.write(new Uint8Array(100_000))
}
