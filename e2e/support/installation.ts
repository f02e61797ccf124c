import { cp, mkdir, readFile, readdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The program as it was built, in a place of its own, so that another version of it can be put there. */
export interface Installation {
  /** Its `hdp`. */
  readonly program: string
  /** Another build of the app: its scripts have other names, as after any change of them, and those of before are gone. */
  publishApp(version: string): Promise<void>
}

/** @param directory is made */
export async function installAt(directory: string): Promise<Installation> {
  await mkdir(directory)
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  for (const part of ['apps/helper/bin', 'apps/helper/dist', 'apps/pwa/dist']) await cp(join(ROOT, part), join(directory, part), { recursive: true })
  await cp(join(ROOT, 'apps/helper/package.json'), join(directory, 'apps/helper/package.json'))
  const app = join(directory, 'apps/pwa/dist')
  return {
    program: join(directory, 'apps/helper/bin/hdp.mjs'),
    async publishApp(version) {
      const scripts = (await readdir(join(app, 'assets'))).filter((name) => name.endsWith('.js'))
      const renamed = (text: string) => scripts.reduce((now, name) => now.replaceAll(name, name.replace('.js', `-${version}.js`)), text)
      for (const file of (await readdir(app, { recursive: true })).filter((name) => /\.(html|js)$/.test(name))) {
        // The shell has the same name in every version; the worker knows a new one by its revision.
        await writeFile(join(app, file), renamed(await readFile(join(app, file), 'utf8')).replace(/(url:"index\.html",revision:")[^"]+/, `$1${version}`))
      }
      for (const name of scripts) await rename(join(app, 'assets', name), join(app, 'assets', renamed(name)))
    },
  }
}
