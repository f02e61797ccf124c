import type { ErrorCode } from './errors.ts'
import type { ListPage, ListRequest } from './entry.ts'
import type { OfferNewsRequest, OfferRequest } from './offer.ts'
import type { ChangedRequest } from './share-change.ts'
import type { SharePath } from './share-path.ts'
import type { PictureMessage, ThumbnailRequest } from './thumbnail.ts'

/**
 * The messages of `hdp/1`. Every request travels on a bidirectional stream of its own, as one length-prefixed CBOR frame, and is answered on it.
 *
 * | request | answer |
 * |---|---|
 * | hello | any number of `wait`, then `hello` or `error`; always the first stream of a connection, opened by the dialler |
 * | ls | `page` or `error` |
 * | read | any number of `wait` where the asker wants them, then `data`, then `length` raw bytes, then `sent`; or `error` |
 * | bundle | any number of `wait` where the asker wants them; for each file in turn `data`, then its raw bytes, then `sent`, or `error`; or one `error` for all |
 * | hashes | `hashed` or `error` |
 * | thumbnail | `picture` or `error` |
 * | ping | `pong` |
 * | gossip | `noted` or `error` |
 * | introduce | `introduced` or `error` |
 * | changed | `noted` or `error` |
 * | offer, offer-news | `noted` or `error` |
 * | anything else | `error` with code `unsupported` |
 */
export type PeerRequest = HelloMessage | LsRequest | ReadRequest | BundleRequest | HashesRequest | ThumbnailRequest | PingRequest | GossipRequest | IntroduceRequest | ChangedRequest | OfferRequest | OfferNewsRequest

export interface HelloMessage {
  readonly type: 'hello'
  /** Protocol versions spoken, best first. */
  readonly versions: readonly number[]
  readonly capabilities: readonly string[]
  /** Program and version, for people reading logs: `harddrive-party/0.1.0`. */
  readonly agent: string
  /** 16 bytes: a knock secret that lets this peer, now known, connect to us again even after our code was renewed. */
  readonly knockSecret: Uint8Array
  /** 16 bytes: authenticates path probes on this connection. */
  readonly pathKey: Uint8Array
  /** Where the sender can be dialled, `host:port` or `[host]:port`, at most 16; hints for reconnecting. */
  readonly addresses: readonly string[]
  /** Where TCP connections to the sender go, if not to the ports of its addresses; 0 = nowhere. */
  readonly tcpPort?: number
}

/** Of `hello`: a person has been asked. Of `read`: others come first, and its turn comes after `place` - 1 of them. */
export type WaitMessage =
  | { readonly type: 'wait'; readonly reason: 'approval' }
  | { readonly type: 'wait'; readonly reason: 'queue'; readonly place: number }

export interface LsRequest extends ListRequest {
  readonly type: 'ls'
}

export interface ReadRequest {
  readonly type: 'read'
  readonly path: SharePath
  /** First byte wanted, default 0. */
  readonly start?: number
  /** One past the last byte wanted; default and maximum: `start` + MAX_READ_BYTES, cut at the end of the file. */
  readonly end?: number
  /** Answer `source-changed` unless the file still has this size and mtime. */
  readonly expect?: { readonly size: number; readonly mtime: number }
  /** The asker understands `wait` as an answer to this; it is sent to nobody else. */
  readonly places?: true
}

/** What a listing said of a file: who asks for it wants this version and no other. */
export interface FileVersion {
  readonly path: SharePath
  readonly size: number
  readonly mtime: number
}

/** Many whole small files on one stream, 1 to MAX_BUNDLE_FILES, together at most MAX_READ_BYTES. */
export interface BundleRequest {
  readonly type: 'bundle'
  readonly files: readonly FileVersion[]
  /** As of `read`. */
  readonly places?: true
}

/** What parts of a file hash to, so that somebody who has them can see whether they are still the same. */
export interface HashesRequest {
  readonly type: 'hashes'
  readonly path: SharePath
  /** `[start, end)` each, not empty; 1 to MAX_HASH_RANGES, together at most MAX_HASHED_BYTES. */
  readonly ranges: readonly HashRange[]
  /** As of `read`. */
  readonly expect?: { readonly size: number; readonly mtime: number }
}

export interface HashRange {
  readonly start: number
  readonly end: number
}

export interface PingRequest {
  readonly type: 'ping'
}

/** What may be asked of a peer that lists these in its hello; others are not bothered with it. */
export const GOSSIP_CAPABILITY = 'gossip'
export const INTRODUCE_CAPABILITY = 'introduce'

/** How to reach the sender, and how to reach others. Records as they were signed: whoever receives them checks them. */
export interface GossipRequest {
  readonly type: 'gossip'
  /** The sender's own record, when it has changed; also when it is not to be passed on. */
  readonly own?: Uint8Array
  /** Of others whom the sender is connected to, at most MAX_GOSSIP_RECORDS. */
  readonly others: readonly Uint8Array[]
}

/** Asks to be reached by somebody else: by the receiver of this message, or by a peer that is connected to it. */
export interface IntroduceRequest {
  readonly type: 'introduce'
  /** 16 bytes, the key hash of whom it is for. Another than the receiver's: to be passed on unchanged, if that peer is connected. */
  readonly to: Uint8Array
  /** The record of who asks. */
  readonly record: Uint8Array
  /** 16 bytes, `introductionProof`: who asks knows a knock secret of whom it is for. */
  readonly proof: Uint8Array
}

export type PeerAnswer =
  | HelloMessage | WaitMessage | PageMessage | DataMessage | SentMessage | HashedMessage | PictureMessage | PongMessage | NotedMessage | IntroducedMessage | ErrorMessage

export interface PageMessage extends ListPage {
  readonly type: 'page'
  /** Set by the decoder and never sent: entries left out because their paths break a rule. Absent = none. */
  readonly rejected?: number
}

/** Precedes the raw bytes of a read. */
export interface DataMessage {
  readonly type: 'data'
  /** The whole file's size in bytes. */
  readonly size: number
  readonly mtime: number
  /** Offset of the first raw byte. */
  readonly start: number
  /** How many raw bytes follow, at most MAX_READ_BYTES. */
  readonly length: number
}

/** Follows the raw bytes of a read. */
export interface SentMessage {
  readonly type: 'sent'
  readonly bytes: number
  /** SHA-256 of the raw bytes, 32 bytes. */
  readonly hash: Uint8Array
}

export interface HashedMessage {
  readonly type: 'hashed'
  /** The whole file's size in bytes. */
  readonly size: number
  readonly mtime: number
  /** SHA-256 of each range that was asked for, in that order, 32 bytes each. */
  readonly hashes: readonly Uint8Array[]
}

export interface PongMessage {
  readonly type: 'pong'
}

export interface NotedMessage {
  readonly type: 'noted'
}

/** Both sides are to send towards each other now. */
export interface IntroducedMessage {
  readonly type: 'introduced'
  /** The record of whom was asked for. */
  readonly record: Uint8Array
}

export interface ErrorMessage {
  readonly type: 'error'
  readonly code: ErrorCode
  readonly message: string
}
