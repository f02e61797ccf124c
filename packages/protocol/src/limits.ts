/** Every bound of the peer protocol `hdp/1`, each with its reason. PROTOCOL.md lists the same numbers. */

/** Application protocol name in the TLS handshake. */
export const ALPN = 'hdp/1'

/** One `read` answers at most this much: it equals the stream window, so a stream never waits for a window update. */
export const MAX_READ_BYTES = 4 * 1024 * 1024

/** Reads in flight to one peer: enough to fill a long link, little enough to bound memory (8 x 4 MiB). */
export const READS_IN_FLIGHT = 8

/** Files in one `bundle`: with ordinary paths they fill a request frame. Their bytes together are bounded as those of one `read`. */
export const MAX_BUNDLE_FILES = 128

/** Ranges in one `hashes`, so that their hashes fit a small frame … */
export const MAX_HASH_RANGES = 64

/** … and bytes in them together: reading and hashing them costs somebody else a moment, asking for it nothing. */
export const MAX_HASHED_BYTES = 4 * MAX_READ_BYTES

/** Streams a peer may have open towards us at once; more are refused with `busy`. */
export const MAX_STREAMS_PER_PEER = 64

/** A whole share path in UTF-8 bytes. Linux allows 4096 including the root; long collections come close. */
export const MAX_PATH_BYTES = 4096

/** One part of a path in UTF-8 bytes: the limit of every common file system. */
export const MAX_PATH_PART_BYTES = 255

/** Parts in one path: deeper trees are mistakes or attacks. */
export const MAX_PATH_PARTS = 128

/** A search term in UTF-8 bytes. */
export const MAX_SEARCH_BYTES = 256

/** The last place in a queue that is told: more peers than this are not connected to anybody. */
export const MAX_QUEUE_PLACE = 10_000

/** `wait`s in answer to one read, at most one a second: an hour of the fastest, many of the usual. Whoever still waits then asks anew. */
export const MAX_WAITS_PER_READ = 3_600

/** Entries in one page of a listing, whatever limit was asked for. */
export const MAX_PAGE_ENTRIES = 1000

/** An opaque listing cursor. */
export const MAX_CURSOR_BYTES = 5 * 1024

/** Request frames: a path, a search term, a cursor and some numbers. */
export const MAX_REQUEST_FRAME_BYTES = 16 * 1024

/** A picture of an image: enough for a good one of that size … */
export const MAX_THUMBNAIL_BYTES = 64 * 1024

/** … and its longer side in pixels: a tile of a grid on a fine screen. */
export const MAX_THUMBNAIL_EDGE = 320

/** A picture with what is around it. */
export const MAX_THUMBNAIL_FRAME_BYTES = MAX_THUMBNAIL_BYTES + 1024

/** A page of a listing; a page ends early rather than exceed it. */
export const MAX_PAGE_FRAME_BYTES = 512 * 1024

/** `hello` in both directions. */
export const MAX_HELLO_FRAME_BYTES = 4 * 1024

/** Headers, trailers, pongs and errors. */
export const MAX_SMALL_FRAME_BYTES = 4 * 1024

/** Text of an error from a peer, in UTF-8 bytes, before it is cut. */
export const MAX_ERROR_MESSAGE_BYTES = 500

/** Protocol versions in a `hello`: more would be a mistake. */
export const MAX_HELLO_VERSIONS = 16

/** Capabilities in a `hello`, and the length of each in UTF-8 bytes. */
export const MAX_CAPABILITIES = 32
export const MAX_CAPABILITY_BYTES = 64

/** The program's name and version in a `hello`, in UTF-8 bytes, before it is cut. */
export const MAX_AGENT_BYTES = 100

/** Addresses in a `hello`. */
export const MAX_HELLO_ADDRESSES = 16

/** Records of others in one `gossip`: with eight addresses each they fill a request frame; more follow in another. */
export const MAX_GOSSIP_RECORDS = 32

/** A peer that has opened a stream must have sent its whole request by then. */
export const REQUEST_TIMEOUT_MS = 15_000

/** A dialler must have completed the handshake and sent `hello` by then. */
export const HANDSHAKE_TIMEOUT_MS = 10_000
