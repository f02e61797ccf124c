import type { en } from './en/index.ts'
import type { reach } from './en/reach.ts'

/** What every language must have: the same keys as English. */
export type Messages = Texts<typeof en>
type Texts<T> = { readonly [K in keyof T]: T[K] extends string ? string : Texts<T[K]> }

/** What comes with the part of the app that shows it. */
export interface LateTexts {
  readonly reach: Texts<typeof reach>
}
