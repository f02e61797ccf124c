import { type ChildProcess, fork } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createServer, connect } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { certificateFromSeed } from '../src/adapters/identity/certificate.ts'

/**
 * The yardstick: the same file from disk to disk between two Node processes over a plain TLS 1.3 stream, with the same kind of certificate.
 * Run as a child it is the sender.
 */
export async function tlsSeconds(source: string, target: string): Promise<number> {
  const sender: ChildProcess = fork(fileURLToPath(import.meta.url), [source], { execArgv: process.execArgv })
  const port = await new Promise<number>((resolve, reject) => {
    sender.once('message', (message) => resolve(Number(message)))
    sender.once('error', reject)
  })
  const started = performance.now()
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1.3' })
  await pipeline(socket, createWriteStream(target, { highWaterMark: 1024 * 1024 }))
  const handle = await open(target, 'r+')
  await handle.sync()
  await handle.close()
  const seconds = (performance.now() - started) / 1000
  await new Promise<void>((resolve) => {
    sender.once('exit', () => resolve())
    sender.kill()
  })
  return seconds
}

function send(source: string): void {
  const { privateKeyPem, certificatePem } = certificateFromSeed(new Uint8Array(32).fill(7))
  const server = createServer({ key: privateKeyPem, cert: certificatePem, minVersion: 'TLSv1.3' }, (socket) => {
    void pipeline(createReadStream(source, { highWaterMark: 1024 * 1024 }), socket)
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] !== undefined) send(process.argv[2])
