import type { Reason } from '../errors.ts'

/** Serving the app to phones on the local network, over HTTPS only. Part of the control contract. */
export interface LanApi {
  lan(): Promise<LanInfo>
  /** Kept across restarts, and done at once. Switching it off ends the connections of the phones. */
  setLan(args: { enabled: boolean }): Promise<LanInfo>
}

export const LAN_METHODS = ['lan', 'setLan'] as const satisfies readonly (keyof LanApi)[]

export interface LanInfo {
  readonly enabled: boolean
  /** Origins of the app, `https://192.168.1.5:3443`, the one to give out first; none while it is off or there is no local network. */
  readonly urls: readonly string[]
  /** Why it does not work although it is on; null = it does. */
  readonly problem: Reason | null
  /** The authority that phones must trust, or null where the person brought a certificate of their own. */
  readonly authority: { readonly name: string; /** SHA-256 of the certificate: 32 pairs of hexadecimal digits, with colons. */ readonly fingerprint: string } | null
}
