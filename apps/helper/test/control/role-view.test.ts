import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { type ControlEvent, type DeviceRole } from '@harddrive-party/protocol/control'
import { settingsFor } from '../../src/control/role-view.ts'
import { defaultSettings } from '../../src/control/settings.ts'
import { type ControlWorld, openControlWorld } from '../support/control-world.ts'

const SECRET = 'mqtts://me:s3cr@t@broker.test:8883'
const SHOWN = 'mqtts://broker.test:8883'

let world: ControlWorld
beforeAll(async () => {
  world = await openControlWorld()
})
afterAll(() => world.close())

it('keeps what has no credentials as it is, and leaves out what is no address', () => {
  const settings = { ...defaultSettings('/downloads'), mqttBrokers: ['mqtts://broker.test:8883', 'wss://me@broker.test/mqtt', 'wss://:s3cret@broker.test:9001', 'me:s3cret at broker'] }
  expect(settingsFor('admin', settings)).toEqual(settings)
  expect(settingsFor('view', settings)).toEqual({ ...settings, mqttBrokers: ['mqtts://broker.test:8883', 'wss://broker.test/mqtt', 'wss://broker.test:9001/'] })
})

it.each<DeviceRole>(['view', 'control', 'admin'])('tells a device that is %s the credentials of brokers only if it may change them', async (role) => {
  const client = await world.connect(await world.addDevice('browser', role))
  const events: ControlEvent[] = []
  client.onEvent((event) => events.push(event))
  await client.api.snapshot()
  await world.settings.update({ mqttBrokers: [SECRET] })
  const expected = role === 'admin' ? SECRET : SHOWN
  await vi.waitFor(() => expect(events.find(({ type }) => type === 'settings')).toMatchObject({ settings: { mqttBrokers: [expected] } }))
  expect((await client.api.snapshot()).settings.mqttBrokers).toEqual([expected])
  client.close()
})
