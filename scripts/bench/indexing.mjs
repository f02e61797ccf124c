// How fast a tree is indexed, beside `find -printf` over the same one, and what listing and searching that index cost.
import { measureIndexSpeed } from '../../apps/helper/bench/index-speed.ts'

export default async function measureIndexing(bench) {
  return { index: await measureIndexSpeed(bench.quick ? 20_000 : 100_000) }
}
