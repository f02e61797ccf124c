import { describe, expect, it } from 'vitest'
import type { NativeConnection, NativeQuic } from '../../src/adapters/quic/native.ts'
import { StreamTable } from '../../src/adapters/quic/stream-table.ts'
import type { StreamOwner } from '../../src/adapters/quic/quic-stream.ts'

/** An engine that takes everything, and in what order. */
function openTable() {
  const taken: { id: number; bytes: number }[] = []
  const native = {
    streamSend: (id: number, data: Uint8Array) => {
      taken.push({ id, bytes: data.length })
      return data.length
    },
    streamCapacity: () => 1e9,
  } as unknown as NativeConnection
  const owner: StreamOwner & { turn: number } = {
    engine: {} as NativeQuic, native, turn: 0, ended: false,
    wantsToWrite: (stream) => table.queue(stream),
    wantsFlush: () => {},
    released: (stream, givenUp) => table.released(stream, givenUp),
    exhausted: () => {},
  }
  const table = new StreamTable(owner, true)
  return {
    table,
    /** One flush. @returns the streams that were served, each once, in order */
    flush: () => {
      owner.turn++
      taken.length = 0
      table.pump()
      return [...new Set(taken.map(({ id }) => id))]
    },
    taken,
  }
}

describe('what is sent first', () => {
  it('is an answer that came while bulk was under way', () => {
    const { table, flush } = openTable()
    const films = [table.open(), table.open(), table.open()]
    for (const film of films) void film.write(new Uint8Array(4_000_000))
    for (let round = 0; round < 6; round++) flush()
    const answer = table.open()
    void answer.write(new Uint8Array(2000))
    expect(flush()[0]).toBe(answer.id)
  })

  it('is the oldest of several bulky ones, until it is done', () => {
    const { table, flush } = openTable()
    const [first, second, third] = [table.open(), table.open(), table.open()]
    for (const film of [third, second, first]) void film.write(new Uint8Array(1_000_000))
    for (let round = 0; round < 4; round++) flush()
    expect(flush()).toEqual([first.id, second.id])
    for (let round = 0; round < 20; round++) flush()
    expect(flush()[0]).not.toBe(first.id)
  })

  it('is not everything at once: what the engine has it sends from all streams in turn', () => {
    const { table, flush, taken } = openTable()
    for (let i = 0; i < 8; i++) void table.open().write(new Uint8Array(4_000_000))
    flush()
    const bytes = taken.reduce((sum, each) => sum + each.bytes, 0)
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(256 * 1024)
  })

  it('leaves nobody out for ever: everything is taken in the end', () => {
    const { table, flush, taken } = openTable()
    const sizes = new Map<number, number>()
    for (let i = 0; i < 6; i++) void table.open().write(new Uint8Array(300_000 + i))
    for (let round = 0; round < 60; round++) {
      flush()
      for (const { id, bytes } of taken) sizes.set(id, (sizes.get(id) ?? 0) + bytes)
    }
    expect([...sizes.values()].sort()).toEqual(Array.from({ length: 6 }, (_, i) => 300_000 + i))
  })
})
