/** Says in words why nothing of a download comes in. Pure text. */
import type { TransferInfo, TransferWait } from '@harddrive-party/protocol/control'
import { escapeName, formatSeconds } from './text-format.ts'

type Waiting = Pick<TransferInfo, 'peerName' | 'reason'> & { readonly wait: TransferWait | null }

/** @param now milliseconds since 1970 @returns empty while all is well */
export function waitWords({ wait, reason, peerName }: Waiting, now: number): string {
  const why = reason === null ? '' : escapeName(reason.message)
  if (wait === null) return why
  const name = escapeName(peerName)
  const again = wait.until === undefined ? '' : `; tried again in ${formatSeconds(Math.max(1, (wait.until - now) / 1000))}`
  switch (wait.cause) {
    case 'turn':
      return 'others come first'
    case 'offline':
      return `${name} is not connected`
    case 'place':
      return `place ${wait.place ?? '?'} in ${name}'s queue`
    case 'limit':
      return 'held up by a rate limit of yours'
    case 'disk':
      return `the disk is full: ${why}${again}`
    case 'source':
      return `the file changed at ${name}${again}`
    case 'peer':
    case 'retry':
      return `${why}${again}`
    case 'paused':
      return 'paused'
    case 'peer-paused':
      return `everything from ${name} is paused`
    case 'all-paused':
      return 'all downloads are paused'
  }
}
