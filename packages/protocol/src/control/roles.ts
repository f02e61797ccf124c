import type { ControlMethod } from './api.ts'

/**
 * Who may call what. A device has one role; each method says the least that it takes. Decides nothing about who has which role.
 *
 * - `view` reads and looks at files
 * - `control` also downloads, orders the queue, keeps wishes, and deals with peers
 * - `admin` also changes what is shared and with whom, devices, limits and settings, and stops the helper
 */
export const DEVICE_ROLES = ['view', 'control', 'admin'] as const
export type DeviceRole = (typeof DEVICE_ROLES)[number]

/** The least role of each method, whatever its arguments. A method that is missing here does not compile. */
export const METHOD_ROLES: Readonly<Record<ControlMethod, DeviceRole>> = {
  snapshot: 'view',
  list: 'view',
  ping: 'view',
  transferFiles: 'view',
  previewDownload: 'view',
  downloadedFileUrl: 'view',
  remoteFileUrl: 'view',
  thumbnailsUrl: 'view',
  previewText: 'view',
  verifyReport: 'view',
  wishes: 'view',
  wishMatches: 'view',
  // Its changes take more: see below.
  syncWishes: 'view',
  activity: 'view',
  doctor: 'view',
  diagnostics: 'view',
  storage: 'view',

  // Whoever has the code can let strangers in.
  announceCode: 'control',
  renewCode: 'control',
  connect: 'control',
  disconnect: 'control',
  reconnect: 'control',
  forget: 'control',
  block: 'control',
  unblock: 'control',
  answerPeer: 'control',
  download: 'control',
  cancel: 'control',
  retry: 'control',
  clearFinished: 'control',
  pauseTransfers: 'control',
  resumeTransfers: 'control',
  cancelTransfers: 'control',
  retryTransfers: 'control',
  moveTransfer: 'control',
  followTransfer: 'control',
  fetchAgain: 'control',
  startVerify: 'control',
  cancelVerify: 'control',
  addWish: 'control',
  editWish: 'control',
  removeWish: 'control',
  answerMatches: 'control',
  clearActivity: 'control',

  // With paths it takes more: see below.
  sendOffer: 'control',
  answerOffer: 'control',
  cancelOffer: 'control',
  clearOffers: 'control',
  openStaging: 'control',
  closeStaging: 'control',

  // It lets somebody write here without being asked.
  setOfferRule: 'admin',
  addShare: 'admin',
  removeShare: 'admin',
  rescanShare: 'admin',
  cancelScan: 'admin',
  // It shows the directories of the helper's machine.
  browseFolders: 'admin',
  setAudience: 'admin',
  addGroup: 'admin',
  changeGroup: 'admin',
  removeGroup: 'admin',
  setLimits: 'admin',
  setPeerLimits: 'admin',
  updateSettings: 'admin',
  joinTopic: 'admin',
  leaveTopic: 'admin',
  autostart: 'admin',
  setAutostart: 'admin',
  devices: 'admin',
  changeDevice: 'admin',
  revokeDevice: 'admin',
  createPairingLink: 'admin',
  lan: 'admin',
  setLan: 'admin',
  shutdown: 'admin',
}

/** @param args as they came, checked or not @returns the least role for this very call */
export function roleFor(method: ControlMethod, args: unknown): DeviceRole {
  // One method both reads and writes.
  if (method === 'syncWishes' && Array.isArray((args as { changes?: unknown } | undefined)?.changes)) return 'control'
  // Any file of the helper's machine can be named so.
  if (method === 'sendOffer' && (args as { paths?: unknown } | undefined)?.paths !== undefined) return 'admin'
  return METHOD_ROLES[method]
}

export function hasRole(held: DeviceRole, needed: DeviceRole): boolean {
  return DEVICE_ROLES.indexOf(held) >= DEVICE_ROLES.indexOf(needed)
}
