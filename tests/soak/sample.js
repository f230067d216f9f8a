// sample.js - a row a second: what each node uses, what Redis holds, what was asked and how it
// ended, what both ledgers say. What cannot be asked in time (a Redis that stands still) is empty.
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { within } from '../e2e/harness/wait.js';
import { look } from './ledger.js';
import { KINDS } from './questions.js';

const PATIENCE_MS = 800;
export const OUTCOMES = [
    'whole',
    'left',
    'limited',
    'unavailable',
    'overloaded',
    'provider-error',
    'client-error',
    'told-broken',
    'broken',
    'dropped',
    'cut',
    'unreachable',
    'stuck',
    'crossed',
    'looks-whole',
];
const DONE = ['whole', 'left'];
const GAUGES = {
    exchanges: 'weir_exchanges_active',
    callers: 'weir_client_connections',
    idle: 'weir_upstream_connections{state="idle"}',
    bodies_bytes: 'weir_request_bodies_held_bytes',
    warm_bytes: 'weir_budget_bytes{kind="warm_buffers"}',
    outbox: 'weir_settlements_waiting',
    links: 'weir_redis_connections_up',
    notices: 'weir_notice_channel_up',
};

/** What the promise gives within a moment, else null. */
const soon = (promise) => within(PATIENCE_MS, 'an answer', promise).catch(() => null);

/** What a node uses, by the kernel's word and by its own. */
export async function usage(node) {
    const text = (await node.get('/metrics', { ms: PATIENCE_MS })).text;
    const gauge = (name) => {
        const at = text.indexOf(`\n${name} `);
        return at < 0 ? NaN : Number(/\S+/.exec(text.slice(at + name.length + 2))[0]);
    };
    const own = Object.entries(GAUGES).map(([word, name]) => [word, gauge(name)]);
    const [rss, descriptors] = [await node.memory(), await node.openFiles()];
    return { rss_kib: rss, descriptors, ...Object.fromEntries(own) };
}

export class Sampler {
    rows = []; // the same as in the file, as objects
    #stream;
    #names = null;

    constructor({ fleet, redis, journal, callers, trouble, file }) {
        Object.assign(this, { fleet, redis, journal, callers, trouble });
        this.#stream = createWriteStream(file);
    }

    async take(seconds, phase) {
        const row = { t_s: Math.round(seconds * 10) / 10, phase };
        const using = this.fleet.nodes.map((node) => (node.isRunning ? soon(usage(node)) : null));
        const [pool, ended] = await Promise.all([
            soon(look(this.redis)),
            soon(this.journal.ended()),
            soon(this.journal.read()),
        ]);
        for (const [i, node] of this.fleet.nodes.entries()) {
            const used = await using[i];
            for (const word of ['rss_kib', 'descriptors', ...Object.keys(GAUGES)])
                row[`${node.id}_${word}`] = used?.[word] ?? '';
        }
        row.leases = pool?.leases ?? '';
        row.slots = pool?.slots ?? '';
        row.provider_seen = this.journal.seen;
        row.provider_ended = ended ?? '';
        row.booked = pool?.booked ?? '';
        row.drift = pool && ended !== null ? pool.booked - ended : '';
        this.#addRequests(row);
        row.events = this.trouble.takeNews().join(' + ');
        this.#write(row);
        return row;
    }

    #addRequests(row) {
        const { outcomes } = this.callers;
        for (const kind of Object.keys(KINDS)) {
            row[`${kind}_done`] = 0;
            row[`${kind}_failed`] = 0;
        }
        for (const [key, count] of Object.entries(outcomes)) {
            const [kind, outcome] = key.split(' ');
            row[`${kind}_${DONE.includes(outcome) ? 'done' : 'failed'}`] += count;
        }
        const totals = this.callers.totals();
        for (const outcome of OUTCOMES) row[outcome] = totals[outcome] ?? 0;
        row.done = DONE.reduce((sum, outcome) => sum + row[outcome], 0);
        row.failed = Object.values(totals).reduce((sum, count) => sum + count, 0) - row.done;
    }

    #write(row) {
        if (!this.#names) {
            this.#names = Object.keys(row);
            this.#stream.write(`${this.#names.join(',')}\n`);
        }
        this.#stream.write(`${this.#names.map((name) => row[name]).join(',')}\n`);
        this.rows.push(row);
    }

    async close() {
        this.#stream.end();
        await once(this.#stream, 'finish');
    }
}
