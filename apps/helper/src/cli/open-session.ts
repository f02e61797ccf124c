/** Finds the helper that is running for this person and opens the control door to it, with the command line's own device key. */
import { CodedError } from '@harddrive-party/protocol'
import { openControlClient } from '@harddrive-party/protocol/control'
import { WebSocket } from 'ws'
import { defaultStorage } from '../adapters/system/app-paths.ts'
import { readRunningNote } from '../adapters/system/running-register.ts'
import { openCliDevice, readHelperFile } from '../control/helper-file.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { HelperSession } from './helper-session.ts'
import type { Output } from './output.ts'

export interface HelperChoice {
  readonly storage?: string
  readonly uiAddress?: URL
}

/** @throws CommandError with EXIT.notRunning */
export async function openSession(choice: HelperChoice, output: Output): Promise<HelperSession> {
  const storage = await findStorage(choice)
  const file = await readHelperFile(storage)
  if (file === undefined) throw notRunning(storage)
  const { origin } = new URL(file.url)
  const device = await openCliDevice(storage)
  // From here to the client in one turn: what arrives before somebody listens is lost.
  const socket = new WebSocket(`${origin.replace(/^http/, 'ws')}/control`, { origin })
  try {
    const client = await openControlClient({ socket, device, deviceName: 'command line', origin, helperKey: file.peerId })
    return { client, api: client.api, output, pid: file.pid, ui: origin }
  } catch (error) {
    // The file is left from a helper that was killed: nobody is there, or somebody else is.
    if (error instanceof CodedError && (error.code === 'unreachable' || error.code === 'wrong-identity')) throw notRunning(storage, error)
    throw error
  }
}

async function findStorage({ storage, uiAddress }: HelperChoice): Promise<string> {
  if (storage !== undefined) return storage
  if (uiAddress === undefined) return defaultStorage()
  const note = await readRunningNote(Number(uiAddress.port === '' ? 80 : uiAddress.port))
  if (note === undefined) throw new CommandError(EXIT.notRunning, 'not-running', `no helper of yours is running at ${uiAddress.origin}`)
  return note.storage
}

function notRunning(storage: string, cause?: unknown): CommandError {
  return new CommandError(EXIT.notRunning, 'not-running', `no helper is running with the storage ${storage}. "hdp start" starts one`, { cause })
}
