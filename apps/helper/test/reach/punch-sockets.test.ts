import { CodedError } from '@harddrive-party/protocol'
import { beforeEach, expect, it } from 'vitest'
import { PunchSockets } from '../../src/adapters/reach/punch-sockets.ts'
import type { AddressFamily } from '../../src/adapters/reach/udp-socket.ts'

const MOST = 10

let open: Map<number, AddressFamily>
let last: number
let sockets: PunchSockets

beforeEach(() => {
  open = new Map()
  last = 0
  sockets = new PunchSockets({
    openSockets: async (family, count) => {
      if (open.size + count > MOST) throw new CodedError('busy', 'too many')
      const numbers = Array.from({ length: count }, () => ++last)
      for (const number of numbers) open.set(number, family)
      return numbers
    },
    closeSockets: (numbers) => {
      for (const number of numbers) if (!open.delete(number)) throw new Error(`${number} is not open`)
    },
  })
})

it('lends the same sockets to searches that run at once, and closes what the last one gives back', async () => {
  const [first, second, small] = await Promise.all([sockets.borrow('v4', 8), sockets.borrow('v4', 8), sockets.borrow('v4', 2)])
  expect(first).toHaveLength(8)
  expect(second).toEqual(first)
  expect(small).toEqual(first.slice(0, 2))
  sockets.giveBack(first)
  sockets.giveBack(small)
  expect(open.size).toBe(8)
  const [won = 0, ...rest] = second
  sockets.giveBack(rest)
  expect([...open.keys()]).toEqual([won])
  sockets.giveBack([won])
  expect(open.size).toBe(0)
  sockets.giveBack([won, 99])
})

it('opens only what is missing, and makes do with what there is', async () => {
  const few = await sockets.borrow('v4', 4)
  const more = await sockets.borrow('v4', 8)
  expect(more.slice(0, 4)).toEqual(few)
  expect(open.size).toBe(8)
  expect(await sockets.borrow('v4', 50)).toEqual(more)
  await expect(sockets.borrow('v6', 5)).rejects.toMatchObject({ code: 'busy' })
  expect(await sockets.borrow('v6', 2)).toEqual([9, 10])
  // One that failed holds up nobody.
  expect(await sockets.borrow('v4', 8)).toEqual(more)
})

it('opens anew what was given back while it was waited for', async () => {
  const first = await sockets.borrow('v4', 3)
  const next = sockets.borrow('v4', 3)
  sockets.giveBack(first)
  expect(await next).toHaveLength(3)
  expect(open.size).toBe(3)
})
