import type { Endpoint, ErrorCode, ListPage, ListRequest, NatKind, NatPorts, OfferNewsRequest, OfferRequest, PeerId, Reason, SharePath } from '@harddrive-party/protocol'
import type { DiscoveryReport, LimitSettings, LimitsInfo, PeerPath, PeerState, PingInfo, ReachAttempt, TextPreview, TopicInfo, UploadInfo, UploadPeerInfo } from '@harddrive-party/protocol/control'
import type { OfferRecord } from '../core/offers/offer-record.ts'
import type { HeardOffer, OfferNews } from '../core/offers/offers.ts'
import type { OwnReach } from '../core/reach/own-reach.ts'

/**
 * What the control process asks of the network process, and what it hears from it. Plain data over the child's IPC channel; bulk bytes never cross.
 * Every method may be called again after a restart with the same arguments: the network process keeps no state that is not given to it or on disk.
 */
export interface NetworkApi {
  /** Replaces the whole policy: whom we know, who is blocked, what our code says. Safe to send at any time. */
  setPolicy(args: Policy): Promise<void>
  /** Connects to the owner of a code. Resolves at `connected` or `waiting` (the other person must accept); rejects with the reason. */
  connect(args: ConnectTarget): Promise<{ peerId: PeerId; state: PeerState }>
  /** Ends the connection and stops trying until `reconnect` or `connect`. */
  disconnect(args: { peerId: PeerId }): Promise<void>
  reconnect(args: { peerId: PeerId }): Promise<void>
  answerPeer(args: { peerId: PeerId; accept: boolean }): Promise<void>
  ping(args: { peerId: PeerId }): Promise<PingInfo>
  list(args: { peerId: PeerId; request: ListRequest }): Promise<ListPage>
  /**
   * Starts fetching files; the outcome of each comes as an event. The same `jobId` again is a no-op while it runs. Several at once are of one peer and
   * small: they are fetched together.
   */
  startFiles(args: { jobs: readonly FileJob[] }): Promise<void>
  /** Stops a job; its partial data stays for a later `startFiles`, or goes when `discard`: for a job that does not run, `partial` says which. */
  stopFile(args: { jobId: string; discard: boolean; partial?: PartialData }): Promise<void>
  /** Compares a part of a local file with the same part of a peer's, by hashes: at most 16 MiB. @returns where the first range that differs begins, null = same */
  compareFile(args: CompareFile): Promise<{ differsAt: number | null }>
  /** Makes a short-lived address on the files origin. `local` must be an absolute path below the download directory. */
  grantFile(args: FileGrant & { readonly holder: GrantHolder }): Promise<{ url: string }>
  /** The start of a file as text. @throws CodedError `unsupported` when it is none */
  readText(args: Exclude<FileGrant, { kind: 'thumbnails' }>): Promise<TextPreview>
  /** Whether a peer that is connected makes pictures of its images. */
  makesThumbnails(args: { peerId: PeerId }): Promise<boolean>
  /** Every address given to this device stops working, and what is being sent from it ends. */
  revokeGrants(args: { deviceId: string }): Promise<void>
  /** Serves granted files to the local network too, over TLS; null = no longer. The same again only renews the certificate. */
  setLanFiles(args: LanFiles | null): Promise<void>
  /** Shares were added, removed or rescanned: reopen what is cached of the index. */
  sharesChanged(args: { shares: readonly SharedRoot[] }): Promise<void>
  /** Replaces what is offered to peers, and whose offers are held off. */
  setOffers(args: OffersPolicy): Promise<void>
  /** Tells a connected peer of an offer, or how one stands. @throws CodedError what the peer answered, `offline` */
  tellOffer(args: { peerId: PeerId; message: OfferMessage }): Promise<void>
  /** Replaces all limits and bounds, also for what runs. */
  setLimits(args: TransferLimits): Promise<void>
  setDownloadDirectory(args: { directory: string }): Promise<void>
  /** Replaces all settings of how we meet others and how they reach us. */
  setReach(args: ReachSettings): Promise<void>
  /** How we can be reached, how we meet, and what was tried to reach whom. Asks nobody anything. */
  reachReport(): Promise<ReachReport>
  close(): Promise<void>
}

/** How we meet others and how they reach us; may change while we run. */
export interface ReachSettings {
  /** Look for peers on the local network, and be seen there. */
  readonly mdns: boolean
  /** Brokers over which topics are announced; none is contacted while there is no topic. */
  readonly mqttBrokers: readonly string[]
  readonly topics: readonly string[]
  /** Ask the router for an open port. */
  readonly portMapping: boolean
  /** Let connected peers tell others how to reach us. */
  readonly passMeOn: boolean
  /** Pass on what connected peers ask of each other. */
  readonly introductions: boolean
}

/** How much is sent and taken; what the schedule says is in it already. */
export type TransferLimits = Omit<LimitSettings, 'rules'> & Pick<LimitsInfo, 'peers'>

