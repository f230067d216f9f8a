// Four nodes behind HAProxy are restarted one after the other while streams run and requests come:
// nobody notices. WEIR_ROLLING_STREAMS and WEIR_ROLLING_RATE say how many (2000 and 200 with a release
// build is what is promised; what a machine with checks built in can carry is the default).
import assert from 'node:assert/strict';
import {
    Closed,
    connect,
    eventually,
    freePort,
    messagesRequest,
    pause,
    test,
} from './harness/index.js';

const STREAMS = Number(process.env.WEIR_ROLLING_STREAMS ?? 200);
const RATE = Number(process.env.WEIR_ROLLING_RATE ?? 50);
const NODES = 4;
const EVENT_MS = Math.max(100, STREAMS * 0.4); // a few thousand events a second, however many streams

// A third of the requests each: on a connection of their own, on connections that are used again
// soon, and on connections that stand idle before they are. All less than the time for which a node
// that leaves waits for who was not told.
const IDLE_MS = [0, 200, 3000];

/** Callers of the pool, all through one port, and what happened to them. */
class Crowd {
    #isOver = false;
    #lanes = [];

    constructor(port) {
        this.port = port;
        this.faults = {}; // how often, by what
        this.statuses = {};
        this.streams = { open: 0, whole: 0 };
        this.latencies = [];
        this.told = 0; // answers that said that their connection closes
    }

    #fault(what, error) {
        const text = `${what}: ${error instanceof Closed ? error.end : (error.code ?? error.message)}`;
        this.faults[text] = (this.faults[text] ?? 0) + 1;
    }

    /** One request, on `wire` if there is one that is still open. Gives the wire if it may be kept. */
    async #request(what, wire, bytes, isWhole) {
        if (wire?.end) wire.leave();
        if (wire === null || wire.end) wire = await connect(this.port, { ms: 15000 });
        try {
            await wire.send(bytes);
            const answer = await wire.head({ ms: 30000 });
            this.statuses[answer.status] = (this.statuses[answer.status] ?? 0) + 1;
            await answer.readBody({ ms: 30000 });
            if (answer.status !== 200 || !isWhole(answer.text))
                throw new Error(`${answer.status} ${answer.text.slice(-200)}`);
            if (!answer.mustClose) return wire;
            this.told++;
        } catch (error) {
            this.#fault(what, error);
        }
        wire.leave();
        return null;
    }

    async #streams(number) {
        let wire = null;
        for (let i = number; !this.#isOver; i++) {
            const script = { events: 10 + (i % 6) * 3, event_delay_ms: EVENT_MS };
            const bytes = messagesRequest({ stream: true, script });
            this.streams.open++;
            try {
                const isWhole = (text) => text.includes('event: message_stop');
                wire = await this.#request('stream', wire, bytes, isWhole);
                this.streams.whole++;
            } catch (error) {
                this.#fault('stream', error);
                wire = null;
                await pause(100);
            }
            this.streams.open--;
        }
        wire?.leave();
    }

    /** Requests, one every `every` ms, each with as many connections as it takes for that. */
    async #requests(kind, every, first) {
        const free = []; // {wire, at}: since when it is idle
        const running = new Set();
        const one = async (wire) => {
            const started = performance.now();
            try {
                const isWhole = (text) => text.includes('"type":"message"');
                wire = await this.#request(kind, wire, messagesRequest(), isWhole);
                this.latencies.push(performance.now() - started);
                if (wire && IDLE_MS[kind] > 0) free.push({ wire, at: performance.now() });
                else wire?.leave();
            } catch (error) {
                this.#fault(`request ${kind}`, error);
            }
        };
        for (let due = performance.now() + first; !this.#isOver; due += every) {
            await pause(Math.max(0, due - performance.now()));
            const isRested = free.length > 0 && performance.now() - free[0].at >= IDLE_MS[kind] - 100;
            const request = one(isRested ? free.shift().wire : null);
            running.add(request);
            request.finally(() => running.delete(request));
        }
        await Promise.all(running);
        for (const { wire } of free) wire.leave();
    }

    start() {
        const every = (1000 * IDLE_MS.length) / RATE;
        for (let i = 0; i < STREAMS; i++) this.#lanes.push(this.#streams(i));
        for (let kind = 0; kind < IDLE_MS.length; kind++)
            this.#lanes.push(this.#requests(kind, every, (kind * every) / IDLE_MS.length));
        return this;
    }

    /** Lets all that runs come to its end. */
    async stop() {
        this.leave();
        await Promise.all(this.#lanes);
    }

    /** Nothing new, whatever becomes of the rest. */
    leave() {
        this.#isOver = true;
    }
}

