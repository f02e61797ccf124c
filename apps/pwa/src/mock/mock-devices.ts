import { CodedError } from '@harddrive-party/protocol'
import { DEVICE_ROLES, type DeviceInfo, type DeviceRole, type DevicesApi, type LanApi, type LanInfo } from '@harddrive-party/protocol/control'
import { MY_ID } from './mock-scenarios.ts'

/** Devices, and a house in which the helper may be reached. The role of this browser can be chosen in the address: `?mock=default&role=view`. */
export function openMockDevices(startedAt: number): { readonly methods: DevicesApi & LanApi; role(): DeviceRole } {
  let devices: DeviceInfo[] = [
    { deviceId: 'd1'.repeat(32), name: 'Chrome on Linux', kind: 'browser', role: chosenRole(), pairedAt: startedAt - 86_400_000, lastUsedAt: startedAt, current: true },
    { deviceId: 'd2'.repeat(32), name: 'Command line', kind: 'cli', role: 'admin', pairedAt: startedAt - 9 * 86_400_000, lastUsedAt: startedAt - 3_600_000, current: false },
    { deviceId: 'd3'.repeat(32), name: 'Chrome on Android', kind: 'browser', role: 'control', pairedAt: startedAt - 2 * 86_400_000, lastUsedAt: startedAt - 7_200_000, current: false },
  ]
  let lan: LanInfo = { enabled: false, urls: [], problem: null, authority: { name: 'harddrive-party of Quiet Fox', fingerprint: Array.from({ length: 32 }, (_, i) => ((i * 37 + 11) % 256).toString(16).toUpperCase().padStart(2, '0')).join(':') } }
  const find = (deviceId: string) => {
    const device = devices.find((known) => known.deviceId === deviceId)
    if (device === undefined) throw new CodedError('not-found', 'there is no such device')
    return device
  }
  const mayGiveUp = (device: DeviceInfo, lastAdmin = false) => {
    const others = devices.filter((other) => other !== device && other.role === 'admin' && other.kind === 'browser')
    if (device.current && device.role === 'admin' && !lastAdmin && others.length === 0) throw new CodedError('conflict', 'no other browser could change anything then')
  }
  return {
    role: () => devices.find(({ current }) => current)?.role ?? 'view',
    methods: {
      devices: async () => devices,
      async changeDevice({ deviceId, name, role, lastAdmin }) {
        const device = find(deviceId)
        if (role !== undefined && role !== device.role) {
          if (device.kind === 'cli') throw new CodedError('conflict', 'the role of the command line cannot be less')
          if (role !== 'admin') mayGiveUp(device, lastAdmin)
        }
        devices = devices.map((known) => (known === device ? { ...device, name: name ?? device.name, role: role ?? device.role } : known))
      },
      async revokeDevice({ deviceId, lastAdmin }) {
        const device = find(deviceId)
        mayGiveUp(device, lastAdmin)
        devices = devices.filter((known) => known !== device)
      },
      async createPairingLink({ lan: forPhone = false } = {}) {
        const [url = 'http://127.0.0.1:3030'] = forPhone ? lan.urls : []
        if (forPhone && lan.urls.length === 0) throw new CodedError('conflict', 'the helper does not serve the local network; switch that on first')
        return { url: `${url}/#/pair/${'5a'.repeat(16)}.${MY_ID.slice(0, 32)}`, expiresAt: Date.now() + 600_000 }
      },
      lan: async () => lan,
      setLan: async ({ enabled }) => (lan = { ...lan, enabled, urls: enabled ? ['https://192.168.1.5:3443', 'https://quiet-fox.local:3443'] : [] }),
    },
  }
}

function chosenRole(): DeviceRole {
  const asked = typeof location === 'undefined' ? null : new URLSearchParams(location.search).get('role')
  return DEVICE_ROLES.find((role) => role === asked) ?? 'admin'
}
