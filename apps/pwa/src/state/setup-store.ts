import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import { type PairingInvitation, parsePairingFragment } from '@harddrive-party/protocol/control'
import { t } from '../i18n.ts'
import { explain } from '../words.ts'
import { useHelper } from './helper-store.ts'
import type { OpenSession } from './link.ts'
import { type Memory, memoryInRam } from './memory.ts'
import { useWishes } from './wish-store.ts'

/** Decides which helper this browser belongs to: remembers it, pairs with it, and starts the link. */

/** How helpers are reached: sockets in the app, the mock while developing. */
export interface HelperDoor {
  pair(invitation: PairingInvitation): Promise<PeerId>
  sessions(helperId: PeerId): OpenSession
}

export const useSetup = defineStore('setup', () => {
  const helper = useHelper()
  const wishes = useWishes()
  const status = ref<'idle' | 'loading' | 'ready' | 'failed'>('idle')
  const problem = ref('')
  const memory = shallowRef<Memory>(memoryInRam())
  let door: HelperDoor | null = null
  let ready: () => void
  /** The database is open and we know whether this browser is paired. */
  const booted = new Promise<void>((resolve) => {
    ready = resolve
  })

  async function boot(use: { memory: Memory; door: HelperDoor }) {
    memory.value = use.memory
    door = use.door
    const pairing = await use.memory.pairing().catch(() => undefined)
    if (pairing === undefined) helper.stop('unpaired')
    else helper.start(use.door.sessions(pairing.helperId), use.memory)
    ready()
    await wishes.start(use.memory)
  }

  /** @param text a pairing link, or what follows its `#`. @returns whether this browser is paired now; if not, `problem` says why. */
  async function pair(text: string): Promise<boolean> {
    const invitation = parsePairingFragment(text)
    if (!invitation.ok) return fail(t('shell.setup.noLink'))
    if (door === null) return false
    status.value = 'loading'
    problem.value = ''
    try {
      const helperId = (await knownHelper(door, invitation.value)) ?? (await door.pair(invitation.value))
      await memory.value.putPairing({ helperId, pairedAt: Date.now() })
      helper.start(door.sessions(helperId), memory.value)
      status.value = 'ready'
      return true
    } catch (error) {
      return fail(wordsForPairing(error))
    }
  }

  /** The link of a helper that admits this browser already, opened again: nothing to use up. */
  async function knownHelper(through: HelperDoor, { fingerprint }: PairingInvitation): Promise<PeerId | null> {
    const pairing = await memory.value.pairing()
    if (pairing === undefined || !pairing.helperId.startsWith(fingerprint)) return null
    if (helper.isOpen) return pairing.helperId
    try {
      const session = await through.sessions(pairing.helperId)({ onSnapshot: () => undefined, onChange: () => undefined }, { signal: AbortSignal.timeout(10_000) })
      session.close()
      return pairing.helperId
    } catch (error) {
      if (error instanceof CodedError && error.code === 'not-allowed') return null
      throw error
    }
  }

  function fail(words: string): false {
    status.value = 'failed'
    problem.value = words
    return false
  }

  return { status, problem, memory, booted, boot, pair }
})

export function wordsForPairing(error: unknown): string {
  if (!(error instanceof CodedError)) return t('shell.setup.failed')
  switch (error.code) {
    case 'not-allowed':
      return t('shell.setup.used')
    case 'wrong-identity':
      return t('shell.setup.other')
    case 'unreachable':
    case 'closed':
    case 'timed-out':
      return t('shell.setup.silent')
    default:
      return explain(error)
  }
}
