// main.js - a soak from its first node to its last number (scripts/soak says what it is for).
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isSanitized } from '../e2e/harness/paths.js';
import { key } from '../e2e/harness/provider.js';
import { eventually, pause } from '../e2e/harness/wait.js';
import { World } from '../e2e/harness/world.js';
import { Callers } from './callers.js';
import { Chance } from './chance.js';
import { Fleet } from './fleet.js';
import { balance, Journal, look } from './ledger.js';
import { draw } from './picture.js';
import { report } from './report.js';
import { fillKept, restOf } from './rest.js';
import { Sampler } from './sample.js';
import { NAMES, Trouble } from './trouble.js';

const WARM_UP = 0.2; // of the time
// From here on memory is judged, and at rest connections kept open to the provider are waited for.
const LONG_S = 300;
const KEPT_OPEN_MS = 35000;
const WORKERS = 2; // of a node
const SLOTS = 4; // of a subscription, so that they run out; every other configuration has one less
const SETTLE_MS = 60000; // twice a lease time, and what a restart of Redis costs

function fail(text) {
    process.stderr.write(`soak: ${text}; see scripts/soak --help\n`);
    process.exit(2);
}

function wholeNumber(values, name, most) {
    const text = values[name];
    if (!/^\d{1,9}$/.test(text) || Number(text) < 1 || Number(text) > most)
        fail(`--${name} wants a whole number from 1 to ${most}, not '${text}'`);
    return Number(text);
}

function readOptions() {
    const text = (usual) => ({ type: 'string', default: usual });
    const options = { minutes: text('20'), seconds: text(''), nodes: text('2') };
    Object.assign(options, { seed: text('1'), out: text('build/soak') });
    let values;
    try {
        ({ values } = parseArgs({ options }));
    } catch (error) {
        fail(error.message);
    }
    const seconds = values.seconds
        ? wholeNumber(values, 'seconds', 1e6)
        : 60 * wholeNumber(values, 'minutes', 1e4);
    return {
        seconds,
        nodes: wholeNumber(values, 'nodes', 4),
        seed: wholeNumber(values, 'seed', 1e9),
        out: values.out,
    };
}

const config = (provider, redis) => (variant) => ({
    server: { host: '127.0.0.1', port: 0, workers: WORKERS, drain_seconds: 3 },
    redis: { url: redis.url },
    subscriptions: NAMES.map((name, i) => ({
        name,
        api_key: key(name),
        base_url: provider.url,
        max_concurrent: SLOTS - (variant % 2),
        priority: ((i + variant) % NAMES.length) + 1,
    })),
    rate_limit: { burst_limit: 100000, cooldown_seconds: 1 },
    timeouts: { connect_ms: 1000, first_byte_ms: 3000, idle_ms: 5000, client_ms: 15000 },
    logging: { level: 'info', format: 'json' },
});

const clock = (seconds) =>
    `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

/** One line that is written anew on a terminal, else one a minute. */
class Progress {
    #said = -60;

    tell(seconds, total, row, memory) {
        const { phase, done, failed, leases, drift } = row;
        const words =
            `${clock(seconds)} of ${clock(total)}, ${phase}: ${done} done, ${failed} failed, ` +
            `${leases} leases, drift ${drift}, ${memory} KiB`;
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${words}`);
        else if (seconds - this.#said >= 60) {
            this.#said = seconds;
            process.stderr.write(`${words}\n`);
        }
    }

    end() {
        if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    }
}

class Soak {
    #loadMs = 0; // how long callers were let ask
    #isOver = false;
    phase = 'warm-up';
    rests = [];

    constructor(world, options) {
        this.world = world;
        this.options = options;
        this.progress = new Progress();
    }

