import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import { CodedError } from '@harddrive-party/protocol'
import { follow } from '../src/control.ts'
import ConnectionPage from '../src/features/connection/ConnectionPage.vue'
import { useConnection } from '../src/features/connection/connection-store.ts'
import { brokerName, wordsForMapping, wordsForOutcome } from '../src/features/connection/connection-words.ts'
import PeersPage from '../src/features/peers/PeersPage.vue'
import SettingsMeeting from '../src/features/settings/SettingsMeeting.vue'
import { type MockControl, openMockControl } from '../src/mock/mock-control.ts'
import { type MockScenario, MY_ID } from '../src/mock/mock-scenarios.ts'
import { useHelper } from '../src/state/helper-store.ts'
import { memoryInRam } from '../src/state/memory.ts'
import { useSetup } from '../src/state/setup-store.ts'
import { explain, explainCode } from '../src/words.ts'
import { wordsForAdvice } from '../src/features/connection/reach-words.ts'
import { useLocale } from '../src/i18n.ts'

let mock: MockControl

async function boot(scenario: MockScenario) {
  mock.close()
  mock = openMockControl(scenario)
  setActivePinia(createPinia())
  const memory = memoryInRam()
  await memory.putPairing({ helperId: MY_ID, pairedAt: 0 })
  await useSetup().boot({ memory, door: { pair: async () => MY_ID, sessions: () => async (listener) => follow(mock, listener, new Promise(() => undefined)) } })
  await vi.waitFor(() => expect(useHelper().isOpen).toBe(true))
}

async function show(component: Parameters<typeof mount>[0], props: Record<string, unknown> = {}) {
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)', component: { template: '<i />' } }] })
  const page = mount(component, { props, attachTo: document.body, global: { plugins: [router] } })
  await flushPromises()
  return page
}

beforeEach(() => {
  mock = openMockControl('empty')
})
afterEach(() => {
  mock.close()
  document.body.innerHTML = ''
})

describe('the connection page', () => {
  it('says that all is well, and shows the addresses and where they come from', async () => {
    await boot('default')
    const page = await show(ConnectionPage)
    expect(page.get('#verdict').text()).toBe('You can be reached well')
    const facts = page.get('section[aria-labelledby="reach-own"]').text()
    expect(facts).toContain('203.0.113.7:41641 seen from the internet')
    expect(facts).toContain('Friendly: direct connections work well')
    expect(facts).toContain('Yes: 203.0.113.7:41641 (UPnP)')
    expect(page.get('section[aria-labelledby="reach-meeting"]').text()).toContain('film club')
  })

  it('says what would help where the network is strict', async () => {
    await boot('strict')
    const page = await show(ConnectionPage)
    expect(page.get('#verdict').text()).toBe('Some people may not get through')
    expect(page.get('.connection-verdict').text()).toContain('forward UDP port 41641')
  })

  it('puts the peer first that was asked about, with every way that was tried', async () => {
    await boot('strict')
    const badger = [...useHelper().peers.values()].find(({ name }) => name === 'Mellow Badger')!
    const page = await show(ConnectionPage, { peerId: badger.peerId })
    const [first] = page.findAll('.connection-peers > li')
    expect(first!.attributes('aria-label')).toBe('Mellow Badger')
    expect(first!.get('details').attributes('open')).toBeDefined()
    const rows = first!.findAll('.reach-attempt').map((row) => row.text())
    expect(rows).toHaveLength(3)
    expect(rows[0]).toContain('198.51.100.61:41641')
    expect(rows[0]).toContain('Both routers: every connection gets a random port')
    expect(rows[0]).toContain('118 packets')
    expect(first!.get('.reach-advice').text()).toContain('They may be offline')
  })

  it('looks again when a peer changes, and says when it cannot', async () => {
    await boot('default')
    const page = await show(ConnectionPage)
    const badger = [...useHelper().peers.values()].find(({ name }) => name === 'Mellow Badger')!
    await mock.api.reconnect({ peerId: badger.peerId })
    await vi.waitFor(() => expect(page.get('li[aria-label="Mellow Badger"]').text()).toContain('Connected'))
    mock.close()
    await page.get('button').trigger('click')
    await flushPromises()
    expect(page.get('[role="alert"]').text()).not.toBe('')
    expect(page.get('#verdict').text()).toBe('You can be reached well')
  })

  it('asks once more when it was asked while an answer was on its way', async () => {
    await boot('default')
    let answer = (_report: Awaited<ReturnType<typeof mock.api.doctor>>) => {}
    const first = await mock.api.doctor()
    const doctor = vi.fn(() => new Promise<typeof first>((resolve) => (answer = resolve)))
    const connection = useConnection()
    vi.spyOn(useHelper().api, 'doctor').mockImplementation(doctor)
    const loading = connection.load()
    void connection.load()
    void connection.load()
    answer(first)
    await flushPromises()
    expect(doctor).toHaveBeenCalledTimes(2)
    answer({ ...first, advice: [{ code: 'no-network', values: {} }] })
    await loading
    expect(connection.report?.advice).toEqual([{ code: 'no-network', values: {} }])
  })
})

