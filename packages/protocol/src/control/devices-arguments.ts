import * as v from 'valibot'
import { flag } from './argument-parts.ts'
import { MAX_DEVICE_NAME, isDeviceName } from './handshake.ts'
import { DEVICE_ROLES } from './roles.ts'

/** What the methods about devices and the local network admit as their argument. */
const deviceId = v.pipe(v.string('must be text'), v.regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'))
const role = v.picklist(DEVICE_ROLES, `must be one of ${DEVICE_ROLES.join(', ')}`)
const name = v.pipe(v.string('must be text'), v.check((text) => isDeviceName(text), `has 1 to ${MAX_DEVICE_NAME} printable characters`))

export const DEVICES_SCHEMAS = {
  devices: v.optional(v.strictObject({})),
  changeDevice: v.strictObject({ deviceId, name: v.exactOptional(name), role: v.exactOptional(role), lastAdmin: v.exactOptional(flag) }),
  revokeDevice: v.strictObject({ deviceId, lastAdmin: v.exactOptional(flag) }),
  createPairingLink: v.optional(v.strictObject({ lan: v.exactOptional(flag), role: v.exactOptional(role) })),
  lan: v.optional(v.strictObject({})),
  setLan: v.strictObject({ enabled: flag }),
}
