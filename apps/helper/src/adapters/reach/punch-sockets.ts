/**
 * The sockets beside the main one that searches for ports use, lent to several searches at once: a NAT gives one of them another port towards each peer,
 * so they do not get in each other's way. Knows nothing of what is sent.
 */
import type { AddressFamily } from './udp-socket.ts'
import type { QuicTransport } from '../quic/quic-transport.ts'

interface Lent {
  readonly family: AddressFamily
  borrowers: number
}

export class PunchSockets {
  readonly #transport: Pick<QuicTransport, 'openSockets' | 'closeSockets'>
  readonly #open = new Map<number, Lent>()
  /** One opens at a time, so that the next one finds what it has opened. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(transport: Pick<QuicTransport, 'openSockets' | 'closeSockets'>) {
    this.#transport = transport
  }

  /**
   * To be given back one by one, by each borrower once.
   * @returns perhaps fewer than asked for
   * @throws CodedError as `openSockets`, when there is none at all
   */
  borrow(family: AddressFamily, count: number): Promise<number[]> {
    const turn = this.#turn.then(() => this.#borrow(family, count))
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Whoever is the last to give one back closes it. Unknown numbers are passed over. */
  giveBack(numbers: Iterable<number>): void {
    const free: number[] = []
    for (const number of numbers) {
      const lent = this.#open.get(number)
      if (lent === undefined || --lent.borrowers > 0) continue
      this.#open.delete(number)
      free.push(number)
    }
    if (free.length > 0) this.#transport.closeSockets(free)
  }

  async #borrow(family: AddressFamily, count: number): Promise<number[]> {
    const before = this.#shared(family, count)
    try {
      for (const number of await this.#transport.openSockets(family, count - before.length)) this.#open.set(number, { family, borrowers: 0 })
    } catch (error) {
      if (this.#shared(family, count).length === 0) throw error
    }
    // Meanwhile some of those of before may have been closed.
    const numbers = this.#shared(family, count)
    for (const number of numbers) {
      const lent = this.#open.get(number)
      if (lent) lent.borrowers++
    }
    return numbers
  }

  #shared(family: AddressFamily, most: number): number[] {
    return [...this.#open].flatMap(([number, lent]) => (lent.family === family ? [number] : [])).slice(0, most)
  }
}
