/** A consume queue: for each offset where its message is, how long it is and its tag's hash, in typed arrays. */

const FIRST_ENTRIES = 16

export class QueueIndex {
  /** The first offset that is still there. */
  min = 0
  /** The offset that the next message gets. */
  max = 0
  #positions = new Float64Array(FIRST_ENTRIES)
  #sizes = new Uint32Array(FIRST_ENTRIES)
  #tags = new Int32Array(FIRST_ENTRIES)
  /** The offset at index 0. */
  #base = 0

  append(position: number, size: number, tag: number): void {
    let at = this.max - this.#base
    if (at === this.#positions.length) {
      this.#makeRoom()
      at = this.max - this.#base
    }
    this.#positions[at] = position
    this.#sizes[at] = size
    this.#tags[at] = tag
    this.max++
  }

  /** `offset` is from `min` on and below `max`, here and below. */
  position(offset: number): number {
    return this.#positions[offset - this.#base] as number
  }

  size(offset: number): number {
    return this.#sizes[offset - this.#base] as number
  }

  tag(offset: number): number {
    return this.#tags[offset - this.#base] as number
  }

  /** Forgets what lies before a position of the log. */
  dropBefore(position: number): void {
    while (this.min < this.max && this.position(this.min) < position) this.min++
  }

  #makeRoom(): void {
    const from = this.min - this.#base
    const size = from > this.#positions.length / 2 ? this.#positions.length : this.#positions.length * 2
    const [positions, sizes, tags] = [new Float64Array(size), new Uint32Array(size), new Int32Array(size)]
    positions.set(this.#positions.subarray(from))
    sizes.set(this.#sizes.subarray(from))
    tags.set(this.#tags.subarray(from))
    this.#positions = positions
    this.#sizes = sizes
    this.#tags = tags
    this.#base = this.min
  }
}
