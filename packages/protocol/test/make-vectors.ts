/**
 * Writes docs/vectors/*.json (but share-paths.json, which is written by hand) from the implementation: `npx tsx packages/protocol/test/make-vectors.ts`.
 * Run it only when the protocol changes on purpose: the tests hold the implementation to the files, and wire.test.ts to bytes written by hand.
 */
import { writeFileSync } from 'node:fs'
import {
  type AnnounceCode, type NatKind, type NatPorts, type PeerRecord, RECORD_SOURCES, announceCodeQrText, deriveTopicKeys, encodeAnswer, encodeEcho, encodeFrame, encodeLanAnnouncement, encodeProbe, encodePunch, encodeRequest, formatAnnounceCode, formatAnnounceLink, introductionProof,
  keyHashOf, makeKnockCid, parseTopic, peerIdFromKey, publicKeyOf, punchKeyOf, rendezvousNames, sealTopicAnnouncement, sign,
} from '../src/index.ts'
import { NAME_WORDS, peerName } from '../src/peer-name.ts'
import { LANE_VECTORS } from './lane-vectors.ts'
import { ANSWERS, RECORD, RECORD_BYTES, REQUESTS, signedBySeven } from './sample-messages.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const filled = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff)

function write(name: string, about: string, content: object): void {
  writeFileSync(new URL(`../../../docs/vectors/${name}.json`, import.meta.url), `${JSON.stringify({ about, ...content }, null, 2)}\n`)
}

const seeds = [1, 7, 0x40, 0x80, 0xff].map((byte) => new Uint8Array(32).fill(byte))
write('identities', 'From the seed of an Ed25519 key: public key = peer id, key hash, name, and a signature of the ASCII text "hdp".', {
  identities: seeds.map((seed) => {
    const id = peerIdFromKey(publicKeyOf(seed))
    return { seed: hex(seed), peerId: id, keyHash: hex(keyHashOf(id)), name: peerName(id), signature: hex(sign(Buffer.from('hdp'), seed)) }
  }),
})

write('lanes', 'Headers of the frames on TCP, those that are refused, and what a TCP connection begins with.', LANE_VECTORS)

write('name-words', 'The two lists that names are made of, in order. Taken from unique-names-generator 4.7.1 without the words that nobody wants to be called.', NAME_WORDS)

const addresses = {
  v4: { host: '192.0.2.1', port: 4433 },
  v6: { host: '2001:db8::1', port: 65535 },
  loopback: { host: '127.0.0.1', port: 1 },
  local: { host: 'fe80::1:2:3:4', port: 40000 },
}
function code(name: string, natKind: NatKind, list: readonly { host: string; port: number }[], nat?: NatPorts): AnnounceCode {
  const keyHash = keyHashOf(peerIdFromKey(publicKeyOf(new Uint8Array(32).fill(7))))
  return { version: 1, name, keyHash, knockSecret: filled(16, 0xa0), addresses: list, natKind, ...(nat && { nat }) }
}
const codes = [
  code('Brave Otter', 'open', [addresses.v4]),
  code('Brave Otter', 'consistent', [addresses.v6, addresses.v4]),
  code('', 'unknown', [addresses.loopback]),
  code('Quiet Sea Lion', 'random', Array.from({ length: 8 }, () => addresses.local)),
  code('Brave Otter', 'block', [addresses.v4], { block: { low: 40_000, high: 40_511 } }),
  code('Brave Otter', 'block', [addresses.v4]),
  code('Brave Otter', 'counting', [addresses.v4, addresses.v6], { step: 2, lastPort: 65_535 }),
]
write('announce-codes', 'Codes with what is in them. The link is for an app at http://127.0.0.1:3030/, the QR text is the payload of a QR picture.', {
  codes: codes.map((value) => ({
    ...value,
    keyHash: hex(value.keyHash),
    knockSecret: hex(value.knockSecret),
    code: formatAnnounceCode(value),
    link: formatAnnounceLink('http://127.0.0.1:3030/', value),
    qr: announceCodeQrText(value),
  })),
})

const secret = filled(16, 0x10)
write('knocks', 'Source connection IDs that prove knowledge of a knock secret, and whether they are accepted at a time.', {
  knocks: [
    [1_700_000_000_000, 1_700_000_000_000, true],
    [1_700_000_000_000, 1_700_000_030_000, true],
    [1_700_000_000_000, 1_699_999_970_000, true],
    [1_700_000_000_000, 1_700_000_070_000, false],
    [1_700_000_000_000, 1_699_999_930_000, false],
    [0, 0, true],
    [4_102_444_800_000, 4_102_444_800_000, true],
  ].map(([madeAt, checkedAt, accepted]) => {
    const nonce = filled(8, 0xf0)
    return { secret: hex(secret), nonce: hex(nonce), madeAt, checkedAt, accepted, cid: hex(makeKnockCid(secret, nonce, madeAt as number)) }
  }),
})

