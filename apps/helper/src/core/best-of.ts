/** Keeps the first few of many items in an order, however many are offered: a heap whose root is the last one kept. */
export class BestOf<T> {
  readonly #most: number
  readonly #compare: (a: T, b: T) => number
  readonly #heap: T[] = []

  /** @param most at least 1 */
  constructor(most: number, compare: (a: T, b: T) => number) {
    this.#most = most
    this.#compare = compare
  }

  get isFull(): boolean {
    return this.#heap.length >= this.#most
  }

  /** The last one kept, once it is full: what does not come before it is of no interest. */
  get worst(): T | undefined {
    return this.isFull ? this.#heap[0] : undefined
  }

  offer(item: T): void {
    const heap = this.#heap
    if (heap.length < this.#most) {
      heap.push(item)
      this.#rise(heap.length - 1)
    } else if (heap[0] !== undefined && this.#compare(item, heap[0]) < 0) {
      heap[0] = item
      this.#sink()
    }
  }

  /** Best first. */
  sorted(): T[] {
    return this.#heap.toSorted(this.#compare)
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1
      if (this.#precedes(at, parent)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #sink(): void {
    for (let at = 0; ;) {
      let last = at
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.#heap.length && !this.#precedes(child, last)) last = child
      if (last === at) return
      this.#swap(at, last)
      at = last
    }
  }

  /** Whether the one at `a` comes before or with the one at `b`. */
  #precedes(a: number, b: number): boolean {
    const left = this.#heap[a]
    const right = this.#heap[b]
    return left === undefined || right === undefined || this.#compare(left, right) <= 0
  }

  #swap(a: number, b: number): void {
    const left = this.#heap[a]
    const right = this.#heap[b]
    if (left === undefined || right === undefined) return
    this.#heap[a] = right
    this.#heap[b] = left
  }
}
