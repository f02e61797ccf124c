import { readFile, readdir } from 'node:fs/promises'

/** What the operating system says of a process and its children. Linux only: elsewhere null, and the benchmark leaves the figure out. */

const TICKS_PER_SECOND = 100

export async function withChildren(pid: number): Promise<number[]> {
  const pids = [pid]
  for (const task of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    const children = await readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')
    for (const child of children.split(' ').filter(Boolean)) pids.push(...(await withChildren(Number(child))))
  }
  return pids
}

/** User and system CPU seconds of a process so far. */
export async function cpuSeconds(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (stat === null) return null
  // The name may contain spaces and parentheses; the fields after the last one are fixed (proc(5): utime is 14, stime 15).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident memory in bytes. */
export async function residentBytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => null)
  const kilobytes = status?.match(/^VmRSS:\s+(\d+) kB$/m)?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

/**
 * Resident memory in bytes, by whose it is: `anon` is held by the process, `file` are pages of files that it looks at (its programs, its databases),
 * which the system takes back when it needs them. What several processes share is divided among them.
 */
export async function memoryParts(pid: number): Promise<{ readonly anon: number; readonly file: number } | null> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => null)
  const bytesOf = (name: string) => Number(rollup?.match(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm'))?.[1] ?? Number.NaN) * 1024
  const [anon, file, shared] = [bytesOf('Pss_Anon'), bytesOf('Pss_File'), bytesOf('Pss_Shmem')]
  return Number.isNaN(anon + file) ? null : { anon, file: file + (Number.isNaN(shared) ? 0 : shared) }
}

export async function sum(pids: readonly number[], figure: (pid: number) => Promise<number | null>): Promise<number | null> {
  const values = await Promise.all(pids.map(figure))
  return values.some((value) => value === null) ? null : values.reduce<number>((total, value) => total + (value as number), 0)
}
