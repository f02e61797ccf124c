import type { DeviceRole } from './roles.ts'

/** Which browsers and command lines may drive the helper, and what each may do. Part of the control contract. */
export interface DevicesApi {
  devices(): Promise<readonly DeviceInfo[]>
  /**
   * Another name or role; absent = as it is. Holds at once: a device whose role changes has to connect again. To take `admin` from oneself when no other
   * browser has it, say `lastAdmin`.
   * @throws CodedError `not-found`, `conflict` (the last admin; the role of the command line)
   */
  changeDevice(args: { deviceId: string; name?: string; role?: DeviceRole; lastAdmin?: boolean }): Promise<void>
  /** Its connections end at once, and so do the addresses of files it was given. `lastAdmin` as above. */
  revokeDevice(args: { deviceId: string; lastAdmin?: boolean }): Promise<void>
  /**
   * A link with a one-time pairing code for another browser: on this machine, or with `lan` for a phone on the local network. `role` absent = admin.
   * @throws CodedError `conflict` when the helper does not serve the local network
   */
  createPairingLink(args?: { lan?: boolean; role?: DeviceRole }): Promise<{ url: string; expiresAt: number }>
}

export const DEVICES_METHODS = ['devices', 'changeDevice', 'revokeDevice', 'createPairingLink'] as const satisfies readonly (keyof DevicesApi)[]

export interface DeviceInfo {
  readonly deviceId: string
  readonly name: string
  readonly kind: 'browser' | 'cli'
  readonly role: DeviceRole
  readonly pairedAt: number
  readonly lastUsedAt: number | null
  /** The one asking. */
  readonly current: boolean
}
