// Lets a worker thread run the scan worker's source as it is.
import { register } from 'tsx/esm/api'

register()
await import('../../src/adapters/shares/share-scan-worker.ts')
