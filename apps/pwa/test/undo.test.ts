import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import { follow } from '../src/control.ts'
import PeersPage from '../src/features/peers/PeersPage.vue'
import SharesPage from '../src/features/shares/SharesPage.vue'
import TransfersPage from '../src/features/transfers/TransfersPage.vue'
import { type MockControl, openMockControl } from '../src/mock/mock-control.ts'
import { MY_ID } from '../src/mock/mock-scenarios.ts'
import { useHelper } from '../src/state/helper-store.ts'
import { memoryInRam } from '../src/state/memory.ts'
import { usePutOff } from '../src/state/put-off.ts'
import { useSetup } from '../src/state/setup-store.ts'
import { useToasts } from '../src/state/toasts.ts'
import { useWishes } from '../src/state/wish-store.ts'
import ToastStack from '../src/ui/ToastStack.vue'

beforeEach(() => {
  setActivePinia(createPinia())
})
afterEach(() => {
  vi.useRealTimers()
  document.body.innerHTML = ''
})

function show(component: Parameters<typeof mount>[0]) {
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)', component: { template: '<i />' } }] })
  return mount({ components: { Page: component as never, ToastStack }, template: '<main id="main" tabindex="-1"><Page /></main><ToastStack />' }, { attachTo: document.body, global: { plugins: [router] } })
}

describe('what is put off', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })

  it('happens when nobody takes it back, and is hidden meanwhile', async () => {
    const action = vi.fn(async () => undefined)
    usePutOff().later('peer/1', 'Forgotten', action)
    expect(usePutOff().has('peer/1')).toBe(true)
    await vi.advanceTimersByTimeAsync(7900)
    expect(action).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(200)
    expect(action).toHaveBeenCalledOnce()
    expect(usePutOff().has('peer/1')).toBe(false)
  })

  it('never happens when it is taken back, and what was done at once is undone', async () => {
    const [action, back] = [vi.fn(async () => undefined), vi.fn(async () => undefined)]
    usePutOff().later('peer/1', 'Forgotten', action, { back })
    useToasts().undo(useToasts().toasts[0]!.id)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(action).not.toHaveBeenCalled()
    expect(back).toHaveBeenCalledOnce()
    expect(usePutOff().has('peer/1')).toBe(false)
  })

  it('is shown again with the reason when it fails', async () => {
    usePutOff().later('peer/1', 'Forgotten', () => Promise.reject(new Error('no')))
    await vi.advanceTimersByTimeAsync(8100)
    expect(usePutOff().has('peer/1')).toBe(false)
    expect(useToasts().toasts).toMatchObject([{ tone: 'bad' }])
  })

  it('waits while its notice is held, and happens at once when the page goes or the notice has to make room', async () => {
    const action = vi.fn(async () => undefined)
    const toasts = useToasts()
    usePutOff().later('a', 'A', action)
    toasts.hold(toasts.toasts[0]!.id)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(action).not.toHaveBeenCalled()
    toasts.release(toasts.toasts[0]!.id)
    for (const text of ['1', '2', '3']) toasts.show(text)
    expect(action).toHaveBeenCalledOnce()
    usePutOff().later('b', 'B', action)
    toasts.settle()
    expect(action).toHaveBeenCalledTimes(2)
  })
})

describe('on the pages', () => {
  let mock: MockControl

  beforeEach(async () => {
    mock = openMockControl('default')
    const memory = memoryInRam()
    await memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
    await useSetup().boot({ memory, door: { pair: async () => MY_ID, sessions: () => async (listener) => follow(mock, listener, new Promise(() => undefined)) } })
    await vi.waitFor(() => expect(useHelper().isOpen).toBe(true))
  })
  afterEach(() => mock.close())

  it('a share that was removed is shared again, with its name and audience', async () => {
    const helper = useHelper()
    const share = [...helper.shares.values()][0]!
    await helper.api.setAudience({ shareId: share.shareId, audience: { groups: [], peers: [] } })
    const page = show(SharesPage)
    await page.get(`button[aria-label="Remove ${share.name}"]`).trigger('click')
    await flushPromises()
    expect([...helper.shares.values()].some(({ directory }) => directory === share.directory)).toBe(false)
    await page.get('.toast-undo').trigger('click')
    await flushPromises()
    const again = [...helper.shares.values()].find(({ directory }) => directory === share.directory)
    expect(again?.name).toBe(share.name)
    expect(helper.access.audiences.find(({ shareId }) => shareId === again?.shareId)?.audience).toEqual({ groups: [], peers: [] })
  })

  it('a transfer that is cancelled stops at once, and goes on as if nothing had been when that is taken back', async () => {
    const helper = useHelper()
    const transfer = helper.activeTransfers.find(({ held, state }) => !held && state === 'running')!
    const page = show(TransfersPage)
    const name = transfer.path.split('/').at(-1)!
    await page.get(`button[aria-label="Cancel ${name}"]`).trigger('click')
    await flushPromises()
    expect(helper.transfers.get(transfer.transferId)).toMatchObject({ held: true, endedAt: null })
    expect(page.find(`li[aria-label="${name}"]`).exists()).toBe(false)
    await page.get('.toast-undo').trigger('click')
    await flushPromises()
    expect(helper.transfers.get(transfer.transferId)?.held).toBe(false)
    expect(page.find(`li[aria-label="${name}"]`).exists()).toBe(true)
  })

  it('a wish that was removed is back as it was', async () => {
    const wishes = useWishes()
    const id = await wishes.wantSearch({ kind: 'search', text: 'blue train', peerId: null, peerName: null }, { automatic: true })
    await wishes.remove(id)
    expect(wishes.searches.some((wish) => wish.id === id)).toBe(false)
    await wishes.restore(id)
    expect(wishes.searches.find((wish) => wish.id === id)).toMatchObject({ automatic: true })
  })

  it('a peer that is being forgotten is gone from the list, and back when that is taken back', async () => {
    const helper = useHelper()
    const peer = [...helper.peers.values()].find(({ state }) => state === 'connected')!
    const page = show(PeersPage)
    await page.get(`li[aria-label="${peer.name}"] .menu button`).trigger('click')
    await page.findAll('[role="menuitem"]').find((item) => item.text() === 'Forget')!.trigger('click')
    await flushPromises()
    expect(page.find(`li[aria-label="${peer.name}"]`).exists()).toBe(false)
    // Its row took the focus along.
    expect(document.activeElement?.className).toBe('toast-undo')
    await page.get('.toast-undo').trigger('click')
    await flushPromises()
    expect(page.find(`li[aria-label="${peer.name}"]`).exists()).toBe(true)
    expect(document.activeElement?.id).toBe('main')
  })
})
