/** A set of byte positions, as sorted intervals [from, to) that never touch. */
export class Intervals {
  #parts: [number, number][] = [];

  /** @returns `undefined` for what {@link toJSON} did not write or what lies beyond `limit`. */
  static from(value: unknown, limit: number): Intervals | undefined {
    if (!Array.isArray(value)) return undefined;
    const intervals = new Intervals();
    for (const part of value) {
      if (!Array.isArray(part) || part.length !== 2 || !part.every(Number.isSafeInteger)) return undefined;
      const [from, to] = part;
      if (from < 0 || to <= from || to > limit) return undefined;
      intervals.add(from, to);
    }
    return intervals;
  }

  get total(): number {
    return this.#parts.reduce((sum, [from, to]) => sum + to - from, 0);
  }

  add(from: number, to: number): void {
    if (to <= from) return;
    let [start, end] = [from, to];
    const apart = this.#parts.filter(([a, b]) => {
      if (b < start || a > end) return true;
      start = Math.min(start, a);
      end = Math.max(end, b);
      return false;
    });
    this.#parts = [...apart, [start, end] as [number, number]].sort(([a], [b]) => a - b);
  }

  /** What lacks of [0, size). */
  missingUpTo(size: number): [number, number][] {
    const gaps: [number, number][] = [];
    let position = 0;
    for (const [from, to] of this.#parts) {
      if (from > position) gaps.push([position, from]);
      position = to;
    }
    if (position < size) gaps.push([position, size]);
    return gaps;
  }

  toJSON(): [number, number][] {
    return this.#parts.map(([from, to]) => [from, to]);
  }
}
