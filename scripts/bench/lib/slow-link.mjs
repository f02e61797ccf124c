// A link with a delay between two helpers on this machine: a UDP relay that hands every packet on a while later, in order.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { formatAnnounceCode, parseAnnounceCode } from '../../../packages/protocol/src/index.ts'

/** @returns {Promise<string>} a code of the same helper whose only address is the near end of a link with this round-trip time */
export async function codeBehindDelay(bench, code, rttMs) {
  const parsed = parseAnnounceCode(code)
  if (!parsed.ok) throw new Error(parsed.error.message)
  const target = parsed.value.addresses.find(({ host }) => !host.includes(':'))
  const [near, far] = [await bound(), await bound()]
  bench.onTidy(() => {
    near.close()
    far.close()
  })
  let client
  const forth = delayed(rttMs / 2, (packet) => far.send(packet, target.port, target.host))
  const back = delayed(rttMs / 2, (packet) => near.send(packet, client.port, client.address))
  near.on('message', (packet, from) => {
    client = from
    forth(packet)
  })
  far.on('message', back)
  return formatAnnounceCode({ ...parsed.value, addresses: [{ host: '127.0.0.1', port: near.address().port }] })
}

function delayed(ms, pass) {
  const waiting = []
  const run = () => {
    const now = performance.now()
    while (waiting.length > 0 && waiting[0].at <= now) pass(waiting.shift().packet)
    if (waiting.length > 0) setTimeout(run, Math.max(0, waiting[0].at - now))
  }
  return (packet) => {
    waiting.push({ at: performance.now() + ms, packet })
    if (waiting.length === 1) setTimeout(run, ms)
  }
}

async function bound() {
  const socket = createSocket('udp4')
  socket.bind({ port: 0, address: '127.0.0.1' })
  await once(socket, 'listening')
  socket.setRecvBufferSize(8 * 1024 * 1024)
  socket.setSendBufferSize(8 * 1024 * 1024)
  return socket
}
