// At most so many at a time, in the order in which they came.

export class Queue {
  #free;
  #waiting = [];

  constructor(places) {
    this.#free = places;
  }

  async run(work) {
    if (this.#free === 0) await new Promise((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
