// Lets a worker thread run the hash worker's source as it is.
import { register } from 'tsx/esm/api'

register()
await import('../../src/adapters/transfers/hash-worker.ts')
