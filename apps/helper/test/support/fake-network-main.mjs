// Stands in for the network process in network-process.slow.test.ts: keeps its side of the IPC contract, and misbehaves when told to.
let config
process.on('disconnect', () => process.exit(0))
process.on('message', (message) => {
  if (message.kind === 'config') {
    config = message.config
    beat()
    setInterval(beat, 20)
    process.send({ kind: 'event', event: { type: 'ready', udp: { v4: config.udpPort || 40_000 + (process.pid % 10_000), v6: null }, filesOrigin: 'http://127.0.0.1:1' } })
    return
  }
  const { id, method, args } = message
  const answer = (value) => process.send({ kind: 'result', id, value })
  switch (method) {
    case 'list':
      // What this process was told, so that a test can see it.
      return answer({ entries: [], config, bytes: new Uint8Array([1, 2, 3]) })
    case 'startFiles':
      process.send({ kind: 'event', event: { type: 'peer', peer: { peerId: args.peerId, state: 'connected', path: null, lastError: null } } })
      return answer(undefined)
    case 'ping':
      return misbehave(args.peerId, id)
    case 'close':
      return process.exit(0)
    default:
      return answer(undefined)
  }
})

function misbehave(how, id) {
  switch (how) {
    case 'crash':
      process.exit(3)
      break
    case 'refuse':
      process.send({ kind: 'error', id, code: 'offline', message: 'not here' })
      break
    case 'invent a code':
      process.send({ kind: 'error', id, code: 'shiny', message: 'unheard of' })
      break
    case 'garbage':
      for (const raw of ['text', 7, null, [1], { kind: 'result' }, { kind: 'error', id: -1 }, { kind: 'event', event: 'x' }, { kind: 'heartbeat', rssBytes: 'a' }, { kind: 'result', id: 999_999, value: 1 }]) process.send(raw)
      process.send({ kind: 'result', id, value: { rttMs: 1 } })
      break
    case 'grow':
      process.send({ kind: 'heartbeat', rssBytes: 9e12, eventLoopP99Ms: 1 })
      break
    case 'block':
      for (;;);
    case 'hold':
      // Never answers.
      break
  }
}

function beat() {
  process.send({ kind: 'heartbeat', rssBytes: process.memoryUsage.rss(), eventLoopP99Ms: 1 }, () => {})
}
