/**
 * Takes in everything the network process says, hands it to the parts that keep it, and keeps the network process told about whom to let in and
 * what is shared. The one place where the two sides are tied; decides nothing itself.
 */
import type { PeerId } from '@harddrive-party/protocol'
import type { ControlChange, Settings, ShareInfo } from '@harddrive-party/protocol/control'
import type { NetworkApi, NetworkEvent, Policy, ReachSettings, SharedRoot } from '../network/network-api.ts'
import type { AccessBook } from './access-book.ts'
import type { LimitsBook } from './limits-book.ts'
import type { WishBook } from './wish-book.ts'
import type { AnnounceCodes, PeerBook, SettingsStore, Shares, StatusBook, TopicBook, Transfers } from './services.ts'

export interface HelperState {
  /** What the network process must be given when it starts. */
  policy(): Policy
  /** Resolves when the network process has it, or will get it when it is started again. */
  publishPolicy(): Promise<void>
  publishShares(): Promise<void>
  /** The shares, each with who may see it. */
  roots(): readonly SharedRoot[]
  publishLimits(): Promise<void>
  /** Topics, brokers and what else of meeting may be switched. */
  publishReach(): Promise<void>
  onNetworkEvent(event: NetworkEvent): void
  /** It died, and is being started again. */
  onNetworkDown(): void
  /** A new one is up and has config and policy. */
  onNetworkRestart(): void
  /** A share was added, scanned or changed by itself. */
  onShare(share: ShareInfo): void
  onShareRemoved(shareId: string): void
}

export interface HelperStateOptions {
  readonly network: () => NetworkApi
  readonly shares: () => Shares
  readonly transfers: () => Transfers
  readonly book: PeerBook
  readonly codes: AnnounceCodes
  readonly settings: SettingsStore
  readonly status: StatusBook
  readonly topics: TopicBook
  readonly wishes: () => Pick<WishBook, 'onNetworkEvent'> | undefined
  readonly access: Pick<AccessBook, 'withAudiences'>
  readonly limits: () => Pick<LimitsBook, 'current'>
  readonly onChange: (change: ControlChange) => void
  readonly onError: (error: unknown) => void
}

/** Shares of one peer whose sizes are added up; nobody names more than this at the top. */
const MAX_SHARES_COUNTED = 1_000

export function createHelperState(options: HelperStateOptions): HelperState {
  const { book, codes, settings, status, topics, onChange, onError } = options
  const connected = new Set<PeerId>()

  const policy = (): Policy => ({ ...codes.secrets(), askBeforeAccepting: settings.current().askBeforeAccepting, peers: book.known() })
  const roots = () => options.access.withAudiences(options.shares().roots())
  const publishPolicy = () => options.network().setPolicy(policy())
  const publishShares = () => options.network().sharesChanged({ shares: roots() })

  const countShares = async (peerId: PeerId) => {
    try {
      const { entries } = await options.network().list({ peerId, request: { recursive: false, limit: MAX_SHARES_COUNTED } })
      book.heardSharedBytes(peerId, entries.reduce((sum, entry) => sum + entry.size, 0))
    } catch {
      // Gone again, or it does not say: then its total stays unknown.
    }
  }
  return {
    policy,
    publishPolicy,
    publishShares,
    roots,
    publishLimits: () => options.network().setLimits(options.limits().current()),
    publishReach: async () => {
      topics.refresh()
      await options.network().setReach(reachOf(settings.current()))
    },
    onNetworkEvent: (event) => {
      codes.onNetworkEvent(event)
      status.onNetworkEvent(event)
      topics.onNetworkEvent(event)
      book.onNetworkEvent(event)
      options.transfers().onNetworkEvent(event)
      options.wishes()?.onNetworkEvent(event)
      if (event.type === 'peer-known') publishPolicy().catch(onError)
      if (event.type !== 'peer') return
      const { peerId, state } = event.peer
      if (state !== 'connected') connected.delete(peerId)
      else if (!connected.has(peerId)) {
        connected.add(peerId)
        void countShares(peerId)
      }
    },
    onNetworkDown: () => {
      status.onNetworkDown()
      topics.onNetworkDown()
    },
    onNetworkRestart: () => options.transfers().onNetworkRestart(),
    onShare: (share) => {
      onChange({ type: 'share', share })
      if (share.state !== 'scanning') publishShares().catch(onError)
    },
    onShareRemoved: (shareId) => onChange({ type: 'share-removed', shareId }),
  }
}

/** Settings in the words of the network process. */
export function reachOf({ localDiscovery, mqttBrokers, topics, portMapping, passMeOn, introductions }: Settings): ReachSettings {
  return { mdns: localDiscovery, mqttBrokers, topics, portMapping, passMeOn, introductions }
}
