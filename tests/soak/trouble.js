// trouble.js - what goes wrong during a soak, and when: providers that fail in every way, a Redis
// that stands still or is restarted, nodes that are rolled and killed, configurations read again.
// All of it is planned from the seed before it begins, at least once of each kind.
import { pause } from '../e2e/harness/wait.js';

export const NAMES = ['alpha', 'beta', 'gamma', 'delta'];

const PROVIDER_FAULTS = [
    ['429', { status: 429, headers: { 'retry-after-ms': '300' } }],
    ['429', { status: 429, headers: { 'retry-after': '1' } }],
    ['500', { status: 500 }],
    ['529', { status: 529 }],
    ['400', { status: 400 }],
    ['reset', { close_before_answer: true, reset: true }],
    ['reset', { close_after_bytes: 300, reset: true }],
    ['closed', { close_before_answer: true }],
    ['closed', { close_head_after_bytes: 40 }],
    ['closed', { silently_close_idle: true }],
    ['nonsense', { bad_head: true }],
    ['slow', { delay_ms: 2000 }],
    ['slow', { drip_bytes: 97, drip_ms: 20 }],
    ['stall', { stall: true }],
    ['stall', { stall_after_events: 3 }],
    ['broken-stream', { close_after_events: 4 }],
    ['broken-stream', { close_after_bytes: 500 }],
    ['error-event', { error_event: { type: 'overloaded_error', after_events: 3 } }],
];

// A kind of trouble comes once in so many seconds. Restarts are no more than that many in all, for
// each boot has names of its own in the books, which hold 200; and one node alone has none.
const KINDS = [
    { kind: 'provider', every_s: 2.5 },
    { kind: 'reload', every_s: 30, on: 'nodes' },
    { kind: 'redis-pause', every_s: 40, on: 'redis' },
    { kind: 'redis-restart', every_s: 90, on: 'redis' },
    { kind: 'roll', every_s: 60, on: 'nodes', most: 40, nodes: 2 },
    { kind: 'kill', every_s: 60, on: 'nodes', most: 40, nodes: 2 },
];

/** [{at_ms, kind, chance}], in order; the first and last moments are free of it. */
function plan(seconds, nodes, chance) {
    const planned = [];
    const possible = KINDS.filter(({ nodes: least = 1 }) => nodes >= least);
    for (const { kind, every_s: every, most = Infinity } of possible) {
        const count = Math.max(1, Math.min(most, Math.round((0.9 * seconds) / every)));
        const step = (0.9 * seconds * 1000) / count;
        for (let i = 0; i < count; i++) {
            const at = seconds * 30 + step * (i + chance.next());
            planned.push({ at_ms: at, kind, chance: chance.branch() });
        }
    }
    return planned.sort((a, b) => a.at_ms - b.at_ms);
}

export class Trouble {
    #busy = {}; // one hand at a time on Redis, and on the nodes
    #running = new Set();

    constructor({ fleet, provider, redis }, seconds, chance) {
        Object.assign(this, { fleet, provider, redis });
        this.planned = plan(seconds, fleet.nodes.length, chance);
        this.counts = {}; // kind -> how often
        this.since = []; // what began since this was last taken, in words
        this.wrong = [];
    }

    /** Does what is due by `now_ms` of the load's own time. */
    tick(now_ms) {
        while (this.planned[0]?.at_ms <= now_ms) {
            const event = this.planned.shift();
            const { on } = KINDS.find(({ kind }) => kind === event.kind);
            const before = (on && this.#busy[on]) ?? Promise.resolve();
            const done = before.then(() => this.#do(event));
            if (on) this.#busy[on] = done;
            this.#running.add(done);
            done.finally(() => this.#running.delete(done));
        }
    }

    /** Nothing is under way any more. */
    async over() {
        while (this.#running.size > 0) await Promise.all(this.#running);
    }

    async #do({ kind, chance }) {
        const { redis, fleet } = this;
        const deeds = {
            provider: () => this.#provider(chance),
            reload: () => fleet.reload(),
            'redis-pause': () => this.#pauseRedis(),
            'redis-restart': () => restart(redis, chance),
            roll: () => fleet.roll(chance),
            kill: () => fleet.kill(chance),
        };
        if (kind !== 'provider') this.#note(kind);
        try {
            await deeds[kind]();
        } catch (error) {
            this.wrong.push(`${kind}: ${error.message}`);
        }
    }

    #note(kind, times = 1) {
        this.counts[kind] = (this.counts[kind] ?? 0) + times;
        this.since.push(kind);
    }

    takeNews() {
        return this.since.splice(0);
    }

    async #provider(chance) {
        const [kind, script] = chance.pick(PROVIDER_FAULTS);
        const times = chance.between(1, 4);
        this.#note(`provider ${kind}`, times);
        await this.provider.fault(chance.pick(NAMES), { ...script, times });
    }

    async #pauseRedis() {
        this.redis.suspend();
        try {
            await pause(1000);
        } finally {
            this.redis.resume();
        }
    }
}

/** With its data: it keeps them in a file, whether it is asked to go or killed. */
async function restart(redis, chance) {
    if (chance.isOne(0.5)) await redis.kill();
    else await redis.stop();
    await redis.start();
}
