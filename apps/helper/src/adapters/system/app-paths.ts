/** Where things live on this machine: storage, downloads, and the register of running helpers. Follows XDG, macOS and Windows; creates nothing. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import envPaths from 'env-paths'

const APP = 'harddrive-party'

/** @returns the storage used when none is named */
export function defaultStorage(): string {
  return envPaths(APP, { suffix: '' }).data
}

/** @returns where downloads go unless told otherwise */
export function defaultDownloadDirectory(): string {
  return join(homedir(), 'Downloads', APP)
}

/** The directory in which every helper of this user notes the port it listens on and its storage. */
export function runningDirectory(): string {
  const paths = envPaths(APP, { suffix: '' })
  // On Linux `log` is XDG's state directory, which is what this is; elsewhere it is for log files only.
  return join(process.platform === 'linux' ? paths.log : paths.data, 'running')
}

/** The parts of a storage. */
export interface StoragePaths {
  readonly root: string
  readonly identityKey: string
  readonly database: string
  readonly index: string
  /** Files from browsers, waiting to be sent. */
  readonly staging: string
  /** Pictures of shared images, to be lost at any time. */
  readonly thumbnails: string
}

/** @param storage as given by a person; relative to the working directory */
export function storagePaths(storage: string): StoragePaths {
  const root = resolve(storage)
  return {
    root,
    identityKey: join(root, 'identity.key'),
    database: join(root, 'database'),
    index: join(root, 'index'),
    staging: join(root, 'staging'),
    thumbnails: join(root, 'thumbnails'),
  }
}
