import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import { type SharePath, CodedError } from '@harddrive-party/protocol'
import { follow } from '../src/control.ts'
import PeersPage from '../src/features/peers/PeersPage.vue'
import SetupPage from '../src/features/setup/SetupPage.vue'
import HelperBanner from '../src/features/shell/HelperBanner.vue'
import TransfersPage from '../src/features/transfers/TransfersPage.vue'
import { type MockControl, openMockControl } from '../src/mock/mock-control.ts'
import { MY_ID } from '../src/mock/mock-scenarios.ts'
import { useHelper } from '../src/state/helper-store.ts'
import { type Memory, memoryInRam } from '../src/state/memory.ts'
import { useWishes } from '../src/state/wish-store.ts'
import { useSetup } from '../src/state/setup-store.ts'

let mock: MockControl
let memory: Memory
let isOn: boolean
const pinia = () => {
  const made = createPinia()
  setActivePinia(made)
  return made
}
const door = {
  pair: async () => MY_ID,
  sessions: () => async (listener: Parameters<typeof follow>[1]) => {
    if (!isOn) throw new CodedError('unreachable', 'nobody there')
    return follow(mock, listener, new Promise(() => undefined))
  },
}

function show(component: Parameters<typeof mount>[0], props: Record<string, unknown> = {}) {
  const page = { template: '<i />' }
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)', component: page }] })
  return mount(component, { props, attachTo: document.body, global: { plugins: [router] } })
}

async function boot(paired = true) {
  pinia()
  if (paired) await memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
  await useSetup().boot({ memory, door })
  await vi.waitFor(() => expect(useHelper().link).not.toBe('connecting'))
}

beforeEach(() => {
  mock = openMockControl('default')
  memory = memoryInRam()
  isOn = true
})
afterEach(() => {
  mock.close()
  document.body.innerHTML = ''
})

it('shows what is wrong with a code as it is typed, and connects with a good one', async () => {
  await boot()
  const { code } = await mock.api.announceCode()
  await mock.api.renewCode()
  const page = show(PeersPage)
  await flushPromises()
  const field = page.get('textarea')
  const button = page.get('.add button')
  await field.setValue('certainly not')
  expect(page.get('#code-problem').text()).toContain('not an announce code')
  expect(button.attributes('disabled')).toBeDefined()
  await field.setValue(code)
  expect(page.get('#code-problem').text()).toBe('')
  await page.get('.add form').trigger('submit')
  await flushPromises()
  expect(page.get('li[aria-label="Sunny Gecko"]').text()).toContain('Connected')
})

it('fills in the code that a link carries', async () => {
  await boot()
  const { code } = await mock.api.announceCode()
  expect(show(PeersPage, { code }).get('textarea').element.value).toBe(code)
  // As the system hands it to the installed app.
  expect(show(PeersPage, { code: `web+hdp:${code}` }).get('textarea').element.value).toBe(code)
  expect(show(PeersPage, { code: 'no code at all' }).get('textarea').element.value).toBe('no code at all')
})

it('lets somebody in who asks', async () => {
  await boot()
  const page = show(PeersPage)
  const buttons = page.findAll('li[aria-label="Brave Lynx"] button')
  await buttons.find((button) => button.text().startsWith('Accept'))!.trigger('click')
  await flushPromises()
  expect(page.get('li[aria-label="Brave Lynx"]').text()).toContain('Connected')
})

it('shows file names as text, whatever they contain', async () => {
  await boot()
  const helper = useHelper()
  const [transfer] = helper.transfers.values()
  helper.takeChange({ type: 'transfer', transfer: { ...transfer!, path: '<img src=x onerror=alert(1)>' as SharePath } })
  const page = show(TransfersPage)
  expect(page.find('img').exists()).toBe(false)
  expect(page.text()).toContain('<img src=x onerror=alert(1)>')
  for (const name of page.findAll('.transfer-name')) expect(name.find('bdi').exists()).toBe(true)
})

it('says that the helper is not running, and shows the wishlist meanwhile', async () => {
  isOn = false
  await boot()
  await useWishes().want({ peerId: MY_ID, peerName: 'Amber Otter', path: 'Music/Song.mp3', isDirectory: false })
  expect(show(HelperBanner).text()).toContain('Your helper is not running')
  const wishlist = show(TransfersPage).get('section[aria-labelledby="wishes"]')
  expect(wishlist.text()).toContain('Song.mp3')
  await wishlist.get('button[aria-label="Remove Song.mp3 from wishlist"]').trigger('click')
  await flushPromises()
  expect(useWishes().all).toEqual([])
})

it('tells an unpaired browser what to do, and takes a pasted link', async () => {
  await boot(false)
  const page = show(SetupPage)
  expect(page.text()).toContain('hdp pair')
  await page.get('input').setValue('http://127.0.0.1:3030/#/nothing')
  await page.get('form').trigger('submit')
  await flushPromises()
  expect(page.get('[role="alert"]').text()).toContain('not a pairing link')
  await page.get('input').setValue(`http://127.0.0.1:3030/#/pair/${'5a'.repeat(16)}.${MY_ID.slice(0, 32)}`)
  await page.get('form').trigger('submit')
  await vi.waitFor(() => expect(useHelper().isOpen).toBe(true))
})
