import { type VueWrapper, flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import { CodedError } from '@harddrive-party/protocol'
import { follow } from '../src/control.ts'
import HelperSwitch from '../src/features/helpers/HelperSwitch.vue'
import { MAX_HELPERS, MAX_HELPER_NAME, useHelpers } from '../src/features/helpers/helpers-store.ts'
import { type MockControl, openMockControl } from '../src/mock/mock-control.ts'
import { MY_ID } from '../src/mock/mock-scenarios.ts'
import { type AppDb, upgradeAppDb } from '../src/state/app-db.ts'
import { useHelper } from '../src/state/helper-store.ts'
import { type Memory, memoryInRam } from '../src/state/memory.ts'
import { useSetup } from '../src/state/setup-store.ts'

const HERE = 'http://127.0.0.1:3030'
const NAS = 'https://nas.test:3031'

let mock: MockControl
let memory: Memory
let assign: ReturnType<typeof vi.spyOn>
let shown: VueWrapper | undefined

beforeEach(() => {
  ;(window as unknown as { happyDOM: { setURL(url: string): void } }).happyDOM.setURL(`${HERE}/`)
  setActivePinia(createPinia())
  mock = openMockControl('default')
  memory = memoryInRam()
  assign = vi.spyOn(window.location, 'assign').mockImplementation(() => undefined)
})
afterEach(() => {
  shown?.unmount()
  shown = undefined
  mock.close()
  assign.mockRestore()
  document.body.innerHTML = ''
})

async function boot({ isUp = true } = {}) {
  await memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
  const sessions = () => async (listener: Parameters<typeof follow>[1]) => {
    if (!isUp) throw new CodedError('unreachable', 'nobody there')
    return follow(mock, listener, new Promise(() => undefined))
  }
  await useSetup().boot({ memory, door: { pair: async () => MY_ID, sessions } })
  await vi.waitFor(() => expect(useHelper().link).not.toBe('connecting'))
}

async function show(path: string) {
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)', component: { template: '<i />' } }] })
  await router.push(path)
  shown = mount(HelperSwitch, { props: { state: 'Online' }, attachTo: document.body, global: { plugins: [router] } })
  await flushPromises()
  return shown
}

const element = <T extends HTMLElement>(selector: string) => {
  const found = document.querySelector<T>(selector)
  if (found === null) throw new Error(`nothing is ${selector}`)
  return found
}
const menu = () => [...document.querySelectorAll<HTMLElement>('[role^="menuitem"]')]

it('has the helper of this page in the list by itself, under the name it has now', async () => {
  const helpers = useHelpers()
  await boot()
  const name = useHelper().status?.name
  await vi.waitFor(async () => expect(await memory.helpers()).toMatchObject([{ origin: HERE, name, givenName: null, fingerprint: useHelper().status?.peerId }]))
  expect(helpers.list).toMatchObject([{ origin: HERE, shownName: name, isCurrent: true }])
})

it('still leads to the others while its own helper is down', async () => {
  await memory.putHelper({ origin: HERE, name: 'amber-otter', givenName: null, fingerprint: MY_ID, openedAt: 1 })
  await memory.putHelper({ origin: NAS, name: 'nas.test:3031', givenName: 'Home', fingerprint: null, openedAt: null })
  await boot({ isUp: false })
  const page = await show('/transfers')
  await page.get('button').trigger('click')
  await flushPromises()
  expect(menu().map((item) => [item.textContent, item.getAttribute('aria-checked')])).toEqual([['amber-otter', 'true'], ['Home', 'false'], ['My helpers …', null]])
  menu()[1]?.click()
  await vi.waitFor(() => expect(assign).toHaveBeenCalledWith(`${NAS}/#/transfers`))
  expect((await memory.helpers()).find(({ origin }) => origin === NAS)?.openedAt).toBeGreaterThan(0)
})

it('goes nowhere for the one that is shown, nor to what is not in the list', async () => {
  await boot()
  const helpers = useHelpers()
  await helpers.noteCurrent(1)
  await helpers.open(HERE, '/peers', 2)
  await helpers.open(NAS, '/peers', 2)
  expect(assign).not.toHaveBeenCalled()
})

it('does not offer kept entries that are no address of a helper', async () => {
  await memory.putHelper({ origin: 'javascript:alert(1)', name: 'x', givenName: null, fingerprint: null, openedAt: 9 })
  await memory.putHelper({ origin: 'http://nas.test', name: 'x', givenName: null, fingerprint: null, openedAt: 9 })
  await boot()
  await useHelpers().load()
  expect(useHelpers().list.map(({ origin }) => origin)).toEqual([HERE])
})

