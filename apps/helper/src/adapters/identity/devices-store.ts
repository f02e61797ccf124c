/** Keeps the paired devices: their public keys, names and roles. Decides nothing about who may pair. */
import { CodedError } from '@harddrive-party/protocol'
import { DEVICE_ROLES, isDeviceId, isDeviceName } from '@harddrive-party/protocol/control'
import * as v from 'valibot'
import type { Devices, StoredDevice } from '../../control/services.ts'
import type { Store } from '../system/store.ts'

/** Browsers and profiles of one person; more means that something pairs again and again. */
const MAX_DEVICES = 100
/** When a device was last used is for people: writing it at every call would wear the disk for nothing. */
const TOUCH_STEP_MS = 60_000

const RECORD = v.strictObject({
  deviceId: v.custom<string>(isDeviceId),
  name: v.custom<string>(isDeviceName),
  kind: v.picklist(['browser', 'cli']),
  // Before there were roles, every device could do everything.
  role: v.optional(v.picklist(DEVICE_ROLES), 'admin'),
  pairedAt: v.number(),
  lastUsedAt: v.nullable(v.number()),
})

export function openDevices(options: { store: Store; now: () => number; onError: (error: unknown) => void }): Devices {
  const { store, now, onError } = options
  const table = store.table<StoredDevice>('devices', (raw) => {
    const result = v.safeParse(RECORD, raw)
    return result.success ? result.output : undefined
  })
  const devices = new Map(table.entries().map(({ value }) => [value.deviceId, value]))
  const listeners = new Set<(deviceId: string) => void>()
  const roleListeners = new Set<(deviceId: string) => void>()
  return {
    list: () => [...devices.values()].sort((a, b) => a.pairedAt - b.pairedAt),
    find: (deviceId) => devices.get(deviceId),
    add: async ({ deviceId, name, kind, role }) => {
      const known = devices.get(deviceId)
      if (known === undefined && devices.size >= MAX_DEVICES) throw new CodedError('busy', `${MAX_DEVICES} devices are paired already; remove one first`, { detail: { code: 'too-many-devices', values: { max: MAX_DEVICES } } })
      const device: StoredDevice = { deviceId, name, kind, role, pairedAt: known?.pairedAt ?? now(), lastUsedAt: known?.lastUsedAt ?? null }
      devices.set(deviceId, device)
      await table.put(deviceId, device)
      return device
    },
    change: async (deviceId, change) => {
      const device = devices.get(deviceId)
      if (device === undefined) throw new CodedError('not-found', 'there is no such device')
      const changed = { ...device, ...change }
      devices.set(deviceId, changed)
      if (changed.role !== device.role) for (const listener of roleListeners) listener(deviceId)
      await table.put(deviceId, changed)
    },
    touch: (deviceId) => {
      const device = devices.get(deviceId)
      if (device === undefined || now() - (device.lastUsedAt ?? 0) < TOUCH_STEP_MS) return
      const touched = { ...device, lastUsedAt: now() }
      devices.set(deviceId, touched)
      table.put(deviceId, touched).catch(onError)
    },
    remove: async (deviceId) => {
      if (!devices.delete(deviceId)) return false
      for (const listener of listeners) listener(deviceId)
      await table.remove(deviceId)
      return true
    },
    onRemoved: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onRoleChanged: (listener) => {
      roleListeners.add(listener)
      return () => roleListeners.delete(listener)
    },
  }
}
