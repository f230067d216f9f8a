// chance.js - numbers that look random and come again with the same seed (mulberry32).

export class Chance {
    #state;

    constructor(seed) {
        this.#state = seed | 0;
    }

    /** From 0 up to 1. */
    next() {
        this.#state = (this.#state + 0x6d2b79f5) | 0;
        let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    }

    /** A whole number from `least` to `most`. */
    between(least, most) {
        return least + Math.floor(this.next() * (most - least + 1));
    }

    pick(list) {
        return list[Math.floor(this.next() * list.length)];
    }

    isOne(share) {
        return this.next() < share;
    }

    /** A time to wait, `mean` ms on the average, four times that at most. */
    wait(mean) {
        return Math.min(4 * mean, -mean * Math.log(1 - this.next()));
    }

    /** A source of its own, which what others draw does not change. */
    branch() {
        return new Chance(this.between(1, 0x7fffffff));
    }
}
