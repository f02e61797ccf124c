import type { AutostartApi, AutostartInfo } from '@harddrive-party/protocol/control'

/** Starting at login, on a machine that never restarts. */
export function mockAutostart(): AutostartApi {
  let info: AutostartInfo = { kind: 'systemd', enabled: false, file: '/home/mock/.config/systemd/user/harddrive-party.service', note: null }
  return {
    autostart: async () => info,
    setAutostart: async ({ enabled }) => (info = { ...info, enabled }),
  }
}
