// What the old harddrive-party takes for the internet: a DNS server that gives the names one of two addresses in turn, and a STUN server on both.
import { createSocket } from 'node:dgram'
import { openStunResponder } from '../../../lab/stun-responder.ts'

const hosts = process.argv.slice(2)
await openStunResponder(hosts)
let answered = 0
const dns = createSocket('udp4')
dns.on('message', (query, from) => {
  const answer = answerTo(query)
  if (answer !== undefined) dns.send(answer, from.port, from.address)
})
await new Promise((resolve, reject) => dns.once('error', reject).bind(53, hosts[0], resolve))
console.log('ready')

/** RFC 1035, for a query with one question: an A record, and nothing of any other type. */
function answerTo(query) {
  let at = 12
  while (at < query.length && query[at] !== 0) at += query[at] + 1
  const end = at + 5
  if (end > query.length) return undefined
  const isAddress = query.readUInt16BE(at + 1) === 1
  const head = Buffer.from(query.subarray(0, end))
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(isAddress ? 1 : 0, 6)
  head.writeUInt32BE(0, 8)
  if (!isAddress) return head
  const address = hosts[answered++ % hosts.length].split('.').map(Number)
  // A pointer to the name in the question, A, IN, a minute, four bytes.
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address])])
}
