/** Commands about who may drive this helper: pairing, devices and their roles, and the door to the local network. */
import type { DeviceInfo, DeviceRole, LanInfo } from '@harddrive-party/protocol/control'
import { renderUnicodeCompact } from 'uqr'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { HelperSession } from '../helper-session.ts'
import { escapeName, formatTable, formatTime } from '../text-format.ts'

/** @param options.lan for a phone on the local network */
export async function makePairingLink({ api, output }: HelperSession, { lan, role }: { readonly lan: boolean; readonly role: DeviceRole }): Promise<void> {
  const { url, expiresAt } = await api.createPairingLink({ lan, role })
  const { authority, urls } = lan ? await api.lan() : { authority: null, urls: [] }
  const trust = authority === null || urls[0] === undefined ? null : { url: `${urls[0]}/trust`, fingerprint: authority.fingerprint }
  if (output.json) return output.line(JSON.stringify({ pairUrl: url, expiresAt, role, ...(trust === null ? {} : { trust }) }))
  if (trust !== null) {
    output.note('First time with this phone: it does not know this helper yet and will warn. Scan this, go on in spite of the warning, and follow the page there:\n')
    output.note(qr(trust.url))
    output.note(`${trust.url}\n\nThe page must show this, from the first sign to the last:\n${trust.fingerprint}\n\nThen scan this, which lets the phone in:\n`)
  }
  if (lan) output.note(qr(url))
  await output.line(url)
  output.note(`Good for one ${lan ? 'phone on your network' : 'browser on this machine'}, which may ${ROLE_WORDS[role]}, until ${formatTime(expiresAt)}.`)
}

const ROLE_WORDS: Readonly<Record<DeviceRole, string>> = {
  view: 'look and read only',
  control: 'look, download and connect, but change no shares, devices or settings',
  admin: 'do everything',
}

function qr(text: string): string {
  return renderUnicodeCompact(text, { border: 2 })
}

export interface DeviceChanges {
  /** Id, or a unique beginning of it, of a device that shall no longer be let in. */
  readonly revoke?: string
  /** The same of a device that gets another role or name. */
  readonly change?: string
  readonly role?: DeviceRole
  readonly name?: string
}

export async function manageDevices({ api, output }: HelperSession, { revoke, change, role, name }: DeviceChanges = {}): Promise<void> {
  const devices = await api.devices()
  if (revoke !== undefined) {
    const device = oneDevice(devices, revoke)
    await api.revokeDevice({ deviceId: device.deviceId })
    return output.line(output.json ? JSON.stringify({ id: device.deviceId }) : `${escapeName(device.name)} is no longer let in.`)
  }
  if (change !== undefined) {
    const device = oneDevice(devices, change)
    if (role === undefined && name === undefined) throw new CommandError(EXIT.usage, 'bad-request', 'say what changes: --role or --name')
    await api.changeDevice({ deviceId: device.deviceId, ...(role === undefined ? {} : { role }), ...(name === undefined ? {} : { name }) })
    return output.line(output.json ? JSON.stringify({ id: device.deviceId, name: name ?? device.name, role: role ?? device.role }) : `${escapeName(name ?? device.name)} may ${ROLE_WORDS[role ?? device.role]}.`)
  }
  if (output.json) return output.line(JSON.stringify(devices.map(({ deviceId, name: called, kind, role: held, pairedAt, lastUsedAt, current }) => ({ id: deviceId, name: called, kind, role: held, pairedAt, lastUsedAt, current }))))
  const rows = devices.map((device) => [device.deviceId.slice(0, 16), device.kind, device.role, formatTime(device.pairedAt), formatTime(device.lastUsedAt), `${escapeName(device.name)}${device.current ? ' (this one)' : ''}`])
  for (const line of formatTable([{ title: 'ID' }, { title: 'KIND' }, { title: 'ROLE' }, { title: 'PAIRED' }, { title: 'LAST USED' }, { title: 'NAME' }], rows)) await output.line(line)
}

function oneDevice(devices: readonly DeviceInfo[], text: string): DeviceInfo {
  const fitting = devices.filter((device) => device.deviceId.startsWith(text))
  const [device] = fitting
  if (device === undefined || fitting.length > 1) throw new CommandError(EXIT.notFound, device === undefined ? 'not-found' : 'ambiguous', `no single device begins with ${escapeName(text)}`)
  return device
}

/** @param enabled absent = only say how it is */
export async function manageLan({ api, output }: HelperSession, enabled: boolean | undefined): Promise<void> {
  const info = await (enabled === undefined ? api.lan() : api.setLan({ enabled }))
  if (output.json) return output.line(JSON.stringify(info))
  for (const line of describeLan(info)) await output.line(line)
}

function describeLan({ enabled, urls, problem, authority }: LanInfo): string[] {
  if (!enabled) return ['The app is served to this machine only. "hdp lan on" serves it to phones on your network, over HTTPS.']
  if (problem !== null) return [`The local network is not served: ${escapeName(problem.message)}.`]
  return ['The app is served to your network at', ...urls.map((url) => `  ${url}`), ...(authority === null ? [] : [`Phones trust it by the authority "${escapeName(authority.name)}", SHA-256`, `  ${authority.fingerprint}`]), '"hdp pair --lan" lets a phone in.']
}
