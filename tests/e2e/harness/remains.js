// remains.js - what trouble may leave behind, and must not: slots, leases, descriptors, memory.
import { eventually } from './wait.js';

/** What a quiet node has open beyond pooled connections to providers. */
export async function filesOf(node) {
    const pooled = (await node.metrics()).value('weir_upstream_connections', { state: 'idle' });
    return (await node.openFiles()) - pooled;
}

const GAUGES = [
    ['weir_exchanges_active'],
    ['weir_request_bodies_held_bytes'],
    ['weir_settlements_waiting'],
    ['weir_upstream_connections', { state: 'busy' }],
];

/** The slots that Redis counts as taken, of all subscriptions. */
async function slotsTaken(redis) {
    const view = await redis.view();
    const slots = await view.hGetAll('weir:{main}:slots');
    const counts = Object.values(slots).map((line) =>
        Number(/\bactive=(\d+)/.exec(line)?.[1] ?? 0),
    );
    return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Waits until nothing of what has happened is left: no slot, no lease, no request or body in the
 * node, and no more files open than `files`, which filesOf() said before.
 */
export async function nothingRemains({ node, redis, files }, options) {
    const seen = {};
    await eventually(
        'nothing to remain',
        async () => {
            seen.slots = await slotsTaken(redis);
            seen.leases = (await redis.leases()).length;
            const metrics = await node.metrics();
            for (const [name, labels] of GAUGES) seen[name] = metrics.value(name, labels);
            seen.files = Math.max(0, (await filesOf(node)) - files);
            if (Object.values(seen).some((value) => value !== 0)) {
                throw new Error(JSON.stringify(seen));
            }
            return true;
        },
        options,
    );
}

// An allocator's memory goes up and down by some; what leaks goes up with every round.
const ROUNDS_MIN = 3;
const ROUNDS_MAX = 8;
const SETTLED_KIB = 512;

/** Freed memory is not kept from reuse for long, or a sanitizer's node grows without a leak. */
export const FRUGAL = { ASAN_OPTIONS: 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64' };

/**
 * Each case of a table as a test of its own, with `after()` behind it; then all of them twice more
 * and until the node's memory stays as it is.
 */
export async function inRounds(t, node, names, run, after) {
    for (const name of names) {
        await t.test(name, async () => {
            await run(name);
            await after();
        });
    }
    await t.test('and again and again: memory does not grow', async () => {
        const kib = [await node.memory()];
        const isSettled = () => kib.length >= ROUNDS_MIN && kib.at(-1) - kib.at(-2) <= SETTLED_KIB;
        while (!isSettled() && kib.length < ROUNDS_MAX) {
            for (const name of names) await run(name);
            await after();
            kib.push(await node.memory());
        }
        const told = `memory by rounds, in KiB: ${kib.join(' ')}`;
        t.diagnostic(told);
        if (!isSettled()) throw new Error(told);
    });
}
