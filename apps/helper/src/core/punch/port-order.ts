/** In which order the ports of a hard NAT are tried. Each generator ends by itself; who takes from it decides how many. */
import type { PortBlock } from './nat-kind.ts'

/** Ports that NATs hand out to anybody: below lie those that need privileges. */
export const ALL_PORTS: PortBlock = { low: 1024, high: 65535 }

/** Every port of the block once, in random order (Fisher and Yates, keeping only what has moved). */
export function* shuffledPorts({ low, high }: PortBlock, random: () => number): Generator<number, void, undefined> {
  const moved = new Map<number, number>()
  for (let last = high; last >= low; last--) {
    const drawn = low + Math.floor(random() * (last - low + 1))
    yield moved.get(drawn) ?? drawn
    moved.set(drawn, moved.get(last) ?? last)
    moved.delete(last)
  }
}

/**
 * For a NAT that counts, whose owner has just opened `flows` flows in a row: steps of half that width, upwards from the last port known, meet them twice,
 * however far the counter has gone on in between.
 */
export function* combedPorts(lastPort: number, step: number, flows: number): Generator<number, void, undefined> {
  const { low, high } = ALL_PORTS
  const size = high - low + 1
  const stride = Math.max(1, Math.floor(flows / 2)) * step
  for (let distance = stride; distance <= size; distance += stride) yield low + ((((lastPort - low + distance) % size) + size) % size)
}

/** `distance` flows after the last known port, back at the bottom beyond the top. */
export function countedPort(lastPort: number, step: number, distance: number): number {
  const { low, high } = ALL_PORTS
  const size = high - low + 1
  return low + ((((lastPort - low + step * distance) % size) + size) % size)
}
