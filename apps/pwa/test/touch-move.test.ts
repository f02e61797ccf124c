import { afterEach, describe, expect, it, vi } from 'vitest'
import { useTouchMove } from '../src/ui/use-touch-move.ts'

/** Two rows of 50 pixels, and a grip in the second. */
function makeRows() {
  document.body.innerHTML = '<ul><li data-row="a"></li><li data-row="b"><button></button></li></ul>'
  const [a, b] = document.querySelectorAll('li')
  document.elementFromPoint = (_x, y) => (y < 0 || y >= 100 ? null : y < 50 ? a! : b!)
  const grip = document.querySelector('button')!
  grip.setPointerCapture = vi.fn()
  const told: (string | null)[] = []
  const drops: string[] = []
  grip.addEventListener('pointerdown', useTouchMove({ attribute: 'data-row', onOver: (target) => told.push(target), onDrop: (target) => drops.push(target) }))
  const send = (type: string, clientY: number, more: Partial<PointerEventInit> = {}) => {
    const event = new MouseEvent(type, { clientX: 5, clientY })
    for (const [name, value] of Object.entries({ pointerId: 1, pointerType: 'touch', isPrimary: true, ...more })) Object.defineProperty(event, name, { value })
    grip.dispatchEvent(event)
  }
  return { grip, told, drops, send }
}

afterEach(() => {
  document.body.innerHTML = ''
})

describe('moving a row by a finger', () => {
  it('tells where it is, and where it is let go', () => {
    const { grip, told, drops, send } = makeRows()
    send('pointerdown', 75)
    expect(grip.setPointerCapture).toHaveBeenCalledWith(1)
    send('pointermove', 60)
    send('pointermove', 20)
    send('pointermove', -5)
    send('pointermove', 30)
    send('pointerup', 30)
    expect(told).toEqual(['b', 'a', null, 'a', null])
    expect(drops).toEqual(['a'])
    send('pointermove', 60)
    expect(told).toHaveLength(5)
  })

  it('takes a tap, a mouse, a second finger and what the system takes back for nothing', () => {
    const { told, drops, send } = makeRows()
    send('pointerdown', 75)
    send('pointermove', 73)
    send('pointermove', 20, { pointerId: 2 })
    send('pointerup', 73)
    send('pointerdown', 75, { pointerType: 'mouse' })
    send('pointermove', 20)
    send('pointerup', 20)
    send('pointerdown', 75, { isPrimary: false })
    send('pointermove', 20)
    send('pointerup', 20)
    expect(told).toEqual([])
    send('pointerdown', 75)
    send('pointermove', 20)
    send('pointercancel', 20)
    expect(told).toEqual(['a', null])
    expect(drops).toEqual([])
  })
})
