import { type PairingInvitation, type SocketLike, openControlClient, openControlMirror } from '@harddrive-party/protocol/control'
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import type { AppDb } from './state/app-db.ts'
import { deviceName, openDeviceKey } from './state/device-key.ts'
import type { ControlSession, OpenSession, SessionListener } from './state/link.ts'

/** The app's only WebSocket: to the helper that served it. Opens sessions; who keeps them alive is `state/link.ts`. */

const SOCKET_PATH = '/control'

function openSocket(): SocketLike {
  return new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${SOCKET_PATH}`) as SocketLike
}

/** @param helperKey of the helper this browser was paired with */
export function sessionsWith(db: AppDb, helperKey: PeerId): OpenSession {
  return async (listener, { signal }) => {
    const device = await openDeviceKey(db)
    const client = await openControlClient({ socket: openSocket(), device, deviceName: deviceName(navigator.userAgent), origin: location.origin, helperKey }, { signal })
    const closed = new Promise<void>((resolve) => client.onClose(() => resolve()))
    try {
      return await follow(client, listener, closed)
    } catch (error) {
      client.close()
      throw error
    }
  }
}

/** Feeds a listener from any source of the contract, the mock included. */
export async function follow(client: Parameters<typeof openControlMirror>[0] & { close(): void }, listener: SessionListener, closed: Promise<unknown>): Promise<ControlSession> {
  const mirror = openControlMirror(client)
  mirror.subscribe((state, changes) => {
    if (changes === null) listener.onSnapshot(state)
    else for (const change of changes) listener.onChange(change)
  })
  await mirror.ready
  return {
    api: client.api,
    closed,
    close() {
      mirror.close()
      client.close()
    },
  }
}

/** Uses up a pairing link. @returns the helper's key, to be remembered. @throws CodedError */
export async function pairWithHelper(db: AppDb | null, pairing: PairingInvitation): Promise<PeerId> {
  if (db === null) throw new CodedError('conflict', 'this browser keeps no data for this page (a private window?), so it cannot be paired')
  const device = await openDeviceKey(db)
  const client = await openControlClient({ socket: openSocket(), device, deviceName: deviceName(navigator.userAgent), origin: location.origin, pairing })
  client.close()
  await db.put('pairing', { helperId: client.helper.peerId, pairedAt: Date.now() }, 'helper')
  return client.helper.peerId
}
