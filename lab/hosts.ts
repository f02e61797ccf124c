/** The lab's side of a host's agent: calls become messages, and a host that is gone fails its calls. */
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { AgentCalls } from './host-agent.ts'
import { spawnInside } from './namespaces.ts'

export interface Host extends AgentCalls {
  readonly ns: string
  /** Ends the agent, and with it its helper. Idempotent. */
  close(): Promise<void>
}

const AGENT = fileURLToPath(new URL('host-agent.ts', import.meta.url))

/** Starts the agent of a host; resolves when it answers. */
export async function openHost(ns: string): Promise<Host> {
  // The loader that runs this program runs the agent too.
  const child = spawnInside(ns, process.execPath, [...process.execArgv, AGENT], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let last = 0
  const ready = new Promise<unknown>((resolve, reject) => waiting.set(0, { resolve, reject }))
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      for (const { reject } of waiting.values()) reject(new Error(`the agent in ${ns} ended: ${signal ?? code}`))
      waiting.clear()
      resolve()
    })
  })
  child.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
    const call = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) call?.resolve(value)
    else call?.reject(new Error(error))
  })
  await ready
  const call = <M extends keyof AgentCalls>(method: M) => (args: Parameters<AgentCalls[M]>[0]) => send(child, method, args) as ReturnType<AgentCalls[M]>
  return {
    ns,
    startHelper: call('startHelper'), stopHelper: call('stopHelper'), helperErrors: call('helperErrors'), api: call('api'), read: call('read'),
    serveStun: call('serveStun'), stopStun: call('stopStun'), open: call('open'), send: call('send'), receive: call('receive'), askStun: call('askStun'),
    close: async () => {
      if (child.connected) child.disconnect()
      await gone
    },
  }

  function send(to: ChildProcess, method: string, args: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!to.connected) return reject(new Error(`the agent in ${ns} has ended`))
      const id = ++last
      waiting.set(id, { resolve, reject })
      to.send({ id, method, args }, (error) => {
        if (error !== null && waiting.delete(id)) reject(error)
      })
    })
  }
}
