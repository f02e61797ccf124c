import { wordsForCodeFault } from '../../advice-words.ts'
import { t } from '../../i18n.ts'
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import { type PeerId, formatAnnounceCode, parseAnnounceCode } from '@harddrive-party/protocol'
import type { AnnounceCodeInfo, PeerInfo, PeerState } from '@harddrive-party/protocol/control'
import { useHelper } from '../../state/helper-store.ts'
import { explain } from '../../words.ts'

/** My code, and asking for a connection with somebody else's. Peers themselves live in the helper store. */
export const usePeers = defineStore('peers', () => {
  const helper = useHelper()
  const codeStatus = ref<'idle' | 'loading' | 'ready' | 'failed'>('idle')
  const codeProblem = ref('')
  const myCode = shallowRef<AnnounceCodeInfo | null>(null)
  const connectStatus = ref<'idle' | 'loading' | 'failed'>('idle')
  const connectProblem = ref('')

  async function loadCode(ask: () => Promise<AnnounceCodeInfo> = () => helper.api.announceCode()) {
    codeStatus.value = 'loading'
    try {
      myCode.value = await ask()
      codeStatus.value = 'ready'
    } catch (error) {
      codeStatus.value = 'failed'
      codeProblem.value = explain(error)
    }
  }

  const renewCode = () => loadCode(() => helper.api.renewCode())

  /** @returns the peer, or null with `connectProblem` saying why not. */
  async function connect(text: string): Promise<{ peerId: PeerId; state: PeerState } | null> {
    const code = text.trim()
    connectStatus.value = 'loading'
    connectProblem.value = ''
    try {
      const peer = await helper.api.connect({ code })
      connectStatus.value = 'idle'
      return peer
    } catch (error) {
      connectStatus.value = 'failed'
      connectProblem.value = explain(error)
      return null
    }
  }

  return { codeStatus, codeProblem, myCode, loadCode, renewCode, connectStatus, connectProblem, connect }
})

/**
 * What is wrong with what stands in the field, said as precisely as the parser knows; null while nothing is.
 * A pairing link is a common mix-up and gets its own words.
 */
export function problemWithCode(text: string): string | null {
  if (text.trim() === '') return null
  if (/#\/pair\//.test(text)) return t('peers.add.pairingLink')
  const parsed = parseAnnounceCode(text)
  return parsed.ok ? null : wordsForCodeFault(parsed.error)
}

/** What a link into the app carries, as the field shows it: the code alone, where it is one. */
export function codeFromLink(text: string): string {
  const parsed = parseAnnounceCode(text)
  return parsed.ok ? formatAnnounceCode(parsed.value) : text
}

export interface PeerGroups {
  readonly asking: readonly PeerInfo[]
  readonly nearby: readonly PeerInfo[]
  readonly connected: readonly PeerInfo[]
  readonly known: readonly PeerInfo[]
  readonly blocked: readonly PeerInfo[]
}

const ORDER: Record<PeerState, number> = { asks: 0, connected: 1, waiting: 2, dialling: 3, offline: 4, away: 5, blocked: 6, nearby: 7 }

/** By what the person can do about them; within a group the liveliest first, then by name. */
export function groupPeers(peers: Iterable<PeerInfo>): PeerGroups {
  const sorted = [...peers].sort((a, b) => ORDER[a.state] - ORDER[b.state] || a.name.localeCompare(b.name) || (a.peerId < b.peerId ? -1 : 1))
  return {
    asking: sorted.filter(({ state }) => state === 'asks'),
    nearby: sorted.filter(({ state }) => state === 'nearby'),
    connected: sorted.filter(({ state }) => state === 'connected'),
    known: sorted.filter(({ state }) => state === 'waiting' || state === 'dialling' || state === 'offline' || state === 'away'),
    blocked: sorted.filter(({ state }) => state === 'blocked'),
  }
}
