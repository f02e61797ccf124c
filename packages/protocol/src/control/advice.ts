import type { Named } from '../detail.ts'

/**
 * Sentences for people that a helper has found, as data: which one, and the values in it. The words are made where they are read, in the language of the
 * person: by the app, and by the command line in English.
 */

/** What would help to be reached, or to reach somebody. */
export type Advice = Named<AdviceTable>

interface AdviceTable {
  // about this helper as a whole
  'no-engine': Nothing
  'network-restarting': Nothing
  'loopback-only': Nothing
  'no-network': Nothing
  'no-stun': Nothing
  'udp-blocked': Nothing
  'second-router': Nothing
  'router-random': Nothing
  'router-strict': Nothing
  'topics-local': Nothing
  'topics-nobody': Nothing
  'brokers-down': { readonly count: number }
  /** Ways to an open port, at least one. `port` is the one to forward. */
  'open-port': { readonly ways: readonly PortWay[]; readonly port: number | null }
  // about one peer
  'you-blocked': Nothing
  'you-left': Nothing
  'they-decide': Nothing
  'they-ask': Nothing
  'they-are-near': Nothing
  'wrong-identity': Nothing
  'turned-away': Nothing
  'they-are-busy': Nothing
  'no-address': Nothing
  'not-tried': Nothing
  'maybe-offline': Nothing
  'local-addresses-only': Nothing
  'ipv6-only': Nothing
  'give-your-code': Nothing
  'router-hard': Nothing
  'if-never': Nothing
  'same-network': Nothing
  'routers-random': Whose
  'routers-vague': Whose
}

/** `setting`: this helper asks the router; `router`: the router is told to listen to such questions; `forward`: by hand; `ipv6`: none is needed there */
export type PortWay = 'setting' | 'router' | 'forward' | 'ipv6'

/** What the person should know about a transfer, with how many files or entries it is about. */
export interface TransferNotice {
  /**
   * - `changed`: at the source, and fetched anew
   * - `restarted`: unfinished data was of another version
   * - `renamed`: got another name here, since theirs was taken
   * - `rejected`: left out, since their names are not allowed
   * - `skipped`: left out, as the person chose
   */
  readonly code: 'changed' | 'restarted' | 'renamed' | 'rejected' | 'skipped'
  readonly values: { readonly count: number }
}

/** What differs, or why it could not be compared. */
export type VerifyDetail = Named<VerifyDetails>

interface VerifyDetails {
  'changed-now': Nothing
  'only-there': Nothing
  'only-here': Nothing
  'folder-only-here': Nothing
  'not-a-file': Nothing
  size: { readonly here: number; readonly there: number }
  time: Nothing
  content: { readonly from: number }
  /** `message` is English. */
  unreadable: { readonly message: string }
}

type Nothing = Readonly<Record<never, never>>
interface Whose {
  readonly whose: 'both' | 'ours' | 'theirs'
}
