import type { CborMap } from './cbor.ts'
import { bytesField } from './peer-fields.ts'
import { type Fault, type Result, succeed } from './result.ts'

/** The notice that what the receiver sees of the sender's shares is another state than before. Says nothing of what has changed. */
export interface ChangedRequest {
  readonly type: 'changed'
  /** 8 bytes: the same for the same state, another for another; nothing can be read from them. */
  readonly revision: Uint8Array
}

/** What a peer lists in its hello that wants such notices; others are not bothered with them. */
export const CHANGES_CAPABILITY = 'changes'

export const REVISION_BYTES = 8

export function decodeChanged(map: CborMap): Result<ChangedRequest, Fault> {
  const revision = bytesField(map, 'revision', REVISION_BYTES)
  return revision.ok ? succeed({ type: 'changed', revision: revision.value }) : revision
}