describe('words', () => {
  const attempt = { at: 0, candidate: '', source: null, method: 'direct', message: '', ms: 0, packets: 0 } as const
  it('exist for every outcome', () => {
    for (const outcome of ['running', 'connected', 'given-up', 'timed-out', 'unreachable', 'refused', 'internal'] as const) expect(wordsForOutcome({ ...attempt, outcome })).toMatch(/^[A-Z].*[.…]$/)
    expect(wordsForOutcome({ ...attempt, outcome: 'unreachable', message: 'x', detail: { code: 'no-internet', values: {} } })).toMatch(/no internet\.$/)
    for (const state of ['searching', 'none', 'mapped', 'not-believed'] as const) expect(wordsForMapping({ state, protocol: null, outside: null, pinholes: [] })).not.toBe('')
  })

  it('say what the helper knows, in the language of the person', async () => {
    const why = { code: 'routers-random', values: { whose: 'theirs' } } as const
    expect(explainCode('unreachable', 'their router …', why)).toMatch(/^Their router: every connection gets a random port/)
    expect(explainCode('unreachable', 'no answer')).toBe('Could not be reached at any known address.')
    expect(explainCode('conflict', 'there is one already')).toBe('There is one already.')
    // A newer helper.
    expect(explainCode('offline', 'x', { code: 'constructor', values: {} } as unknown as typeof why)).toBe('Not online right now.')
    await useLocale('de')
    expect(explainCode('unreachable', 'their router …', why)).toMatch(/^Der andere Router: Jede Verbindung/)
    expect(explainCode('conflict', 'there is one already')).toBe('Das passt nicht zu dem, was gerade da ist.')
    expect(wordsForAdvice({ code: 'open-port', values: { ways: ['setting', 'forward'], port: 4433 } })).toBe('Was hilft: „Einen Port im Router öffnen“ in den Einstellungen einschalten oder den UDP-Port 4433 im Router an diesen Rechner weiterleiten.')
    expect(explain({ code: 'too-large', message: 'x', detail: { code: 'too-many-groups', values: { max: 1000 } } })).toContain('1.000')
    await useLocale('en')
  })

  it('show no password of a broker', () => {
    expect(brokerName('mqtts://me:secret@broker.example:8883')).toBe('broker.example:8883')
    expect(brokerName('no address')).toBe('no address')
  })
})

describe('meeting', () => {
  it('connects to somebody nearby', async () => {
    await boot('default')
    const page = await show(PeersPage)
    const nearby = page.get('section[aria-labelledby="nearby"] li[aria-label="Hazel Newt"]')
    await nearby.get('button').trigger('click')
    await flushPromises()
    expect(page.find('section[aria-labelledby="nearby"]').exists()).toBe(false)
    expect(page.get('section[aria-labelledby="connected"]').text()).toContain('Hazel Newt')
  })

  it('joins and leaves topics, and shows who is there', async () => {
    await boot('default')
    const page = await show(PeersPage)
    expect(page.get('li[aria-label="film club"]').text()).toContain('Amber Otter')
    await page.get('#topic-field').setValue('  Harbour   Choir ')
    await page.get('.topics-form').trigger('submit')
    await vi.waitFor(() => expect(page.get('li[aria-label="harbour choir"]').text()).toContain('Nobody here yet'))
    expect((page.get('#topic-field').element as HTMLInputElement).value).toBe('')
    await page.get('li[aria-label="film club"] button').trigger('click')
    await vi.waitFor(() => expect(page.find('li[aria-label="film club"]').exists()).toBe(false))
  })

  it('says why a topic cannot be joined', async () => {
    await boot('default')
    const page = await show(PeersPage)
    vi.spyOn(useHelper().api, 'joinTopic').mockRejectedValue(new CodedError('bad-request', 'topic: a topic has at most 256 bytes'))
    await page.get('#topic-field').setValue('x')
    await page.get('.topics-form').trigger('submit')
    await flushPromises()
    expect(page.get('#topic-problem').text()).toContain('at most 256 bytes')
  })

  it('switches ways of meeting, and keeps the servers when others are refused', async () => {
    await boot('default')
    const page = await show(SettingsMeeting)
    const box = page.get('input[aria-label="Find peers near me"]')
    expect((box.element as HTMLInputElement).checked).toBe(true)
    await box.setValue(false)
    await vi.waitFor(() => expect(useHelper().settings?.localDiscovery).toBe(false))
    await page.get('#brokers').setValue('mqtt://a.example:1883\n mqtts://b.example')
    await page.get('form').trigger('submit')
    await vi.waitFor(() => expect(useHelper().settings?.mqttBrokers).toEqual(['mqtt://a.example:1883', 'mqtts://b.example']))
    await page.get('#brokers').setValue('https://no.example')
    await page.get('form').trigger('submit')
    await flushPromises()
    expect(useHelper().settings?.mqttBrokers).toEqual(['mqtt://a.example:1883', 'mqtts://b.example'])
  })
})
