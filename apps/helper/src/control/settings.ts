/** Keeps the person's settings across restarts. Does not act on them; whoever changes one tells the parts concerned. */
import type { ControlChange, Settings } from '@harddrive-party/protocol/control'
import * as v from 'valibot'
import type { Store } from '../adapters/system/store.ts'
import type { SettingsStore } from './services.ts'

/** Open to everybody without an account; they see random names and sealed packets, and only of people who are in a topic. */
const DEFAULT_MQTT_BROKERS: readonly string[] = ['mqtts://broker.hivemq.com:8883', 'mqtts://test.mosquitto.org:8886']

// A setting that an older version did not have, or that cannot be read, falls back to its default.
const SAVED = v.object({
  askBeforeAccepting: v.exactOptional(v.fallback(v.boolean(), false)),
  downloadDirectory: v.exactOptional(v.string()),
  topics: v.exactOptional(v.fallback(v.array(v.string()), [])),
  localDiscovery: v.exactOptional(v.fallback(v.boolean(), true)),
  portMapping: v.exactOptional(v.fallback(v.boolean(), true)),
  passMeOn: v.exactOptional(v.fallback(v.boolean(), true)),
  introductions: v.exactOptional(v.fallback(v.boolean(), true)),
  mqttBrokers: v.exactOptional(v.fallback(v.array(v.string()), [])),
})

const KEY = 'settings'

/** What nobody has changed. */
export function defaultSettings(downloadDirectory: string): Settings {
  return {
    askBeforeAccepting: false, downloadDirectory, topics: [], localDiscovery: true, portMapping: true, passMeOn: true, introductions: true, mqttBrokers: DEFAULT_MQTT_BROKERS,
  }
}

/**
 * @param defaults for what was never set
 * @param override of this start, for example from the command line; not kept
 */
export function createSettings(options: {
  store: Store; defaults: Settings; override?: Partial<Settings>; onChange: (change: ControlChange) => void
}): SettingsStore {
  const table = options.store.table<Partial<Settings>>('settings', (raw) => {
    const result = v.safeParse(SAVED, raw)
    return result.success ? result.output : undefined
  })
  let saved = table.get(KEY) ?? {}
  let override = options.override ?? {}
  const current = (): Settings => ({ ...options.defaults, ...saved, ...override })
  return {
    current,
    update: async (change) => {
      const next = { ...saved, ...change }
      await table.put(KEY, next)
      saved = next
      // Somebody who changes a setting while it is overridden wants the change.
      override = Object.fromEntries(Object.entries(override).filter(([key]) => !(key in change)))
      const settings = current()
      options.onChange({ type: 'settings', settings })
      return settings
    },
  }
}
