// What a browser needs to load before the app shows.
import { firstLoadKilobytes } from '../../apps/helper/bench/app-size.ts'
import { round } from './lib/figures.mjs'

const DIST = new URL('../../apps/pwa/dist/', import.meta.url)

export default async function measurePwa() {
  return { pwa: { jsGzipKB: round(await firstLoadKilobytes(DIST)) } }
}
