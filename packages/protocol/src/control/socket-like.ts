/**
 * What the control endpoints need of a WebSocket: the browser's own and the `ws` package's both fit. Text frames only; nothing here opens one.
 */
export interface SocketLike {
  readonly readyState: number
  /** Bytes given to `send` that have not left yet. */
  readonly bufferedAmount: number
  send(text: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open', listener: () => void): void
  addEventListener(type: 'error', listener: () => void): void
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void
}

export const SOCKET_CONNECTING = 0
export const SOCKET_OPEN = 1

/** WebSocket close codes in use (RFC 6455, 7.4). */
export const CLOSE_NORMAL = 1000
export const CLOSE_GOING_AWAY = 1001
/** The other side broke a rule of the control protocol. */
export const CLOSE_POLICY = 1008
export const CLOSE_TOO_BUSY = 1013
/** The device is not paired, not any more, or its proof failed. */
export const CLOSE_NOT_PAIRED = 4401