/** What /ready says, again and again until the door is closed: '200', '503', ..., 'refused'. */
async function readyUntilClosed(port) {
    const seen = [];
    const note = (word) => seen.at(-1) !== word && seen.push(word);
    for (;;) {
        try {
            const wire = await connect(port);
            await wire.send('GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
            note(`${(await wire.answer()).status}`);
            wire.leave();
        } catch (error) {
            note(error.code === 'ECONNREFUSED' ? 'refused' : `${error.message}`);
            return seen;
        }
        await pause(20);
    }
}

/** The node asked to leave, ended by itself, and started again with all that it had. */
async function restarted(node, t) {
    assert.equal((await node.get('/ready')).status, 200);
    const started = performance.now();
    node.child.signal('SIGTERM');
    const seen = await readyUntilClosed(node.port);
    assert.deepEqual(seen[0] === '200' ? seen.slice(1) : seen, ['503', 'refused']);
    const closed = performance.now();
    await node.child.wait(60000);
    node.check();
    const ended = performance.now();
    await node.start({ ms: 30000 });
    assert.equal(node.events('weir starts').at(-1).node, node.id);
    // HAProxy has noticed when requests come again.
    await node.event('exchange finished', (line) => line.end === 'ok', { ms: 30000 });
    const times = [closed, ended, performance.now()].map((at) => Math.round(at - started));
    t.diagnostic(`${node.id}: door closed after ${times[0]} ms, left ${times[1]}, serves ${times[2]}`);
}

test('a rolling restart breaks no stream and refuses no request', { ms: 240000 }, async (world, t) => {
    const provider = await world.provider({ 'no-log': true });
    const redis = await world.redis();
    const subscriptions = world.subscriptions(provider, 5, { max_concurrent: 1000 });
    const nodes = [];
    for (let i = 1; i <= NODES; i++) {
        const config = {
            server: { port: await freePort(), drain_seconds: 60, proxy_protocol: true },
            subscriptions,
            redis: { url: redis.url },
            logging: { level: 'info' },
        };
        nodes.push(await world.node({ id: `n${i}`, config }));
    }
    const balancer = await world.balancer(nodes.map(({ port }) => port));
    const crowd = new Crowd(balancer.port).start();
    try {
        await eventually('all streams to run', () => crowd.streams.whole >= STREAMS, { ms: 60000 });
        for (const node of nodes) await restarted(node, t);
    } finally {
        crowd.leave();
    }
    await crowd.stop();
    const refusals = await balancer.triedAgain();
    const sorted = crowd.latencies.sort((a, b) => a - b);
    const at = (part) => Math.round(sorted[Math.floor((sorted.length - 1) * part)]);
    t.diagnostic(
        `${crowd.streams.whole} streams, ${sorted.length} requests; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ` +
            `slowest ${at(1)} ms; ${crowd.told} connections closed by an answer`,
    );
    assert.deepEqual(crowd.faults, {});
    assert.deepEqual(Object.keys(crowd.statuses), ['200']);
    assert.equal(refusals, 0, 'HAProxy had turned away before a door closed');
    await provider.activeReaches(0);
    const { total } = await provider.stats();
    assert.deepEqual([total.closed, total.faulted], [0, 0], 'streams cut off at the provider');
    await eventually('all slots to be free', async () => (await redis.leases()).length === 0);
    assert.deepEqual(
        nodes.flatMap((node) => node.events('leaving with what could not be booked')),
        [],
    );
});
