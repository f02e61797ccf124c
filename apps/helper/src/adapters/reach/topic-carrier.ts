/** The seam between topics and the ways in which announcements travel: MQTT brokers, and multicast on the local network. All may lose and repeat them. */
export interface TopicCarrier {
  /** Listens under exactly these names from now on. */
  setNames(names: readonly string[]): void
  /** Lost in silence where nobody can be reached. */
  publish(name: string, bytes: Uint8Array): void
  /** Idempotent. */
  close(): void
}

export interface TopicCarrierEvents {
  onMessage(name: string, bytes: Uint8Array): void
  /** It has begun to listen: what was published before was not heard by all, and nothing was heard. */
  onOpen(): void
}
