import { activity } from './activity.ts'
import { common } from './common.ts'
import { connection } from './connection.ts'
import { entries } from './entries.ts'
import { offers } from './offers.ts'
import { peers } from './peers.ts'
import { phones } from './phones.ts'
import { settings } from './settings.ts'
import { shares } from './shares.ts'
import { sharing } from './sharing.ts'
import { shell } from './shell.ts'
import { transfers } from './transfers.ts'
import { verify } from './verify.ts'
import { viewer } from './viewer.ts'
import { wishes } from './wishes.ts'
import { words } from './words.ts'

/** English, the language that texts are written in first. Forms of a counted text are separated by ` | `. */
export const en = { activity, common, connection, entries, offers, peers, phones, settings, shares, sharing, shell, transfers, verify, viewer, wishes, words } as const
