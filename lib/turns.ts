import { setImmediate } from "node:timers/promises";

/** Long loops give the event loop its turn after this many milliseconds. */
const SLICE = 2;

/**
 * A clock for a loop over many items: `if (turns.over()) await turns.next();` keeps each turn of the event loop
 * short. @internal
 */
export class Turns {
  #began = performance.now();
  #since = 0;

  /** Whether it is time to let others run; looks at the clock only now and then. */
  over(every = 64): boolean {
    if (++this.#since < every) return false;
    this.#since = 0;
    return performance.now() - this.#began > SLICE;
  }

  async next(): Promise<void> {
    await setImmediate();
    this.#began = performance.now();
  }
}

let turnBegan: number | undefined;

/**
 * Waits for a later turn of the event loop where the calls of this one have taken their slice already, so that a
 * burst of calls does not hold it. The first call of a turn goes at once. @internal
 */
export async function takeTurn(): Promise<void> {
  while (turnBegan !== undefined && performance.now() - turnBegan > SLICE) await setImmediate();
  if (turnBegan !== undefined) return;
  turnBegan = performance.now();
  void setImmediate().then(() => {
    turnBegan = undefined;
  });
}
