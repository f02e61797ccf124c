import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, it, vi } from 'vitest'
import { follow } from '../src/control.ts'
import SettingsStorage from '../src/features/settings/SettingsStorage.vue'
import { type MockControl, openMockControl } from '../src/mock/mock-control.ts'
import { MY_ID } from '../src/mock/mock-scenarios.ts'
import { useHelper } from '../src/state/helper-store.ts'
import { memoryInRam } from '../src/state/memory.ts'
import { useSetup } from '../src/state/setup-store.ts'

let mock: MockControl
afterEach(() => {
  mock.close()
  document.body.innerHTML = ''
})

async function show() {
  mock = openMockControl('default')
  setActivePinia(createPinia())
  const memory = memoryInRam()
  await memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
  await useSetup().boot({ memory, door: { pair: async () => MY_ID, sessions: () => async (listener) => follow(mock, listener, new Promise(() => undefined)) } })
  await vi.waitFor(() => expect(useHelper().isOpen).toBe(true))
  const part = mount(SettingsStorage, { attachTo: document.body })
  await vi.waitFor(() => expect(part.find('.storage-use').exists()).toBe(true))
  return part
}

it('shows what takes room, and removes what is unfinished of one peer once that is confirmed', async () => {
  const part = await show()
  const facts = part.get('.storage-use').text()
  expect(facts).toContain('Downloads38.4 GB')
  expect(facts).toContain('Index of your shares48.0 MB')
  expect(facts).not.toContain('Waiting to be sent')
  const [first] = [...useHelper().activeTransfers].sort((a, b) => b.bytes - a.bytes)
  const button = part.get(`button[aria-label="Remove unfinished data of ${first!.peerName}"]`)
  await button.trigger('click')
  expect(document.querySelector('dialog')?.textContent).toContain('Finished files stay')
  document.querySelector<HTMLButtonElement>('dialog .button.danger')?.click()
  await vi.waitFor(() => expect(useHelper().activeTransfers.some(({ peerId }) => peerId === first!.peerId)).toBe(false))
  await flushPromises()
  expect(part.find(`button[aria-label="Remove unfinished data of ${first!.peerName}"]`).exists()).toBe(false)
})

it('says why nothing can be told', async () => {
  const part = await show()
  vi.spyOn(useHelper().api, 'storage').mockRejectedValue(Object.assign(new Error('x'), { code: 'timed-out' }))
  await part.get('.storage-head button').trigger('click')
  await flushPromises()
  expect(part.get('[role="alert"]').text()).toContain('No answer')
})
