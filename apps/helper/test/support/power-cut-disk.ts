import { constants } from 'node:fs'
import { dirname } from 'node:path'
import type { DirectFile } from '../../src/adapters/system/direct-file.ts'
import type { Disk, DiskFile, FoundFile } from '../../src/adapters/system/disk.ts'

/**
 * A disk in memory that loses power: what was not synced before is there afterwards, or is not, or is in part, in any order. Harsher than the file systems
 * that exist: a name survives only when its directory was synced, however long ago it was given.
 */

/** Bytes are kept in pieces of this size and by reference: what is written must not change, and comparing is cheap. */
export const PIECE_BYTES = 1024 * 1024

export interface DiskImage {
  readonly size: number
  /** By number; absent = zeros. */
  readonly pieces: ReadonlyMap<number, Uint8Array>
}

/** Past the system's memory, of each file opened for it. */
const TAKEN_WRITES = 2

class Inode {
  live: { size: number; pieces: Map<number, Uint8Array>; mtime: number } = { size: 0, pieces: new Map(), mtime: 0 }
  durable: Inode['live'] = { size: 0, pieces: new Map(), mtime: 0 }
  links = 0

  sync(): void {
    this.durable = { ...this.live, pieces: new Map(this.live.pieces) }
  }

  /** What may be there after a power cut. @param keeps whether one unsynced thing survives */
  survivor(keeps: () => boolean): Inode {
    const left = new Inode()
    left.live = { size: this.durable.size, pieces: new Map(this.durable.pieces), mtime: keeps() ? this.live.mtime : this.durable.mtime }
    for (const [number, piece] of this.live.pieces) {
      if (this.durable.pieces.get(number) === piece || !keeps()) continue
      // Torn: only its beginning.
      left.live.pieces.set(number, keeps() ? piece : piece.subarray(0, piece.length >> 1))
    }
    if (keeps()) left.live.size = this.live.size
    else for (const [number, piece] of left.live.pieces) left.live.size = Math.max(left.live.size, Math.min(this.live.size, number * PIECE_BYTES + piece.length))
    left.sync()
    return left
  }
}

/** One change of names, whole or not at all. */
interface NameChange {
  readonly path: string
  readonly to: Inode | 'directory' | undefined
  /** Of a rename: the name that goes. */
  readonly from?: string
}

export class PowerCut extends Error {}

export class PowerCutDisk implements Disk {
  readonly #durable: Map<string, Inode | 'directory'>
  readonly #live: Map<string, Inode | 'directory'>
  #unsynced: NameChange[] = []
  /** Operations until the power is cut. */
  left: number

  constructor(names: Iterable<readonly [string, Inode | 'directory']> = [['/', 'directory']], left = Infinity) {
    this.#durable = new Map(names)
    this.#live = new Map(this.#durable)
    for (const node of this.#live.values()) if (node instanceof Inode) node.links++
    this.left = left
  }

  /** The disk after the power is back. @param random from 0 to 1 @param left operations until the next cut */
  restart(random: () => number, left: number): PowerCutDisk {
    const odds = [0, 0.2, 0.5, 0.8, 1][Math.floor(random() * 5)] ?? 0
    const keeps = () => random() < odds
    const names = new Map(this.#durable)
    // In order, but any of them may be missing.
    for (const { path, to, from } of this.#unsynced) {
      if (!keeps()) continue
      if (from !== undefined) names.delete(from)
      if (to === undefined) names.delete(path)
      else names.set(path, to)
    }
    const survivors = new Map<Inode, Inode>()
    const found: [string, Inode | 'directory'][] = []
    for (const [path, node] of names) {
      // What is in a directory that is not there is not there either.
      if (path !== '/' && names.get(dirname(path)) !== 'directory') continue
      if (node === 'directory') found.push([path, node])
      else {
        const survivor = survivors.get(node) ?? node.survivor(keeps)
        survivors.set(node, survivor)
        found.push([path, survivor])
      }
    }
    return new PowerCutDisk(found, left)
  }

  files(): Map<string, DiskImage> {
    return new Map([...this.#live].flatMap(([path, node]) => (node === 'directory' ? [] : [[path, node.live] as const])))
  }

  async #step(): Promise<void> {
    await Promise.resolve()
    if (--this.left < 0) throw new PowerCut('no power')
  }

  #change(change: NameChange): void {
    const { path, to, from } = change
    if (from !== undefined) this.#unlink(from)
    this.#unlink(path)
    if (to !== undefined) this.#live.set(path, to)
    if (to instanceof Inode) to.links++
    this.#unsynced.push(change)
  }

  #unlink(path: string): void {
    const node = this.#live.get(path)
    if (node instanceof Inode) node.links--
    this.#live.delete(path)
  }

  #inode(path: string): Inode {
    const node = this.#live.get(path)
    if (node === undefined) throw failure('ENOENT')
    if (node === 'directory') throw failure('EISDIR')
    return node
  }

