/** A progress bar on standard error. Knows bytes and speed, nothing of where they come from. */
import { Presets, SingleBar } from 'cli-progress'
import { formatBytes, formatSeconds } from './text-format.ts'

export interface ProgressBar {
  /** @param total null while it is not known */
  update(progress: { readonly bytes: number; readonly total: number | null; readonly bytesPerSecond: number; readonly note?: string }): void
  close(): void
}

export function openProgressBar(): ProgressBar {
  const bar = new SingleBar({
    format: '{bar} {percentage}%  {done}  {speed}  {left}  {note}',
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    fps: 5,
    barsize: 28,
  }, Presets.shades_classic)
  bar.start(1, 0, { done: '', speed: '', left: '', note: '' })
  return {
    update: ({ bytes, total, bytesPerSecond, note }) => {
      // An empty file is complete, and the bar cannot divide by nothing.
      bar.setTotal(Math.max(1, total ?? 1))
      bar.update(total === 0 ? 1 : total === null ? 0 : Math.min(bytes, total), {
        done: total === null ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(total)}`,
        speed: bytesPerSecond > 0 ? `${formatBytes(bytesPerSecond)}/s` : '',
        left: total !== null && bytesPerSecond > 0 && bytes < total ? `${formatSeconds((total - bytes) / bytesPerSecond)} left` : '',
        note: note ?? '',
      })
    },
    close: () => bar.stop(),
  }
}
