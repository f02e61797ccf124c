import { type PeerId, type SharePath, collisionKey, parsePathPart, sharePathParts } from '@harddrive-party/protocol'

/**
 * Decides which shares a peer sees, and under which names. A share that it may not see leaves no trace: the others are named as if that one did not
 * exist. Reads nothing.
 */
export type ShareView = ReadonlyMap<string, string>

export interface ViewedShare {
  readonly shareId: string
  readonly name: string
  readonly baseName?: string
  /** Absent = everyone. */
  readonly audience?: readonly PeerId[]
}

/** @param shares oldest first: the first of a name has it unnumbered @returns names by share id */
export function shareView(shares: readonly ViewedShare[], peerId: PeerId): ShareView {
  const view = new Map<string, string>()
  const taken = new Set<string>()
  for (const { shareId, name, baseName, audience } of shares) {
    if (audience !== undefined && !audience.includes(peerId)) continue
    const distinct = distinctName(baseName ?? name, taken)
    taken.add(collisionKey(distinct))
    view.set(shareId, distinct)
  }
  return view
}

/** The share that a path leads to, undefined where it leads to none. */
export function shareAt(view: ShareView, path: SharePath): string | undefined {
  const [first] = sharePathParts(path)
  for (const [shareId, name] of view) if (name === first) return shareId
  return undefined
}

/** The name, or the first numbered one that nothing has. Also distinct where case is ignored, so that somebody who downloads both gets both. */
export function distinctName(name: string, taken: ReadonlySet<string>): string {
  for (let i = 1; ; i++) {
    const suffix = i === 1 ? '' : ` (${i})`
    let base = name
    while (!parsePathPart(base + suffix).ok && base.length > 1) base = base.slice(0, -1)
    if (!taken.has(collisionKey(base + suffix))) return base + suffix
  }
}
