// Everything at once, by chance but repeatable: providers that fail in every way, clients that
// leave at any moment. Afterwards nothing may be left: no slot, no lease, no socket.
import assert from 'node:assert/strict';
import { connect, eventually, messagesRequest, pause, quiet, test } from './harness/index.js';

/** Numbers below 1 that look random and come again with the same seed (mulberry32). */
function chance(seed) {
    return () => {
        seed = (seed + 0x6d2b79f5) | 0;
        let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}

const FAULTS = [
    {},
    {},
    {},
    {},
    { gzip: true },
    { text_bytes: 400000 },
    { events: 30, event_delay_ms: 5 },
    { status: 429, headers: { 'retry-after-ms': '50' } },
    { status: 500 },
    { status: 529 },
    { status: 400 },
    { close_before_answer: true },
    { close_before_answer: true, reset: true },
    { close_head_after_bytes: 40 },
    { bad_head: true },
    { close_after_events: 4 },
    { close_after_bytes: 300 },
    { close_after_bytes: 700, reset: true },
    { stall: true },
    { stall_after_events: 3 },
    { delay_ms: 60 },
    { keep_alive: false },
    { silently_close_idle: true },
    { early_answer: true, status: 413 },
    { until_close: true },
    { drip_bytes: 97, drip_ms: 2 },
    { error_event: { type: 'overloaded_error', after_events: 3 } },
];

/** One client: some requests, each read to its end, read in part, or left at once. */
async function wander(node, next) {
    for (let i = 0; i < 25; i++) {
        const wire = await connect(node.port);
        const text = 'x'.repeat(Math.floor(next() ** 6 * 2000000));
        const bytes = messagesRequest({ stream: next() < 0.6, text });
        const mood = next();
        if (mood < 0.1) {
            await wire.send(bytes.subarray(0, Math.floor(bytes.length * next())));
        } else {
            await wire.send(bytes);
            const patience = pause(mood < 0.4 ? next() * 60 : 3000);
            await Promise.race([wire.answer().catch(() => {}), patience]);
        }
        if (next() < 0.3) wire.reset();
        else wire.leave();
    }
}

for (const seed of [1, 2]) {
    test(`after chaos nothing is left behind (seed ${seed})`, { ms: 90000 }, async (world) => {
        const timeouts = { first_byte_ms: 400, idle_ms: 400, connect_ms: 1000 };
        const { provider, redis, node } = await world.setting({
            subscriptions: 3,
            max: 6,
            config: { timeouts, logging: { level: 'info' }, server: { workers: 2 } },
        });
        const next = chance(seed);
        for (const name of ['alpha', 'beta', 'gamma']) {
            const faults = Array.from(
                { length: 400 },
                () => FAULTS[Math.floor(next() * FAULTS.length)],
            );
            await provider.fault(name, ...faults);
        }
        const idle = await node.openFiles();
        await Promise.all(
            Array.from({ length: 16 }, (_, i) => wander(node, chance(seed * 100 + i))),
        );
        await quiet({ node, provider });
        await eventually('no lease', async () => (await redis.leases()).length === 0);
        for (const name of ['alpha', 'beta', 'gamma']) {
            const { high_water: mark } = await provider.credential(name);
            assert.ok(mark <= 6, `${name}: ${mark} at once`);
        }
        const { connections } = await provider.stats();
        await eventually('sockets to be closed', async () => {
            const open = await node.openFiles();
            if (open > idle + connections.open + 4) throw new Error(`${idle} before, ${open} now`);
            return true;
        });
        const metrics = await node.metrics();
        assert.equal(metrics.value('weir_exchanges_active'), 0);
        assert.equal(metrics.value('weir_request_bodies_held_bytes'), 0);
        assert.equal(metrics.value('weir_settlements_waiting'), 0);
    });
}
