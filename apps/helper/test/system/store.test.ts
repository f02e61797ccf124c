import { CodedError } from '@harddrive-party/protocol'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Store, openStore } from '../../src/adapters/system/store.ts'
import { temporaryDirectory } from '../support/transfer-fakes.ts'

interface Thing {
  readonly name: string
  readonly bytes?: Uint8Array
}

function decodeThing(raw: unknown): Thing | undefined {
  return typeof raw === 'object' && raw !== null && 'name' in raw && typeof raw.name === 'string' ? (raw as Thing) : undefined
}

function open(directory: string): Store {
  const store = openStore(directory)
  onTestFinished(() => store.close())
  return store
}

test('what was put is there after opening again, byte for byte', async () => {
  const directory = join(await temporaryDirectory(), 'a', 'store')
  const first = openStore(directory)
  const table = first.table('things', decodeThing)
  await table.put('a', { name: 'é 𝄞', bytes: new Uint8Array([0, 255, 7]) })
  await table.put('b', { name: 'gone' })
  await table.remove('b')
  await table.remove('never there')
  await first.flushed()
  await first.close()
  await first.close()
  const again = open(directory).table('things', decodeThing)
  expect(again.get('a')?.name).toBe('é 𝄞')
  expect([...(again.get('a')?.bytes ?? [])]).toEqual([0, 255, 7])
  expect(again.get('b')).toBeUndefined()
})

test('tables do not see each other, entries come in key order, and what is not understood is absent', async () => {
  const store = open(await temporaryDirectory())
  const things = store.table('things', decodeThing)
  const others = store.table<object>('others', (raw) => raw as object)
  await Promise.all([others.put('x', { n: 1 }), things.put('b', { name: '2' }), things.put('a', { name: '1' })])
  expect(things.entries().map(({ key }) => key)).toEqual(['a', 'b'])
  await store.table<object>('things', (raw) => raw as object).put('c', { other: 'version' })
  expect(things.get('c')).toBeUndefined()
  expect(things.entries()).toHaveLength(2)
  expect(others.entries()).toEqual([{ key: 'x', value: { n: 1 } }])
})

test('everything that begins with a prefix goes at once, and nothing else', async () => {
  const table = open(await temporaryDirectory()).table('things', decodeThing)
  const keys = ['w', 'w-1.0', 'w.', 'w0', 'v.1', ...Array.from({ length: 1200 }, (_, index) => `w.${index}`)]
  await Promise.all(keys.map((key) => table.put(key, { name: key })))
  await table.removeAll('w.')
  expect(table.entries().map(({ key }) => key)).toEqual(['v.1', 'w', 'w-1.0', 'w0'])
})

test('a key is never empty nor too long, and a place that cannot hold a database is a coded error', async () => {
  const directory = await temporaryDirectory()
  const table = open(join(directory, 'store')).table('things', decodeThing)
  await expect(table.put('', { name: 'x' })).rejects.toThrow(TypeError)
  expect(() => table.get('x'.repeat(513))).toThrow(TypeError)
  await table.put('x'.repeat(512), { name: 'long' })
  expect(table.get('x'.repeat(512))).toEqual({ name: 'long' })
  await writeFile(join(directory, 'file'), '')
  expect(() => openStore(join(directory, 'file', 'store'))).toThrow(CodedError)
})
