// The programs that are compared, by name: each a file beside this one whose `open` gives what world.mjs drives.
import { open as openOldParty } from './old-party.mjs'
import { open as openOurs } from './ours.mjs'
import { openRsync, openScp } from './ssh.mjs'
import { open as openSendme } from './sendme.mjs'
import { open as openSyncthing } from './syncthing.mjs'
import { open as openWormhole } from './wormhole.mjs'

/**
 * @typedef {object} Source what anna shares
 * @property {string} directory
 * @property {string} [file] one file in it that is wanted; else all of it
 *
 * @typedef {object} Offer
 * @property {() => Promise<void>} [meet] what two people do once, before the first download: connecting, accepting
 * @property {(signal: AbortSignal) => Promise<void>} fetch resolves when all of it is there; rejects when the signal says so
 * @property {string} arrived the file or folder that there is then
 * @property {() => Promise<void>} close nothing of it remains
 *
 * @typedef {object} Program
 * @property {(source: Source, signal: AbortSignal) => Promise<Offer>} offer resolves when the other side could ask for it
 * @property {() => Promise<void>} close
 *
 * @type {Record<string, { needs: string[], open(place: import('./place.mjs').Place, paths: Record<string, string>): Promise<Program> }>}
 */
export const PROGRAMS = {
  ours: { needs: [], open: openOurs },
  scp: { needs: ['scp', 'sshd'], open: openScp },
  rsync: { needs: ['rsync', 'sshd'], open: openRsync },
  syncthing: { needs: ['syncthing'], open: openSyncthing },
  wormhole: { needs: ['wormhole', 'mailbox'], open: openWormhole },
  sendme: { needs: ['sendme'], open: openSendme },
  oldParty: { needs: ['harddrive-party'], open: openOldParty },
}
