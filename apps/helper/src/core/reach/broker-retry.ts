/** Decides how long to stay away from a broker that failed. Knows nothing of brokers. */

export const FIRST_BROKER_RETRY_MS = 1_000
/** A free public service should not be asked more often by everybody who cannot reach it. */
export const LONGEST_BROKER_RETRY_MS = 120_000

/**
 * @param failures in a row, at least 1
 * @param random uniform in [0, 1): half of the wait is left to it, so that all who lost a broker do not come back at once
 */
export function brokerRetryMs(failures: number, random: number): number {
  return Math.min(LONGEST_BROKER_RETRY_MS, FIRST_BROKER_RETRY_MS * 2 ** Math.max(0, failures - 1)) * (0.5 + 0.5 * random)
}