    async open() {
        const { world, options } = this;
        const chance = new Chance(options.seed);
        this.provider = await world.provider();
        this.redis = await world.redis({ keep: true });
        this.fleet = new Fleet(world, config(this.provider, this.redis));
        await this.fleet.start(options.nodes);
        this.journal = new Journal(this.provider);
        this.callers = new Callers(this.fleet, chance.branch());
        this.trouble = new Trouble(this, options.seconds, chance.branch());
        const file = join(options.out, 'soak.csv');
        this.sampler = new Sampler({ ...this, file });
    }

    /** Once a second, until all is over: what is due, and a row. */
    async #watch() {
        const start = Date.now();
        for (let last = start; !this.#isOver;) {
            await pause(1000 - ((Date.now() - start) % 1000));
            const now = Date.now();
            if (this.phase === 'warm-up' || this.phase === 'load') this.#loadMs += now - last;
            last = now;
            this.trouble.tick(this.#loadMs);
            this.fleet.forgetOldLines();
            const at = (now - start) / 1000;
            const row = await this.sampler.take(at, this.phase);
            const memory = row[`${this.fleet.measured.id}_rss_kib`];
            this.progress.tell(at, this.options.seconds, row, memory);
        }
    }

    async #loadUntil(share) {
        const end = share * this.options.seconds * 1000;
        while (this.#loadMs < end) await pause(100);
    }

    /** Nobody asks, all is answered: what the measured node uses then. */
    async #rest() {
        await this.trouble.over();
        const kept = this.options.seconds >= LONG_S ? KEPT_OPEN_MS : 0;
        const how = { workers: WORKERS, ms: SETTLE_MS, kept_ms: kept };
        this.rests.push(await restOf(this.fleet.measured, how));
    }

    async run() {
        const watching = this.#watch();
        this.callers.start();
        await this.#loadUntil(WARM_UP);
        this.phase = 'rest';
        await this.callers.hold();
        await fillKept(this.fleet.measured);
        await this.#rest();
        this.phase = 'load';
        this.callers.resume();
        await this.#loadUntil(1);
        this.phase = 'rest';
        await this.callers.stop();
        await this.#rest();
        await this.#settle();
        this.#isOver = true;
        await watching;
        await this.sampler.close();
        this.progress.end();
        this.ledger = await balance({ ...this, wholes: this.callers.wholes });
        this.wrong = [...this.callers.wrong, ...this.trouble.wrong];
        this.rows = this.sampler.rows;
        this.isMemoryJudged = !isSanitized() && this.options.seconds >= LONG_S;
    }

    /** What the killed have left is swept, and all is posted; or it stays so, and is told. */
    async #settle() {
        const settled = async () => {
            this.end = await look(this.redis);
            const { total, credentials } = await this.provider.stats();
            const { active } = total;
            const marks = Object.values(credentials).map(({ high_water: mark }) => mark);
            Object.assign(this.end, { highest: Math.max(...marks), allowed: SLOTS });
            return this.end.leases + this.end.slots + this.end.unposted + active === 0;
        };
        const wait = { ms: SETTLE_MS, every: 250 };
        await eventually('all to be settled', settled, wait).catch(() => {});
    }

    async write({ lines, numbers }) {
        const { out } = this.options;
        const ids = this.fleet.nodes.map(({ id }) => id);
        await writeFile(join(out, 'soak.svg'), draw(this.rows, ids));
        await writeFile(join(out, 'soak.txt'), `${lines.join('\n')}\n`);
        await writeFile(join(out, 'soak.json'), `${JSON.stringify(numbers, null, 2)}\n`);
    }
}

async function main() {
    const options = readOptions();
    await mkdir(options.out, { recursive: true });
    const world = await World.create();
    let result;
    let faults = [];
    try {
        const soak = new Soak(world, options);
        await soak.open();
        await soak.run();
        result = report(soak);
        await soak.write(result);
        process.stdout.write(`${result.lines.join('\n')}\n`);
    } finally {
        faults = await world.end();
        for (const { message } of faults) process.stdout.write(`not ok - the end: ${message}\n`);
    }
    process.exitCode = result.isGood && faults.length === 0 ? 0 : 1;
}

await main();
