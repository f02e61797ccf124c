import type { ActivityEntry } from '@harddrive-party/protocol/control'
import { formatBytes, lastPart } from '../../format.ts'
import { isolate, t } from '../../i18n.ts'
import type { IconName } from '../../ui/icons.ts'
import { explain } from '../../words.ts'

/** What an entry of the log says: a line, a second one, and the page to look at. */
export interface EntryWords {
  readonly title: string
  readonly body: string
  readonly icon: IconName
  readonly tone: 'good' | 'wait' | 'bad'
  /** A route. */
  readonly to: string
}

export function wordsForEntry(entry: ActivityEntry): EntryWords {
  switch (entry.type) {
    case 'download-done': {
      const from = t('activity.downloadDoneFrom', { peer: isolate(entry.peerName), size: formatBytes(entry.bytes) })
      const missing = entry.failed === 0 ? '' : ` · ${t('activity.downloadPart', {}, entry.failed)}`
      return { title: t('activity.downloadDone', { name: isolate(lastPart(entry.path)) }), body: from + missing, icon: entry.failed === 0 ? 'check' : 'warn', tone: entry.failed === 0 ? 'good' : 'wait', to: '/transfers' }
    }
    case 'download-failed':
      return {
        title: t('activity.downloadFailed', { name: isolate(lastPart(entry.path)) }), body: entry.reason === null ? '' : explain(entry.reason),
        icon: 'warn', tone: 'bad', to: '/transfers',
      }
    case 'peer-new':
      return { title: t('activity.peerNew', { peer: isolate(entry.peerName) }), body: '', icon: 'peers', tone: 'good', to: `/peers/${entry.peerId}` }
    case 'peer-asks':
      return { title: t('activity.peerAsks', { peer: isolate(entry.peerName) }), body: t('activity.peerAsksHint'), icon: 'peers', tone: 'wait', to: '/peers' }
    case 'share-missing':
      return { title: t('activity.shareMissing', { name: isolate(entry.name) }), body: t('activity.shareMissingHint'), icon: 'shares', tone: 'bad', to: '/shares' }
    case 'wish-fired':
      return { title: t('activity.wishFired', { words: isolate(entry.words) }), body: t('activity.wishFiredFrom', { peer: isolate(entry.peerName) }, entry.count), icon: 'wish', tone: 'good', to: '/wishes' }
    case 'offer':
      return { title: t('activity.offer', { peer: isolate(entry.peerName), name: isolate(entry.name) }), body: formatBytes(entry.bytes), icon: 'download', tone: 'wait', to: '/peers' }
  }
}
