/** What has been opened, to be closed in reverse order. One part that does not close does not keep the others open. */
export interface Closers {
  add(close: () => Promise<void> | void): void
  /** Idempotent. Never rejects. */
  close(): Promise<void>
}

export function createClosers(onError: (error: unknown) => void): Closers {
  const actions: (() => Promise<void> | void)[] = []
  let closing: Promise<void> | undefined
  const closeAll = async () => {
    for (let close = actions.pop(); close !== undefined; close = actions.pop()) {
      try {
        await close()
      } catch (error) {
        onError(error)
      }
    }
  }
  return {
    add: (close) => actions.push(close),
    close: () => (closing ??= closeAll()),
  }
}
