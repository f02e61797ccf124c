import { MAX_READ_BYTES } from '@harddrive-party/protocol'

/**
 * Memory for parts of files that are on their way: it begins at a page, so that a disk takes it as it is, and other threads of this process may read it.
 * The only memory of JavaScript of which the first is known is that of WebAssembly. It is never given back to the system, which would cost more than the
 * bytes in it each time it is wanted again: hence few blocks. Whoever finds none takes ordinary memory.
 */

/** 64 MiB, touched only as far as it is used: the parts of one peer that are read at once, and as many that are hashed and written. */
const PARTS = 16
/** What disks and systems divide memory into, at most. */
export const PAGE_BYTES = 4096

/** What is used of it here. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number; readonly shared: true }) => { readonly buffer: SharedArrayBuffer }
}
const WASM_PAGE_BYTES = 64 * 1024

/** Undefined until it is wanted, null where the system has none. */
let memory: SharedArrayBuffer | null | undefined
/** All of it. */
let bytesOfAll: Buffer = Buffer.alloc(0)
/** By number. The last one given back is taken first: fewer are touched. */
const free: number[] = []
const taken = new Set<number>()

/** A block of MAX_READ_BYTES, to be given back; undefined when there is none. */
export function takePart(): Uint8Array<SharedArrayBuffer> | undefined {
  if (memory === undefined) {
    memory = allocate()
    if (memory !== null) {
      bytesOfAll = Buffer.from(memory)
      for (let part = PARTS - 1; part >= 0; part--) free.push(part)
    }
  }
  const part = free.pop()
  if (memory === null || part === undefined) return undefined
  taken.add(part)
  return new Uint8Array(memory, part * MAX_READ_BYTES, MAX_READ_BYTES)
}

/** @param bytes what `takePart` gave, or the beginning of it; once for all who have it */
export function givePart(bytes: Uint8Array): void {
  const part = bytes.byteOffset / MAX_READ_BYTES
  if (isPart(bytes) && taken.delete(part)) free.push(part)
}

/** Whether these bytes are part of such memory. */
export function isPart(bytes: Uint8Array): bytes is Uint8Array<SharedArrayBuffer> {
  return bytes.buffer === memory
}

/** The same as `into.set(piece, at)`. V8 copies into shared memory byte by byte, `fill` as the processor does it best: five times as fast. */
export function copyBytes(piece: Uint8Array, into: Uint8Array, at: number): void {
  // What does not fit is refused by `set`.
  if (!isPart(into) || piece.length === 0 || at + piece.length > into.length) return into.set(piece, at)
  const start = into.byteOffset + at
  bytesOfAll.fill(piece, start, start + piece.length)
}

function allocate(): SharedArrayBuffer | null {
  try {
    const pages = (PARTS * MAX_READ_BYTES) / WASM_PAGE_BYTES
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer
  } catch {
    return null
  }
}