  async open(path: string, flags: number): Promise<DiskFile> {
    await this.#step()
    if (this.#live.get(dirname(path)) !== 'directory') throw failure('ENOENT')
    if ((flags & constants.O_CREAT) !== 0) {
      if (this.#live.has(path)) throw failure('EEXIST')
      this.#change({ path, to: new Inode() })
    }
    return this.#file(this.#inode(path))
  }

  /** Takes whole pieces, and after a few of them no more. */
  async openDirect(path: string): Promise<DirectFile> {
    await this.#step()
    const { write, close } = this.#file(this.#inode(path))
    let writes = 0
    return {
      takes: (bytes) => bytes.length - (bytes.length % PIECE_BYTES),
      write: (...what) => (++writes > TAKEN_WRITES ? Promise.reject(failure('EINVAL')) : write(...what)),
      close,
    }
  }

  #file(inode: Inode): DiskFile {
    const write = (bytes: Uint8Array, position: number) => {
      for (let at = 0; at < bytes.length; ) {
        const number = Math.floor((position + at) / PIECE_BYTES)
        if ((position + at) % PIECE_BYTES !== 0) throw new Error('this disk takes whole pieces only')
        inode.live.pieces.set(number, bytes.subarray(at, at + PIECE_BYTES))
        at += PIECE_BYTES
      }
      inode.live.size = Math.max(inode.live.size, position + bytes.length)
    }
    return {
      close: () => Promise.resolve(),
      datasync: async () => {
        await this.#step()
        inode.sync()
      },
      sync: async () => {
        await this.#step()
        inode.sync()
      },
      utimes: async (_access, modified) => {
        await this.#step()
        inode.live.mtime = Number(modified) * 1000
      },
      writeFile: async (data) => {
        write(data as Uint8Array, 0)
        await this.#step()
      },
      write: async (bytes, offset, length, position) => {
        write(bytes.subarray(offset, offset + length), position)
        await this.#step()
        return { bytesWritten: length }
      },
      read: async () => {
        throw new Error('nobody reads here')
      },
      stat: async () => {
        await this.#step()
        return { size: inode.live.size, nlink: inode.links, isFile: () => true }
      },
    }
  }

  async link(existing: string, path: string): Promise<void> {
    await this.#step()
    if (this.#live.has(path)) throw failure('EEXIST')
    this.#change({ path, to: this.#inode(existing) })
  }

  async lstat(path: string): Promise<FoundFile> {
    await this.#step()
    const node = this.#live.get(path)
    if (node === undefined) throw failure('ENOENT')
    const { size, mtime } = node === 'directory' ? { size: 0, mtime: 0 } : node.live
    return { size, mtimeMs: mtime, ctimeMs: Date.now(), isFile: () => node !== 'directory', isDirectory: () => node === 'directory', isSymbolicLink: () => false }
  }

  async mkdir(path: string, { recursive = false }: { readonly recursive?: boolean }): Promise<string | undefined> {
    await this.#step()
    if (this.#live.has(path)) {
      if (recursive) return undefined
      throw failure('EEXIST')
    }
    const above = recursive && !this.#live.has(dirname(path)) ? await this.mkdir(dirname(path), { recursive }) : undefined
    if (this.#live.get(dirname(path)) !== 'directory') throw failure('ENOENT')
    this.#change({ path, to: 'directory' })
    return recursive ? (above ?? path) : undefined
  }

  async readFile(path: string): Promise<Uint8Array> {
    await this.#step()
    const { size, pieces } = this.#inode(path).live
    const bytes = new Uint8Array(size)
    for (const [number, piece] of pieces) bytes.set(piece.subarray(0, size - number * PIECE_BYTES), number * PIECE_BYTES)
    return bytes
  }

  async realpath(path: string): Promise<string> {
    await this.#step()
    if (!this.#live.has(path)) throw failure('ENOENT')
    return path
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step()
    this.#change({ path: to, to: this.#inode(from), from })
  }

  async rm(path: string, { force }: { readonly force: boolean }): Promise<void> {
    await this.#step()
    if (!this.#live.has(path) && force) return
    await this.unlink(path)
  }

  async rmdir(path: string): Promise<void> {
    await this.#step()
    if ([...this.#live.keys()].some((name) => name !== path && dirname(name) === path)) throw failure('ENOTEMPTY')
    if (!this.#live.has(path)) throw failure('ENOENT')
    this.#change({ path, to: undefined })
  }

  async unlink(path: string): Promise<void> {
    await this.#step()
    this.#inode(path)
    this.#change({ path, to: undefined })
  }

  async syncDirectory(path: string): Promise<void> {
    if (--this.left < 0) throw new PowerCut('no power')
    const later: NameChange[] = []
    for (const change of this.#unsynced) {
      if (dirname(change.path) !== path && (change.from === undefined || dirname(change.from) !== path)) {
        later.push(change)
        continue
      }
      if (change.from !== undefined) this.#durable.delete(change.from)
      if (change.to === undefined) this.#durable.delete(change.path)
      else this.#durable.set(change.path, change.to)
    }
    this.#unsynced = later
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code })
}

