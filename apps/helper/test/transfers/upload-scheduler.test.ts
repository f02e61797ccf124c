import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type UploadEffect, UPLOAD_LIMITS, UploadScheduler } from '../../src/core/transfers/upload-scheduler.ts'

const limits = { slots: 4, reserve: 2, perPeer: 3, stallMs: 60_000, contendedStallMs: 15_000 }

function ask(scheduler: UploadScheduler, peer: string, ...ids: number[]): UploadEffect[] {
  return ids.flatMap((id) => scheduler.step(0, { type: 'ask', id, peer }))
}

describe('upload scheduler', () => {
  it('gives one peer no more than its bound', () => {
    const scheduler = new UploadScheduler(limits)
    expect(ask(scheduler, 'a', 1, 2, 3, 4)).toEqual([1, 2, 3].map((id) => ({ type: 'grant', id })))
    expect(scheduler.step(1, { type: 'end', id: 2 })).toEqual([{ type: 'grant', id: 4 }])
  })

  it('takes turns between peers', () => {
    const scheduler = new UploadScheduler({ ...limits, slots: 1, reserve: 0 })
    ask(scheduler, 'a', 1, 2, 3)
    ask(scheduler, 'b', 11, 12)
    ask(scheduler, 'c', 21)
    const order = []
    for (let id: number | undefined = 1; id !== undefined; ) {
      const granted: UploadEffect[] = scheduler.step(1, { type: 'end', id })
      id = granted[0]?.id
      if (id !== undefined) order.push(id)
    }
    expect(order).toEqual([2, 11, 21, 3, 12])
  })

  it('keeps the reserve for peers that hold nothing', () => {
    const scheduler = new UploadScheduler(limits)
    ask(scheduler, 'a', 1, 2, 3)
    expect(ask(scheduler, 'b', 11, 12)).toEqual([{ type: 'grant', id: 11 }])
    expect(ask(scheduler, 'c', 21)).toEqual([{ type: 'grant', id: 21 }])
    expect(ask(scheduler, 'd', 31)).toEqual([{ type: 'grant', id: 31 }])
    expect(ask(scheduler, 'e', 41)).toEqual([])
  })

  it('cuts off a peer that does not read: late when nobody minds, soon when somebody waits', () => {
    const scheduler = new UploadScheduler({ ...limits, slots: 1, reserve: 0 })
    ask(scheduler, 'a', 1)
    expect(scheduler.deadline).toBe(60_000)
    scheduler.step(10_000, { type: 'progress', id: 1 })
    expect(scheduler.deadline).toBe(70_000)
    expect(scheduler.step(69_999, { type: 'tick' })).toEqual([])
    scheduler.step(69_999, { type: 'ask', id: 2, peer: 'b' })
    expect(scheduler.deadline).toBe(25_000)
    expect(scheduler.step(70_000, { type: 'tick' })).toEqual([{ type: 'evict', id: 1 }, { type: 'grant', id: 2 }])
    expect(scheduler.step(70_001, { type: 'end', id: 1 })).toEqual([])
    expect(scheduler.step(129_999, { type: 'tick' })).toEqual([])
    expect(scheduler.step(130_000, { type: 'tick' })).toEqual([{ type: 'evict', id: 2 }])
    expect(scheduler.deadline).toBeUndefined()
  })

  it('cuts off no more than it takes to end the waiting', () => {
    const scheduler = new UploadScheduler({ ...limits, slots: 2, reserve: 0 })
    ask(scheduler, 'a', 1, 2)
    ask(scheduler, 'b', 11)
    expect(scheduler.step(20_000, { type: 'tick' })).toEqual([{ type: 'evict', id: 1 }, { type: 'grant', id: 11 }])
  })

  it('forgets a read that gave up waiting', () => {
    const scheduler = new UploadScheduler({ ...limits, slots: 1, reserve: 0 })
    ask(scheduler, 'a', 1, 2, 3)
    scheduler.step(1, { type: 'end', id: 2 })
    expect(scheduler.step(1, { type: 'end', id: 1 })).toEqual([{ type: 'grant', id: 3 }])
  })

  it('never exceeds its bounds and leaves no slot empty that somebody may have', () => {
    const input = fc.record({ peer: fc.nat(11), end: fc.boolean(), pick: fc.nat(), advance: fc.nat(20_000), tick: fc.boolean() })
    fc.assert(fc.property(fc.array(input, { maxLength: 200 }), (inputs) => {
      const scheduler = new UploadScheduler(UPLOAD_LIMITS)
      const holding = new Map<number, string>()
      const waiting = new Map<number, string>()
      let now = 0
      let nextId = 0
      for (const { peer, end, pick, advance, tick } of inputs) {
        now += advance
        const effects: UploadEffect[] = []
        if (tick) effects.push(...scheduler.step(now, { type: 'tick' }))
        else if (end) {
          const ids = [...holding.keys(), ...waiting.keys()]
          const id = ids[pick % Math.max(1, ids.length)] ?? 0
          holding.delete(id)
          waiting.delete(id)
          effects.push(...scheduler.step(now, { type: 'end', id }))
        } else {
          waiting.set(++nextId, `peer-${peer}`)
          effects.push(...scheduler.step(now, { type: 'ask', id: nextId, peer: `peer-${peer}` }))
        }
        for (const effect of effects) {
          if (effect.type === 'evict') expect(holding.delete(effect.id)).toBe(true)
          else {
            holding.set(effect.id, waiting.get(effect.id) ?? 'nobody')
            expect(waiting.delete(effect.id)).toBe(true)
          }
        }
        const held = (name: string) => [...holding.values()].filter((other) => other === name).length
        expect(scheduler.held()).toBe(holding.size)
        expect(holding.size).toBeLessThanOrEqual(UPLOAD_LIMITS.slots + UPLOAD_LIMITS.reserve)
        for (const name of holding.values()) expect(held(name)).toBeLessThanOrEqual(UPLOAD_LIMITS.perPeer)
        for (const name of waiting.values()) {
          const mayHave = held(name) < UPLOAD_LIMITS.perPeer && holding.size < UPLOAD_LIMITS.slots + (held(name) === 0 ? UPLOAD_LIMITS.reserve : 0)
          expect(mayHave).toBe(false)
        }
      }
    }))
  })

  it('starves nobody: every read is served after a bounded number of others', () => {
    const asks = fc.array(fc.nat(7), { minLength: 1, maxLength: 60 })
    fc.assert(fc.property(asks, fc.infiniteStream(fc.nat()), (peers, picks) => {
      const scheduler = new UploadScheduler(limits)
      const holding: number[] = []
      const waited = new Map<number, number>()
      const take = (effects: UploadEffect[]) => {
        for (const { id } of effects) {
          holding.push(id)
          waited.delete(id)
        }
      }
      for (const [id, peer] of peers.entries()) {
        waited.set(id, 0)
        take(scheduler.step(0, { type: 'ask', id, peer: String(peer) }))
      }
      // With n peers, the k-th read of a peer is granted by the time n * k reads have ended, plus those that held slots at first.
      while (holding.length > 0) {
        const [id] = holding.splice((picks.next().value ?? 0) % holding.length, 1)
        take(scheduler.step(0, { type: 'end', id: id ?? 0 }))
        for (const [waiting, ends] of waited) {
          const peer = peers[waiting]
          const place = peers.slice(0, waiting + 1).filter((other) => other === peer).length
          expect(ends).toBeLessThanOrEqual(8 * place + limits.slots + limits.reserve)
          waited.set(waiting, ends + 1)
        }
      }
      expect(waited.size).toBe(0)
    }))
  })
})
