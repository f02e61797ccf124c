import { describe, expect, it } from 'vitest'
import { drive } from '../../src/adapters/system/drive.ts'
import type { Machine } from '../../src/core/machine.ts'
import { ManualClock } from '../support/peer-node.ts'

type Input = { readonly type: 'say'; readonly word: string; readonly at?: number } | { readonly type: 'tick' }

/** Echoes words, and has itself woken when told to. */
class Echo implements Machine<Input, string> {
  deadline: number | undefined
  readonly ticks: number[] = []

  step(now: number, input: Input): string[] {
    if (input.type === 'tick') {
      this.ticks.push(now)
      this.deadline = undefined
      return [`tick at ${now}`]
    }
    if (input.at !== undefined) this.deadline = input.at
    return [input.word, `${input.word}!`]
  }
}

describe('the driver', () => {
  it('performs effects in order, inputs made meanwhile after them', () => {
    const heard: string[] = []
    const driven = drive(new Echo(), (effect) => {
      heard.push(effect)
      if (effect === 'one') driven.input({ type: 'say', word: 'two' })
    }, new ManualClock())
    driven.input({ type: 'say', word: 'one' })
    expect(heard).toEqual(['one', 'one!', 'two', 'two!'])
  })

  it('wakes the machine at its deadline, once, also when it changes', () => {
    const clock = new ManualClock()
    const machine = new Echo()
    const driven = drive(machine, () => {}, clock)
    driven.input({ type: 'say', word: 'later', at: 500 })
    driven.input({ type: 'say', word: 'sooner', at: 99.5 })
    clock.advance(99)
    expect(machine.ticks).toEqual([])
    clock.advance(10_000)
    expect(machine.ticks).toEqual([100])
    driven.input({ type: 'say', word: 'long past', at: 5 })
    clock.advance(0)
    expect(machine.ticks).toEqual([100, 10_099])
  })

  it('wakes a machine that wants to be before anything happens', () => {
    const clock = new ManualClock()
    const machine = new Echo()
    machine.deadline = 10
    drive(machine, () => {}, clock)
    clock.advance(10)
    expect(machine.ticks).toEqual([10])
  })

  it('does nothing once closed, even in the middle of effects', () => {
    const clock = new ManualClock()
    const machine = new Echo()
    const heard: string[] = []
    const driven = drive(machine, (effect) => {
      heard.push(effect)
      driven.close()
    }, clock)
    driven.input({ type: 'say', word: 'one', at: 10 })
    driven.input({ type: 'say', word: 'two' })
    driven.close()
    clock.advance(100)
    expect(heard).toEqual(['one'])
    expect(machine.ticks).toEqual([])
  })

  it('lets a bug out and goes on with the next input', () => {
    const heard: string[] = []
    const driven = drive(new Echo(), (effect) => {
      if (effect === 'bug') throw new Error('a bug')
      heard.push(effect)
    }, new ManualClock())
    expect(() => driven.input({ type: 'say', word: 'bug' })).toThrow('a bug')
    driven.input({ type: 'say', word: 'fine' })
    expect(heard).toEqual(['fine', 'fine!'])
  })
})