/** Sent once, before anything else. */
export interface NetworkConfig extends ReachSettings {
  /** 32-byte Ed25519 seed, hex. */
  readonly identitySeed: string
  /** Wanted UDP port, 0 = any. If it is taken, another is chosen and reported. */
  readonly udpPort: number
  /** Listen and dial over TCP beside QUIC, on a port of the same number where that is free; default true. */
  readonly tcp?: boolean
  /** Use QUIC where this platform has it; default true. */
  readonly quic?: boolean
  /** Bind to loopback only: for demos and tests. */
  readonly loopbackOnly: boolean
  readonly stunServers: readonly string[]
  readonly indexDirectory: string
  readonly downloadDirectory: string
  /** Where pictures of shared images are kept; absent = nowhere. */
  readonly thumbnailDirectory?: string
  readonly shares: readonly SharedRoot[]
  readonly policy: Policy
  /** Absent = none but the usual bounds. */
  readonly limits?: TransferLimits
  /** Origins of the UI, which may embed what the files origin serves. */
  readonly uiOrigins: readonly string[]
  readonly lanFiles?: LanFiles | null
  /** Absent = nothing is offered. */
  readonly offers?: OffersPolicy
  readonly verbose: boolean
}

export interface SharedRoot {
  readonly shareId: string
  /** Display name: the first part of every path below it. */
  readonly name: string
  /** Absolute and real (no links). */
  readonly directory: string
  /** What it would be called if no other share had the name; absent = `name`. Peers see it numbered among what they see, not among all. */
  readonly baseName?: string
  /** Who may see it; absent = everyone. */
  readonly audience?: readonly PeerId[]
}

/** What is offered to one peer, and where it is on the disk. */
export type OfferedFiles = Pick<OfferRecord, 'offerId' | 'peerId' | 'name' | 'items'>

export interface OffersPolicy {
  readonly offered: readonly OfferedFiles[]
  /** Offers of these are declined. */
  readonly muted: readonly PeerId[]
  /** These have offered enough for now. */
  readonly full: readonly PeerId[]
}

/** As the peer protocol has it, with the id as hex. */
export type OfferMessage = (Omit<OfferRequest, 'offerId'> | Omit<OfferNewsRequest, 'offerId'>) & { readonly offerId: string }

export interface Policy {
  /** 16 bytes, hex: the secret in the current announce code. */
  readonly codeSecret: string
  /** 16 bytes, hex: the secret given to known peers in hello. */
  readonly knownSecret: string
  readonly askBeforeAccepting: boolean
  readonly peers: readonly KnownPeer[]
}

export interface KnownPeer {
  readonly peerId: PeerId
  readonly blocked: boolean
  /** Try to be connected to it. False after `disconnect`. */
  readonly wanted: boolean
  /** Where it was reached or said to be, best first. */
  readonly addresses: readonly string[]
  /** Its knock secret for us, hex; null until its first hello. */
  readonly knockSecret: string | null
  /** Its newest signed record, hex; absent or null = none was seen. */
  readonly record?: string | null
}

export interface ConnectTarget {
  /** 16 bytes, hex: from the code. */
  readonly keyHash: string
  readonly knockSecret: string
  readonly addresses: readonly Endpoint[]
  /** What the code says of the NAT in front of its owner; absent = not known. */
  readonly natKind?: NatKind
  /** What the code says of the ports of that NAT; absent = not known. */
  readonly nat?: NatPorts
}

export interface FileJob {
  readonly jobId: string
  readonly peerId: PeerId
  readonly path: SharePath
  /** What the listing said; the source must still have it. */
  readonly size: number
  readonly mtime: number
  /** Where it goes, absolute, below the download directory; never overwritten: a clash gets a numbered name. */
  readonly target: string
  /** The download directory it was asked for under, when that is not the present one. */
  readonly downloadDirectory?: string
  /**
   * When it was first asked for, milliseconds since 1970. A file at the target (or at one of its numbered names) with this size and mtime that was
   * put there since then is this very job's, finished before a crash: it counts as done and nothing is fetched.
   */
  readonly since?: number
}

