/** The control methods about devices and the local network: who may drive the helper, what each may do, and how phones get in. */
import { CodedError } from '@harddrive-party/protocol'
import type { DevicesApi, LanApi } from '@harddrive-party/protocol/control'
import type { Devices, Lan, MakePairingLink } from './services.ts'

export interface DevicesDeps {
  readonly devices: Devices
  readonly lan: Lan
  readonly createPairingLink: MakePairingLink
}

/** @param asking the device that calls; null for scripts with the API token */
export function createDevicesService({ devices, lan, createPairingLink }: DevicesDeps, asking: string | null): DevicesApi & LanApi {
  /** Somebody else who asks keeps the role; whoever gives up the last one must know it. */
  const mayGiveUp = (deviceId: string, lastAdmin = false) => {
    if (deviceId !== asking || lastAdmin || devices.find(deviceId)?.role !== 'admin') return
    const others = devices.list().filter((device) => device.deviceId !== deviceId && device.role === 'admin' && device.kind === 'browser')
    if (others.length === 0) throw new CodedError('conflict', 'no other browser could change anything then; only the command line of the helper\'s machine could ("hdp pair"). Say "lastAdmin" if this is what you want', { detail: { code: 'last-admin', values: {} } })
  }
  return {
    devices: async () => devices.list().map((device) => ({ ...device, current: device.deviceId === asking })),
    changeDevice: async ({ deviceId, name, role, lastAdmin }) => {
      const device = devices.find(deviceId)
      if (device === undefined) throw new CodedError('not-found', 'there is no such device')
      if (role !== undefined && role !== device.role) {
        if (device.kind === 'cli') throw new CodedError('conflict', "whoever can use the command line can read the helper's storage, so its role cannot be less", { detail: { code: 'cli-role', values: {} } })
        if (role !== 'admin') mayGiveUp(deviceId, lastAdmin)
      }
      await devices.change(deviceId, { ...(name === undefined ? {} : { name }), ...(role === undefined ? {} : { role }) })
    },
    revokeDevice: async ({ deviceId, lastAdmin }) => {
      mayGiveUp(deviceId, lastAdmin)
      if (!(await devices.remove(deviceId))) throw new CodedError('not-found', 'there is no such device')
    },
    createPairingLink: async ({ lan: forPhone = false, role = 'admin' } = {}) => createPairingLink({ lan: forPhone, role }),
    lan: async () => lan.info(),
    setLan: ({ enabled }) => lan.set(enabled),
  }
}
