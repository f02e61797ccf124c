import type { SocketLike } from '../src/control/index.ts'

/** Two ends of a WebSocket in memory. Frames arrive in a later microtask, in order. */
export interface TestSocket extends SocketLike {
  readyState: number
  bufferedAmount: number
  /** What this end has sent. */
  readonly sent: string[]
  /** How it was closed, once it is. */
  closed: { code: number; reason: string } | undefined
  /** Resolves when it is closed. */
  readonly whenClosed: Promise<{ code: number; reason: string }>
  /** The next frame to arrive that nobody has taken this way. */
  receive(): Promise<string>
}

export function createSocketPair(): { near: TestSocket; far: TestSocket } {
  const near = createEnd(() => far)
  const far = createEnd(() => near)
  return { near, far }
}

type Listener = (event: never) => void

function createEnd(other: () => TestSocket): TestSocket {
  const listeners: Record<string, Listener[]> = {}
  const arrived: string[] = []
  const waiting: ((text: string) => void)[] = []
  let settle: (how: { code: number; reason: string }) => void
  const whenClosed = new Promise<{ code: number; reason: string }>((resolve) => {
    settle = resolve
  })
  const end: TestSocket & { emit(type: string, event: unknown): void } = {
    readyState: 1,
    bufferedAmount: 0,
    sent: [],
    closed: undefined,
    whenClosed,
    send: (text) => {
      end.sent.push(text)
      queueMicrotask(() => {
        if (end.readyState === 1) (other() as typeof end).emit('message', { data: text })
      })
    },
    close: (code = 1005, reason = '') => {
      queueMicrotask(() => {
        for (const socket of [end, other() as typeof end]) socket.emit('close', { code, reason })
      })
    },
    addEventListener: (type: string, listener: Listener) => {
      ;(listeners[type] ??= []).push(listener)
    },
    receive: () => {
      const text = arrived.shift()
      return text === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(text)
    },
    emit: (type, event) => {
      if (type === 'close') {
        if (end.closed !== undefined) return
        end.readyState = 3
        end.closed = event as { code: number; reason: string }
        settle(end.closed)
      }
      if (type === 'message') {
        const { data } = event as { data: string }
        const take = waiting.shift()
        if (take === undefined) arrived.push(data)
        else take(data)
      }
      for (const listener of listeners[type] ?? []) listener(event as never)
    },
  }
  return end
}
