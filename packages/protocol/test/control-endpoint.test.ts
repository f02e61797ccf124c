import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodedError } from '../src/index.ts'
import { CONTROL_METHODS, type ControlApi, MAX_CONTROL_MESSAGE, MAX_PENDING_CALLS, serveControl } from '../src/control/index.ts'
import { createFakeApi } from './control-fake-api.ts'
import { createSocketPair } from './control-socket-pair.ts'

function serve(methods: Partial<ControlApi> = {}) {
  const { near, far } = createSocketPair()
  const { api, calls } = createFakeApi(methods)
  const served = serveControl({ socket: near, api, role: () => 'admin' })
  const say = (message: unknown) => far.send(JSON.stringify({ kind: 'rpc', message }))
  return { near, far, calls, served, say, answer: async () => (JSON.parse(await far.receive()) as { message: Record<string, unknown> }).message }
}

const call = (path: unknown, argumentList: unknown = [], more: object = {}) => ({ id: '1', type: 'APPLY', path, argumentList, ...more })
const raw = (value: unknown) => [{ type: 'RAW', value }]

describe('the guarded server endpoint', () => {
  it('answers an allow-listed call', async () => {
    const { say, answer, calls } = serve()
    say(call(['cancel'], raw({ transferId: 'a' })))
    expect(await answer()).toEqual({ id: '1', type: 'RAW', value: { ok: true } })
    expect(calls).toEqual([['cancel', { transferId: 'a' }]])
  })

  it.each([
    ['SET of a property', { id: '1', type: 'SET', path: ['snapshot'], value: { type: 'RAW', value: 1 } }],
    ['SET through __proto__', { id: '1', type: 'SET', path: ['__proto__', '__proto__', 'polluted'], value: { type: 'RAW', value: 1 } }],
    ['GET', { id: '1', type: 'GET', path: ['snapshot'] }],
    ['CONSTRUCT', { id: '1', type: 'CONSTRUCT', path: ['snapshot'], argumentList: [] }],
    ['ENDPOINT', { id: '1', type: 'ENDPOINT' }],
    ['RELEASE', { id: '1', type: 'RELEASE' }],
    ['no type', { id: '1', path: ['snapshot'], argumentList: [] }],
    ['no id', { type: 'APPLY', path: ['snapshot'], argumentList: [] }],
    ['a number as id', { id: 1, type: 'APPLY', path: ['snapshot'], argumentList: [] }],
    ['a huge id', { id: 'x'.repeat(1000), type: 'APPLY', path: ['snapshot'], argumentList: [] }],
    ['no path', { id: '1', type: 'APPLY', argumentList: [] }],
    ['an empty path', call([])],
    ['a longer path', call(['snapshot', 'call'])],
    ['bind', call(['snapshot', 'bind'])],
    ['constructor', call(['constructor'])],
    ['__proto__', call(['__proto__'])],
    ['toString', call(['toString'])],
    ['a method nobody has', call(['deleteEverything'])],
    ['a name inside an array', call([['snapshot']])],
    ['a path that is text', call('snapshot')],
    ['two arguments', call(['cancel'], [...raw({}), ...raw({})])],
    ['arguments that are no list', call(['cancel'], { 0: raw({})[0], length: 1 })],
    ['no argument list', { id: '1', type: 'APPLY', path: ['cancel'] }],
    ['a handler argument', call(['cancel'], [{ type: 'HANDLER', name: 'proxy', value: {} }])],
    ['a thrown argument', call(['cancel'], [{ type: 'HANDLER', name: 'throw', value: { isError: true, value: { message: 'x' } } }])],
    ['a bare argument', call(['cancel'], [{ transferId: 'x' }])],
    ['a deep argument', call(['cancel'], raw({ a: { a: { a: { a: { a: { a: { a: { a: 1 } } } } } } } }))],
    ['constructor in the argument', call(['cancel'], raw({ constructor: { prototype: { polluted: 1 } } }))],
  ])('ends the connection on %s', async (_what, message) => {
    const { say, near, calls } = serve()
    say(message)
    expect(await near.whenClosed).toMatchObject({ code: 1008 })
    expect(calls).toEqual([])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it.each([
    ['what is not JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['another kind', '{"kind":"event","event":{}}'],
    ['a message that is no object', '{"kind":"rpc","message":[]}'],
    ['an own __proto__ key', '{"kind":"rpc","message":{"id":"1","type":"APPLY","path":["cancel"],"argumentList":[{"type":"RAW","value":{"__proto__":{"polluted":1}}}]}}'],
    ['a giant message', JSON.stringify({ kind: 'rpc', message: call(['connect'], raw({ code: 'x'.repeat(MAX_CONTROL_MESSAGE) })) })],
  ])('ends the connection on %s', async (_what, text) => {
    const { far, near, calls } = serve()
    far.send(text)
    expect(await near.whenClosed).toMatchObject({ code: 1008 })
    expect(calls).toEqual([])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it('hears nothing more after a bad message', async () => {
    const { say, near, calls } = serve()
    say(call(['constructor']))
    say(call(['shutdown']))
    await near.whenClosed
    expect(calls).toEqual([])
  })

  it('refuses bad arguments without calling', async () => {
    const { say, answer, calls } = serve()
    say(call(['cancel'], raw({ transferId: 5 })))
    expect(await answer()).toEqual({ id: '1', type: 'RAW', value: { ok: false, error: { code: 'bad-request', message: 'transferId: must be text' } } })
    expect(calls).toEqual([])
  })

  it('sends codes and messages of errors, never stacks or the text of unexpected ones', async () => {
    const { say, answer } = serve({
      shutdown: async () => Promise.reject(new CodedError('conflict', 'not now', { cause: new Error('inner') })),
      clearFinished: () => {
        throw new TypeError('secret path /home/somebody')
      },
    })
    say(call(['shutdown']))
    expect((await answer())['value']).toEqual({ ok: false, error: { code: 'conflict', message: 'not now' } })
    say(call(['clearFinished']))
    const message = JSON.stringify(await answer())
    expect(message).toContain('"internal"')
    expect(message).not.toMatch(/secret|stack|TypeError/)
  })

  it('works on a bounded number of calls at once, and on others again when some have ended', async () => {
    const ends: (() => void)[] = []
    const { say, answer, near } = serve({ snapshot: () => new Promise((resolve) => ends.push(() => resolve({} as never))) })
    const flood = 5000
    for (let i = 0; i < flood; i++) say({ ...call(['snapshot']), id: `call-${i}` })
    for (let i = MAX_PENDING_CALLS; i < flood; i++) expect(await answer()).toMatchObject({ id: `call-${i}`, value: { ok: false, error: { code: 'busy' } } })
    expect(ends).toHaveLength(MAX_PENDING_CALLS)
    for (const end of ends.splice(0)) end()
    for (let i = 0; i < MAX_PENDING_CALLS; i++) expect(await answer()).toMatchObject({ id: `call-${i}`, value: { ok: true } })
    say(call(['snapshot']))
    await Promise.resolve()
    await Promise.resolve()
    expect(ends).toHaveLength(1)
    expect(near.closed).toBeUndefined()
  })

  it('ends the connection of a device that lets its answers pile up', async () => {
    const { say, near } = serve()
    near.bufferedAmount = 65 * 1024 * 1024
    say(call(['clearFinished']))
    expect(await near.whenClosed).toMatchObject({ code: 1013 })
  })

  it('admits no other name than the methods, whatever is sent', async () => {
    const names = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'hasOwnProperty', 'valueOf', 'then', 'apply', ...CONTROL_METHODS))
    const message = fc.record({ id: fc.oneof(fc.string(), fc.integer()), type: fc.constantFrom('APPLY', 'SET', 'GET'), path: fc.array(names, { maxLength: 3 }), argumentList: fc.array(fc.record({ type: fc.constantFrom('RAW', 'HANDLER'), value: fc.jsonValue() }), { maxLength: 2 }) }, { requiredKeys: [] })
    await fc.assert(fc.asyncProperty(message, async (sent) => {
      const { say, far, near, calls } = serve()
      say(sent)
      await Promise.race([near.whenClosed, far.receive()])
      for (const [method] of calls) expect(CONTROL_METHODS).toContain(method)
      if (sent.type !== 'APPLY' || sent.path?.length !== 1) expect(calls).toEqual([])
    }), { numRuns: 200 })
  })
})
