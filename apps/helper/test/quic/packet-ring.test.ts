import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { MAX_PACKET_BYTES } from '../../src/adapters/quic/config.ts'
import { coalescedSize } from '../../src/adapters/quic/packet-header.ts'
import { PacketRing } from '../../src/adapters/quic/packet-ring.ts'

const WAYS = [{ host: '127.0.0.1', port: 1 }, { host: '127.0.0.1', port: 2 }] as const

test('whatever the lengths and ways, every packet leaves once, in order, and every send can be cut', () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ length: fc.oneof({ weight: 4, arbitrary: fc.constant(MAX_PACKET_BYTES) }, fc.integer({ min: 1, max: MAX_PACKET_BYTES })), way: fc.integer({ min: 0, max: 1 }), socket: fc.integer({ min: 0, max: 1 }) }) },
    fc.constant('flush' as const),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 2047 }), (steps, most, start) => {
    const pushed: string[] = []
    const left: string[] = []
    const ring = new PacketRing({
      most: () => most,
      send: (bytes, to, socket, packets) => {
        expect(packets).toBeLessThanOrEqual(most)
        expect(Math.ceil(bytes.length / MAX_PACKET_BYTES)).toBe(packets)
        for (let at = 0; at < bytes.length; at += MAX_PACKET_BYTES) left.push(`${bytes[at]} ${Math.min(MAX_PACKET_BYTES, bytes.length - at)} ${to.port} ${socket}`)
      },
    })
    // Anywhere in the ring, its end included.
    for (let i = 0; i < start; i++) {
      ring.push(1, WAYS[0], 0)
    }
    left.length = 0
    for (const [index, one] of steps.entries()) {
      if (one === 'flush') {
        ring.flush()
        continue
      }
      ring.buffer[0] = index % 251
      ring.push(one.length, WAYS[one.way]!, one.socket)
      pushed.push(`${index % 251} ${one.length} ${WAYS[one.way]!.port} ${one.socket}`)
    }
    ring.flush()
    expect(left).toEqual(pushed)
  }), { numRuns: 60 })
})

test('packets that came together are told apart by the connection ID at the head of each', () => {
  fc.assert(fc.property(fc.integer({ min: 22, max: 1350 }), fc.integer({ min: 2, max: 40 }), fc.nat(), fc.uint8Array({ minLength: 20, maxLength: 20 }), (size, count, cut, cid) => {
    const packets = Buffer.concat(Array.from({ length: count }, () => Buffer.concat([Buffer.of(0x41), cid, Buffer.alloc(size - 21, 0xff)])))
    fc.pre(!cid.every((byte) => byte === 0xff))
    const last = 21 + (cut % (size - 20))
    const bytes = packets.subarray(0, (count - 1) * size + last)
    expect(coalescedSize(bytes)).toBe(size)
  }))
})