const key = filled(16, 0x20)
const nonce = filled(8, 0x01)
write('datagrams', 'Kinds of datagrams by their first bytes, and path probes with their echoes under a path key.', {
  kinds: [
    ['', 'unknown'], ['00', 'unknown'], ['000100002112a442000102030405060708090a0b', 'stun'], ['000100002112a442000102030405060708090a', 'unknown'],
    ['010100002112a44300000000000000000000000000', 'unknown'], ['200100002112a442000102030405060708090a0b', 'unknown'], ['30', 'own'], ['3f', 'own'], ['2f', 'unknown'],
    ['40', 'quic-short'], ['7f', 'quic-short'], ['80', 'unknown'], ['bf', 'unknown'], ['c0', 'quic-long'], ['ff', 'quic-long'],
  ].map(([bytes, kind]) => ({ bytes, kind })),
  paths: [{ key: hex(key), nonce: hex(nonce), probe: hex(encodeProbe(nonce, key)), echo: hex(encodeEcho(nonce, key)) }],
})

const hashes = seeds.slice(0, 2).map((seed) => keyHashOf(peerIdFromKey(publicKeyOf(seed)))) as [Uint8Array, Uint8Array]
write('punches', 'Knocks that open NATs and their answers, under the knock secret of their receiver, and whether they are accepted at a time.', {
  punches: ([
    ['knock', false, 1_700_000_000_000, 1_700_000_000_000, true],
    ['answer', false, 1_700_000_000_000, 1_700_000_000_000, true],
    ['knock', true, 1_700_000_000_000, 1_700_000_030_000, true],
    ['answer', true, 1_700_000_000_000, 1_699_999_970_000, true],
    ['knock', false, 1_700_000_000_000, 1_700_000_070_000, false],
    ['knock', false, 1_700_000_000_000, 1_699_999_930_000, false],
    ['knock', false, 0, 0, true],
  ] as const).map(([type, chosen, madeAt, checkedAt, accepted]) => {
    const [sender, receiver] = hashes
    const nonce = filled(8, 0xe0)
    const packet = encodePunch({ type, nonce, chosen }, punchKeyOf(secret, sender, receiver), madeAt)
    return { secret: hex(secret), sender: hex(sender), receiver: hex(receiver), type, nonce: hex(nonce), chosen, madeAt, checkedAt, accepted, packet: hex(packet) }
  }),
})

write('frames', 'Bodies, and the same on a stream.', {
  frames: [new Uint8Array(0), Uint8Array.of(0xff), filled(300, 0)].map((body) => ({ body: hex(body), frame: hex(encodeFrame(body)) })),
})

write('messages', 'Every message as a frame body. Numbers are given in decimal, byte strings as {"hex": …}.', {
  requests: REQUESTS.map((message) => ({ message: readable(message), body: hex(encodeRequest(message)) })),
  answers: ANSWERS.map((message) => ({ message: readable(message), body: hex(encodeAnswer(message)) })),
})

const others: readonly PeerRecord[] = [
  RECORD,
  { ...RECORD, passOn: false, nat: { v4: 'block', v6: 'unknown' }, block: { low: 40_000, high: 40_511 }, addresses: [] },
  { ...RECORD, sequence: 0, issuedAt: 0, expiresAt: 1, nat: { v4: 'counting', v6: 'random' }, step: 2, lastPort: 65_535 },
  {
    ...RECORD,
    addresses: Array.from({ length: 16 }, (_, i) => ({ endpoint: { host: `fd00::${(i + 1).toString(16)}`, port: 1 + i }, source: RECORD_SOURCES[i % 4] ?? 'stun' })),
  },
]
write('peer-records', 'Peer records signed with the key whose seed is 07…07, and the proof of an introduction made with one.', {
  records: others.map((record) => ({ record: readable(record), bytes: hex(signedBySeven(record)) })),
  introductions: [{ secret: hex(secret), to: hex(filled(16, 0x30)), record: hex(RECORD_BYTES), proof: hex(introductionProof(secret, filled(16, 0x30), RECORD_BYTES)) }],
})

const TOPIC = 'brave otters'
const NOON = 1_700_049_600_000
const topicKeys = await deriveTopicKeys(TOPIC)
const [meetingName = ''] = rendezvousNames(topicKeys, NOON)
const topicNonce = filled(24, 0x50)
write('topics', 'Topics as written and as compared; keys and names; announcements of the record with the key whose seed is 07…07; the strings of a TXT record.', {
  texts: ['brave otters', '  Brave\tOTTERS ', 'Cafe\u0301', 'ﬁsh', ''].map((text) => {
    const topic = parseTopic(text)
    return { text, topic: topic.ok ? topic.value : null }
  }),
  keys: [{ topic: TOPIC, seal: hex(topicKeys.seal), name: hex(topicKeys.name) }],
  names: [NOON, NOON + 43_199_999, NOON + 43_200_000 + 600_000].map((at) => ({ topic: TOPIC, at, names: rendezvousNames(topicKeys, at) })),
  announcements: (['ask', 'answer'] as const).map((kind) => ({
    kind, at: NOON, name: meetingName, nonce: hex(topicNonce), record: hex(RECORD_BYTES),
    sealed: hex(sealTopicAnnouncement({ kind, at: NOON, signed: { record: RECORD, bytes: RECORD_BYTES } }, { keys: topicKeys, name: meetingName, nonce: topicNonce, sign: (message) => sign(message, new Uint8Array(32).fill(7)) })),
  })),
  lan: [{ peerId: RECORD.peerId, knockSecret: hex(RECORD.knockSecret), strings: encodeLanAnnouncement(RECORD).map((bytes) => Buffer.from(bytes).toString()) }],
})

function readable(message: object): unknown {
  return JSON.parse(JSON.stringify(message, (_, value: unknown) => (value instanceof Uint8Array ? { hex: hex(value) } : value)))
}
