// Runs commands for the scripts in this folder; knows nothing of what they do.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** npm, npx and the binaries of packages are .cmd files on Windows, which only a shell can start. */
const NEEDS_SHELL = process.platform === 'win32'

/**
 * Runs a command in the checkout and passes its output through.
 * @returns {Promise<number>} its exit code; 1 when it was ended by a signal or could not be started
 */
export function run(command, args, { cwd = ROOT, env = {}, quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: quiet ? ['ignore', 'ignore', 'ignore'] : ['ignore', 'inherit', 'inherit'],
      shell: NEEDS_SHELL,
    })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })
}

/** Like `run`, but keeps the output to itself. @returns {Promise<{ code: number, output: string }>} stdout and stderr together */
export function capture(command, args, { cwd = ROOT, env = {} } = {}) {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], shell: NEEDS_SHELL })
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => resolve({ code: 1, output: String(error) }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** Like `run`, but keeps stdout to itself. @returns {Promise<{ code: number, output: string }>} */
export function captureOutput(command, args, { cwd = ROOT, env = {} } = {}) {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'], shell: NEEDS_SHELL })
    child.stdout.on('data', (chunk) => (output += chunk))
    child.on('error', () => resolve({ code: 1, output }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

export function say(text) {
  process.stderr.write(`${text}\n`)
}
