import { activity } from './activity.ts'
import { common } from './common.ts'
import { connection } from './connection.ts'
import { peers } from './peers.ts'
import { settings } from './settings.ts'
import { sharing } from './sharing.ts'
import { shell } from './shell.ts'
import { verify } from './verify.ts'
import { wishes } from './wishes.ts'
import { words } from './words.ts'

/** English, the language that texts are written in first. Forms of a counted text are separated by ` | `. */
export const en = { activity, common, connection, peers, settings, sharing, shell, verify, wishes, words } as const
