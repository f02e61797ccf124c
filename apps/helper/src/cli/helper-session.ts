/** A command's conversation with the running helper, and small questions that many commands ask. */
import type { ControlApi, ControlClient, PeerInfo } from '@harddrive-party/protocol/control'
import { findPeer } from './peer-reference.ts'
import type { Output } from './output.ts'

export interface HelperSession {
  readonly client: ControlClient
  readonly api: ControlApi
  readonly output: Output
  /** The helper's own process, to wait for its end. */
  readonly pid: number | undefined
  readonly ui: string
}

/** @throws CommandError when none or several fit */
export async function peerCalled({ api }: HelperSession, text: string): Promise<PeerInfo> {
  return findPeer((await api.snapshot()).peers, text)
}
