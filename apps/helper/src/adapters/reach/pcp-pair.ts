/** Two leases at one router, as one: for our main port, and once that stands for TCP at the same outside number, where others look for it. */
import { type PcpClient, type PcpClientOptions, openPcpClient } from './pcp-client.ts'

export interface PcpPairOptions extends PcpClientOptions {
  /** Null where the main port is all there is. */
  readonly beside: { readonly port: number; readonly nonce: Uint8Array } | null
}

/** @returns null when no socket can be bound to that address; `held` is of the main port */
export async function openPcpPair({ beside, ...options }: PcpPairOptions): Promise<PcpClient | null> {
  let first: PcpClient | null = null
  let second: PcpClient | null = null
  let wanted: number | null = null
  let isOver = false
  let following = Promise.resolve()

  /** The second lease goes where the first one is. */
  function follow(): void {
    if (beside === null) return
    // An IPv6 address is the same on both sides of a firewall, and so are its ports.
    const outside = options.client.includes(':') ? beside.port : first?.held?.outside.port
    const port = first?.held == null ? null : (outside ?? null)
    if (port === wanted || isOver) return
    wanted = port
    following = following.then(async () => {
      await second?.close()
      second = null
      if (port === null || port !== wanted || isOver) return
      second = await openPcpClient({ ...options, ...beside, of: 'tcp', onlyPort: port, onChange: () => {}, onUnreachable: () => {} })
    })
  }

  first = await openPcpClient({
    ...options,
    onChange: (outcome) => {
      follow()
      options.onChange(outcome)
    },
  })
  if (first === null) return null
  const main = first
  return {
    get held() {
      return main.held
    },
    take: (bytes) => {
      main.take(bytes)
      second?.take(bytes)
    },
    renew: () => {
      main.renew()
      second?.renew()
    },
    close: async () => {
      isOver = true
      await Promise.all([main.close(), following.then(() => second?.close())])
    },
    abandon: () => {
      isOver = true
      main.abandon()
      void following.then(() => second?.abandon())
    },
  }
}
