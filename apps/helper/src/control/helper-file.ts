/** What a running helper leaves in its storage for the command line and scripts: where it is, a device key, an API token. All for their owner only. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type PeerId, parsePeerId } from '@harddrive-party/protocol'
import { type DeviceKey, deviceKeyFromSeed } from '@harddrive-party/protocol/control'
import * as v from 'valibot'
import { openPrivateFile, readPrivateFile, writePrivateFile } from '../adapters/identity/private-file.ts'

export interface HelperFile {
  readonly pid: number
  /** Origin of the control server, `http://127.0.0.1:3030`. */
  readonly url: string
  readonly peerId: PeerId
  /** Milliseconds since 1970. */
  readonly startedAt: number
}

const FILE = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  url: v.pipe(v.string(), v.url()),
  peerId: v.custom<PeerId>((text) => typeof text === 'string' && parsePeerId(text).ok),
  startedAt: v.number(),
})

/** @throws CodedError `disk-error` */
export async function writeHelperFile(storage: string, file: HelperFile): Promise<void> {
  await writePrivateFile(join(storage, 'helper.json'), `${JSON.stringify(file)}\n`)
}

/** It may be left from a helper that was killed. @returns undefined when there is none @throws CodedError `disk-error` */
export async function readHelperFile(storage: string): Promise<HelperFile | undefined> {
  const text = await readPrivateFile(join(storage, 'helper.json'))
  if (text === undefined) return undefined
  try {
    const result = v.safeParse(FILE, JSON.parse(text))
    return result.success ? result.output : undefined
  } catch {
    return undefined
  }
}

/** Removes the file unless another helper has written it since. */
export async function removeHelperFile(storage: string, pid: number): Promise<void> {
  if ((await readHelperFile(storage))?.pid === pid) await rm(join(storage, 'helper.json'), { force: true })
}

/** The command line's key: whoever can read the storage may drive the helper. Made by the helper at its first start. @throws CodedError `disk-error` */
export async function openCliDevice(storage: string): Promise<DeviceKey> {
  const seed = await openPrivateFile(join(storage, 'cli-device.key'), /^[0-9a-f]{64}$/, () => randomBytes(32).toString('hex'))
  return deviceKeyFromSeed(Buffer.from(seed, 'hex'))
}

/** The bearer token of the JSON API, 64 hex digits. @throws CodedError `disk-error` */
export function openApiToken(storage: string): Promise<string> {
  return openPrivateFile(join(storage, 'api-token'), /^[0-9a-f]{64}$/, () => randomBytes(32).toString('hex'))
}
