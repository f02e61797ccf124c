/** What devices below `admin` are told of the state: all of it, but no user names and passwords of brokers. Decides nothing else. */
import type { ControlEvent, DeviceRole, Settings } from '@harddrive-party/protocol/control'

export function settingsFor(role: DeviceRole, settings: Settings): Settings {
  return role === 'admin' ? settings : { ...settings, mqttBrokers: settings.mqttBrokers.flatMap(withoutCredentials) }
}

export function eventFor(role: DeviceRole, event: ControlEvent): ControlEvent {
  return event.type === 'settings' ? { ...event, settings: settingsFor(role, event.settings) } : event
}

/** @returns nothing for what is no address: there is no telling what in it is secret */
function withoutCredentials(address: string): readonly string[] {
  try {
    const url = new URL(address)
    if (url.host === '') return []
    if (url.username === '' && url.password === '') return [address]
    url.username = ''
    url.password = ''
    return [url.href]
  } catch {
    return []
  }
}
