// wait.js - every wait has a deadline, and says what it waited for when that passes.

/** Lets a promise take at most `ms`; what it waited for goes into the error. */
export async function within(ms, what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => {
            const text = typeof what === 'function' ? what() : what;
            reject(new Error(`waited ${ms} ms for ${text}`));
        }, ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

/** Lets others have their turn: sockets are not read while writes succeed at once. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks again and again until `probe` returns something true, and returns that. Only for what tells
 * nobody when it happens (memory of a process, a key in Redis); where there is an event, wait for
 * the event. An error thrown by the probe counts as "not yet" and is shown if time runs out.
 */
export async function eventually(what, probe, { ms = 10000, every = 20 } = {}) {
    const end = Date.now() + ms;
    let last;
    for (;;) {
        try {
            last = await probe();
            if (last) return last;
        } catch (error) {
            last = error;
        }
        if (Date.now() >= end) {
            const seen = last instanceof Error ? last.message : JSON.stringify(last);
            throw new Error(`waited ${ms} ms for ${what}; last seen: ${seen}`);
        }
        await pause(every);
    }
}

/** A list that others can wait on: log lines, events of a stream. */
export class Arrivals {
    constructor() {
        this.items = [];
        this.waiters = new Set();
        this.fault = null;
    }

    push(item) {
        this.items.push(item);
        for (const waiter of [...this.waiters]) waiter();
    }

    /** Nothing more will come: everyone still waiting is told why. */
    close(fault) {
        this.fault = fault;
        for (const waiter of [...this.waiters]) waiter();
    }

    /** The first item from index `from` on for which `wanted` is true, now or when it comes. */
    find(what, wanted, { from = 0, ms = 10000 } = {}) {
        let next = from;
        let waiter;
        const found = new Promise((resolve, reject) => {
            waiter = () => {
                for (; next < this.items.length; next++) {
                    if (wanted(this.items[next])) return resolve(this.items[next]);
                }
                if (this.fault) reject(new Error(`no ${what}: ${this.fault}`));
            };
            this.waiters.add(waiter);
            waiter();
        });
        return within(ms, what, found).finally(() => this.waiters.delete(waiter));
    }
}
