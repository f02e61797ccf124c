import type { Messages } from '../messages.ts'
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

export const de: Messages = { activity, common, connection, peers, settings, sharing, shell, verify, wishes, words }
