import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { CodedError } from '@harddrive-party/protocol'
import type { FromThumbnailWorker, ToThumbnailWorker } from './thumbnail-worker.ts'

/** Runs the process that decodes images: starts it when there is something to do, kills it when it hangs, ends it when it rests. One image at a time. */
export interface ThumbnailProcess {
  /**
   * @param bytes of the image file, checked for its kind and size already
   * One at a time: the next is for when this one has settled.
   * @throws CodedError `unreadable` (broken, or it took too long), `unsupported` (the library does not load here), `closed`
   */
  make(bytes: Uint8Array, edge: number): Promise<Uint8Array>
  close(): void
}

export interface ThumbnailProcessOptions {
  /** Default: the worker beside this module. */
  readonly entry?: URL
  readonly timeoutMs?: number
  readonly idleMs?: number
  readonly log?: (message: string, details: object) => void
}

/** The largest image that is let through takes seconds on a slow machine; what takes longer was made for that. */
const TIMEOUT_MS = 20_000
/** Somebody who looks through folders pauses now and then. */
const IDLE_MS = 30_000

/** Whether the library is there; whether it loads shows at its first use. */
export function canMakeThumbnails(): boolean {
  try {
    createRequire(import.meta.url).resolve('sharp')
    return true
  } catch {
    return false
  }
}

interface Job {
  readonly id: number
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: CodedError) => void
}

export function openThumbnailProcess(options: ThumbnailProcessOptions = {}): ThumbnailProcess {
  const { entry = new URL('./thumbnail-worker.js', import.meta.url), idleMs = IDLE_MS, log = () => {} } = options
  let child: ChildProcess | undefined
  let job: Job | undefined
  let isUnavailable = false
  let closed = false
  let nextId = 1
  let idle: NodeJS.Timeout | undefined

  function settle(how: (ended: Job) => void): void {
    const ended = job
    job = undefined
    if (ended !== undefined) how(ended)
  }

  function start(): ChildProcess {
    const started = fork(entry, [], {
      serialization: 'advanced',
      // What a library writes about an image is a stranger's text: nobody needs it.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: entry.pathname.endsWith('.ts') ? ['--import', 'tsx'] : ['--max-old-space-size=96'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '1', VIPS_CONCURRENCY: '1', MALLOC_ARENA_MAX: '2' },
    })
    started.on('message', (message: FromThumbnailWorker) => {
      if (child !== started) return
      if (message.kind === 'unavailable') {
        isUnavailable = true
        log('no thumbnails: their library does not load here', { reason: message.message })
        settle(({ reject }) => reject(notHere()))
      } else if (message.id === job?.id) {
        settle(({ resolve, reject }) => (message.kind === 'made' ? resolve(message.bytes) : reject(new CodedError('unreadable', 'the image cannot be read'))))
      }
    })
    const gone = () => {
      if (child !== started) return
      child = undefined
      settle(({ reject }) => reject(new CodedError('unreadable', 'the image cannot be read')))
    }
    started.on('exit', gone)
    started.on('error', gone)
    // It must not keep a helper alive that has nothing else to do.
    started.unref()
    started.channel?.unref()
    return started
  }

  function stop(): void {
    clearTimeout(idle)
    const stopped = child
    child = undefined
    stopped?.kill('SIGKILL')
  }

  function run(bytes: Uint8Array, edge: number): Promise<Uint8Array> {
    if (closed) throw new CodedError('closed', 'the helper is stopping')
    if (isUnavailable) throw notHere()
    clearTimeout(idle)
    child ??= start()
    const id = nextId++
    const worker = child
    return new Promise<Uint8Array>((resolve, reject) => {
      const timer = setTimeout(() => {
        // A decoder that is at work cannot be asked to stop.
        stop()
        settle((ended) => ended.reject(new CodedError('unreadable', 'the image takes too long to read')))
      }, options.timeoutMs ?? TIMEOUT_MS)
      const stopped = <T>(how: (outcome: T) => void) => (outcome: T) => {
        clearTimeout(timer)
        how(outcome)
      }
      job = { id, resolve: stopped(resolve), reject: stopped(reject) }
      const message: ToThumbnailWorker = { id, bytes, edge }
      worker.send(message, (error) => {
        if (error && job?.id === id) settle((ended) => ended.reject(new CodedError('unreadable', 'the image cannot be read')))
      })
    })
  }

  return {
    make: async (bytes, edge) => {
      try {
        return await run(bytes, edge)
      } finally {
        idle = setTimeout(() => job === undefined && stop(), idleMs)
        idle.unref()
      }
    },
    close: () => {
      closed = true
      stop()
      settle(({ reject }) => reject(new CodedError('closed', 'the helper is stopping')))
    },
  }
}

function notHere(): CodedError {
  return new CodedError('unsupported', 'no pictures are made here')
}
