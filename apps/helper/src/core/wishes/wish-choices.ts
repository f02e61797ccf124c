/**
 * What a person chose for parts of a wish: a choice for a file or folder covers everything below it until a choice further down says otherwise.
 * Used for what is paused and for what is not wanted. Decides nothing itself.
 */

/** By path below the wish, `''` = all of it. Kept small: a choice that says what already holds is not kept. */
export type Choices = Map<string, boolean>

/** Each is looked at for every file of a page; nobody chooses by hand more often than this. */
export const MAX_CHOICES = 1_000

/** @returns what holds for this path; false where nobody chose */
export function choiceFor(choices: ReadonlyMap<string, boolean>, path: string): boolean {
  if (choices.size === 0) return false
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    const choice = choices.get(at)
    if (choice !== undefined) return choice
    if (at === '') return false
  }
}

/** Chooses for a path and everything below it. */
export function choose(choices: Choices, path: string, choice: boolean): void {
  for (const other of choices.keys()) {
    if (isWithin(other, path)) choices.delete(other)
  }
  if (choiceFor(choices, path) !== choice) choices.set(path, choice)
}

/** Whether the choice for all of it holds everywhere. */
export function holdsEverywhere(choices: ReadonlyMap<string, boolean>): boolean {
  return choices.size === 1 && choices.get('') === true
}

/** A path is within itself; everything is within `''`. */
export function isWithin(path: string, directory: string): boolean {
  return directory === '' || path === directory || (path.length > directory.length && path[directory.length] === '/' && path.startsWith(directory))
}
