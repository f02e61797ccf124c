// node scripts/install.mjs --production: the packages that a built checkout runs with, for images and servers; without it, all of them.
import { ensurePackages, requireNode } from './lib/install.mjs'

requireNode()
await ensurePackages({ production: process.argv.includes('--production') })
