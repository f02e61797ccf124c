import type { en } from './en/index.ts'

/** What every language must have: the same keys as English. */
export type Messages = Texts<typeof en>
type Texts<T> = { readonly [K in keyof T]: T[K] extends string ? string : Texts<T[K]> }
