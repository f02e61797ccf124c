// Preloaded into a helper: its wall clock is off by what the file HDP_CLOCK_FILE says, in milliseconds, from the moment it is written. Timers and
// performance.now go on as they are, as when somebody sets the clock of a machine. `<file>.<pid>` says what this process goes by now.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const file = process.env.HDP_CLOCK_FILE
const RealDate = Date
let offset = 0

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offset)
    else super(...args)
  }

  static now() {
    return RealDate.now() + offset
  }
}

function look() {
  const next = Number(readFileSync(file, 'latin1'))
  if (next === offset) return
  offset = next
  if (!isMainThread) return
  writeFileSync(`${file}.${process.pid}.new`, String(offset))
  renameSync(`${file}.${process.pid}.new`, `${file}.${process.pid}`)
}

look()
setInterval(look, 10).unref()