it('adds, renames and removes in the dialog, with words for what is no helper', async () => {
  await boot()
  const page = await show('/peers')
  await page.get('button').trigger('click')
  menu().at(-1)?.click()
  await flushPromises()
  const field = element<HTMLInputElement>('#helper-address')
  const submit = async (text: string) => {
    field.value = text
    field.dispatchEvent(new Event('input'))
    await flushPromises()
    element<HTMLFormElement>('.helpers-add').dispatchEvent(new Event('submit', { cancelable: true }))
    await flushPromises()
  }
  const problem = () => element('#helper-address-problem').textContent
  await submit('http://192.168.1.20:3030')
  expect(problem()).toContain('Without encryption')
  await submit('javascript:alert(1)')
  expect(problem()).toContain('Only addresses that begin with https://')
  await submit(`${HERE}/#/peers`)
  expect(problem()).toBe('This is the helper that you see right now.')
  expect(document.querySelectorAll('.helpers-row')).toHaveLength(1)
  await submit(NAS)
  expect(problem()).toBe('')
  expect(assign).not.toHaveBeenCalled()

  const name = element<HTMLInputElement>('.helpers-row:last-child input')
  expect(name.value).toBe('nas.test:3031')
  name.value = '  Home  '
  name.dispatchEvent(new Event('change'))
  await flushPromises()
  expect(await memory.helpers()).toContainEqual({ origin: NAS, name: 'nas.test:3031', givenName: 'Home', fingerprint: null, openedAt: null })
  name.value = ' '
  name.dispatchEvent(new Event('change'))
  await flushPromises()
  expect(name.value).toBe('nas.test:3031')
  element('.helpers-row:last-child button:last-child').click()
  await flushPromises()
  expect((await memory.helpers()).map(({ origin }) => origin)).toEqual([HERE])
  expect(element('[data-testid="own-address"]').textContent).toBe(HERE)
})

it('takes a pairing link to where it was made, and nothing of the list along', async () => {
  await boot()
  const helpers = useHelpers()
  const link = `${NAS}/#/pair/${'ab'.repeat(16)}.${'cd'.repeat(16)}`
  const added = await helpers.add(` ${link} `)
  if (added.ok) helpers.openPairing(added.address)
  expect(assign.mock.calls).toEqual([[link]])
  expect(await memory.helpers()).toContainEqual({ origin: NAS, name: 'nas.test:3031', givenName: null, fingerprint: 'cd'.repeat(16), openedAt: null })
  expect(JSON.stringify(await memory.helpers())).not.toContain('ab'.repeat(16))
})

it('keeps the given name of a helper that is added again, cuts long names, and has an end', async () => {
  await boot()
  const helpers = useHelpers()
  await helpers.add(NAS)
  await helpers.rename(NAS, 'x'.repeat(MAX_HELPER_NAME + 9))
  await helpers.add(`${NAS}/#/search`)
  expect(helpers.list.find(({ origin }) => origin === NAS)?.shownName).toBe('x'.repeat(MAX_HELPER_NAME))
  for (let port = 1; helpers.list.length < MAX_HELPERS; port++) await helpers.add(`https://other.test:${port}`)
  expect(await helpers.add('https://last.test')).toEqual({ ok: false, problem: 'many' })
  expect(await helpers.add(NAS)).toMatchObject({ ok: true })
})

/** @returns what is there after the upgrade of a database with these stores */
const upgraded = (before: number, had: readonly string[]) => {
  const stores = new Set(had)
  const createObjectStore = (name: string) => {
    // As browsers do.
    if (stores.has(name)) throw new DOMException('it exists', 'ConstraintError')
    stores.add(name)
    return { createIndex: () => undefined }
  }
  upgradeAppDb({ createObjectStore } as unknown as AppDb, before)
  return [...stores].toSorted()
}

it('brings the database of every version to the same stores', () => {
  const first = ['keys', 'pairing', 'wishes', 'listings', 'peers']
  const second = [...first, 'wishRows', 'wishPlace']
  const now = [...second, 'helpers'].toSorted()
  expect(upgraded(0, [])).toEqual(now)
  expect(upgraded(1, first)).toEqual(now)
  expect(upgraded(2, second)).toEqual(now)
})