export interface CompareFile {
  readonly peerId: PeerId
  readonly path: SharePath
  /** What the listing said; the source must still have it. */
  readonly size: number
  readonly mtime: number
  /** The local file, absolute. */
  readonly file: string
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

/** Whose unfinished data: one partial file exists for each peer and path. */
export type PartialData = Pick<FileJob, 'peerId' | 'path' | 'downloadDirectory'>

export type FileGrant =
  /** `downloadDirectory` as in FileJob: absent = the current one. */
  | { readonly kind: 'local'; readonly path: string; readonly downloadDirectory?: string }
  | { readonly kind: 'remote'; readonly peerId: PeerId; readonly path: SharePath; readonly size: number; readonly mtime: number }
  /** All pictures that a peer makes of its images: `?path=…&size=…&mtime=…&edge=…`. The same address again while it holds. */
  | { readonly kind: 'thumbnails'; readonly peerId: PeerId }

/** Who asked for a file: it is served under the same host name to the same side of the machine, and shown only by the app there. */
export interface GrantHolder {
  /** Null for scripts. */
  readonly deviceId: string | null
  /** Null = over loopback. */
  readonly door: { readonly host: string; readonly uiOrigin: string } | null
}

/** Where and with what granted files are served to the local network. */
export interface LanFiles {
  readonly addresses: readonly string[]
  /** Wanted, 0 = any. */
  readonly port: number
  readonly certificatePem: string
  readonly keyPem: string
}

export type NetworkEvent =
  | {
    readonly type: 'ready'; readonly udp: { readonly v4: number | null; readonly v6: number | null }; readonly filesOrigin: string
    /** Absent = not used. Where there is no UDP port, addresses name these. */
    readonly tcp?: { readonly v4: number | null; readonly v6: number | null }
  }
  /** There is neither QUIC nor TCP. The process stays for the files origin. */
  | { readonly type: 'no-transport'; readonly reason: string }
  /** `nat`: as a code carries it. */
  | { readonly type: 'addresses'; readonly addresses: readonly string[]; readonly natKind: NatKind; readonly nat?: NatPorts }
  | { readonly type: 'peer'; readonly peer: PeerStatus }
  /** A peer completed hello and policy lets it in, or we asked for it: remember it. `worked`: of the addresses, where it was reached just now. */
  | { readonly type: 'peer-known'; readonly peerId: PeerId; readonly knockSecret: string; readonly addresses: readonly string[]; readonly worked?: readonly string[] }
  /** A newer signed record (hex) of somebody we know, and the knock secret in it: remember both. */
  | { readonly type: 'peer-record'; readonly peerId: PeerId; readonly record: string; readonly knockSecret: string }
  /** What we see of its shares is another state than before; `revision` is the same for the same state. Also said soon after it connects. */
  | { readonly type: 'peer-changed'; readonly peerId: PeerId; readonly revision: string }
  | { readonly type: 'file-progress'; readonly jobId: string; readonly bytes: number; readonly bytesPerSecond: number }
  /**
   * Nothing comes in yet: the peer serves others first (`place`, 1 = next), or a rate limit of ours lets nothing in just now (`null`).
   * Over with the next `file-progress`, `file-done` or `file-failed` of this job; said again whenever the place changes.
   */
  | { readonly type: 'file-waiting'; readonly jobId: string; readonly place: number | null }
  /** In place, fsynced. `target` is the name it got; `restarted`: unfinished data of another version was found and thrown away. */
  | { readonly type: 'file-done'; readonly jobId: string; readonly target: string; readonly bytes: number; readonly restarted?: true }
  /**
   * `source-changed` carries what the source has now. `offline`, `connection-lost`, `timed-out`, `busy`, `disk-full` are worth another try later;
   * the rest is not.
   */
  | { readonly type: 'file-failed'; readonly jobId: string; readonly code: ErrorCode; readonly message: string; readonly now?: { readonly size: number; readonly mtime: number } }
  | { readonly type: 'uploads'; readonly uploads: readonly UploadStatus[] }
  /** It is connected and takes offers, or not any more. */
  | { readonly type: 'takes-offers'; readonly peerId: PeerId; readonly takes: boolean }
  | { readonly type: 'offer-heard'; readonly offer: HeardOffer }
  | ({ readonly type: 'offer-news'; readonly peerId: PeerId; readonly offerId: string } & OfferNews)
  /** The same by peer, with those that wait; told together with `uploads`. */
  | { readonly type: 'upload-peers'; readonly peers: readonly UploadPeerStatus[] }
  /** All topics that we are in, and who of them is connected now: whenever one of the two changes. */
  | { readonly type: 'topics'; readonly topics: readonly TopicInfo[] }

export type UploadStatus = Omit<UploadInfo, 'peerName'>
export type UploadPeerStatus = Omit<UploadPeerInfo, 'peerName'>

export interface PeerStatus {
  readonly peerId: PeerId
  readonly state: PeerState
  readonly path: PeerPath | null
  readonly lastError: Reason | null
}

/** What the doctor needs to know: how we can be reached, how we meet, and what was tried to reach whom. */
export interface ReachReport {
  readonly own: OwnReach
  readonly discovery: DiscoveryReport
  /**
   * Peers that were tried, each with its last attempts, newest first. Of the owner of a code that never answered only the hash of its key is known
   * (16 bytes, hex).
   */
  readonly peers: readonly { readonly peerId: PeerId | null; readonly keyHash: string; readonly attempts: readonly ReachAttempt[] }[]
}

/** IPC envelope. Control sends `config` once, then `call`s; the network process answers and sends events, and a heartbeat every HEARTBEAT_MS. */
export type ToNetwork =
  | { readonly kind: 'config'; readonly config: NetworkConfig }
  | { readonly kind: 'call'; readonly id: number; readonly method: keyof NetworkApi; readonly args: unknown }
export type FromNetwork =
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | ({ readonly kind: 'error'; readonly id: number } & Reason)
  | { readonly kind: 'event'; readonly event: NetworkEvent }
  | { readonly kind: 'heartbeat'; readonly rssBytes: number; readonly eventLoopP99Ms: number }

export const HEARTBEAT_MS = 500
/** Silence after which the network process counts as hung and is killed: on two processors with twenty programs at work, healthy ones were silent for 4 s. */
export const HEARTBEAT_TIMEOUT_MS = 10_000
