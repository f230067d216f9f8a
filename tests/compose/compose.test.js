// docker-compose.yml run for real: three nodes behind HAProxy share their slots, follow scaling,
// and lose none of them when a container dies.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { open } from '../e2e/harness/http.js';
import { eventually } from '../e2e/harness/wait.js';
import { Load } from './load.js';
import { Stack } from './stack.js';

const CAP = 4; // of each subscription in config/config.json
const SLOTS = 3 * CAP;
const MANY = 22; // nodes

// How the provider answers: streams of a tenth of a second, and of ten seconds.
const SHORT = { events: 5, event_delay_ms: 20 };
const LONG = { events: 200, event_delay_ms: 50 };

describe('docker-compose', () => {
    const stack = new Stack();

    before(() => stack.up(3), { timeout: 500000 });
    after(() => stack.down(), { timeout: 150000 });

    async function assertCapWasKept() {
        const credentials = Object.entries(await stack.credentials());
        assert.equal(credentials.length, SLOTS / CAP);
        for (const [name, { high_water: most }] of credentials) {
            assert.ok(most <= CAP, `${name} had ${most} requests at once`);
        }
    }

    /** All slots can be taken at once, so none is lost. */
    async function assertAllSlotsAreFree() {
        const streams = [];
        try {
            for (let i = 0; i < SLOTS; i++) {
                streams.push(await open(stack.port, { script: LONG }));
            }
            assert.deepEqual(streams.map(({ answer }) => answer.status), Array(SLOTS).fill(200));
            assert.equal(await stack.leases(), SLOTS);
        } finally {
            for (const { wire } of streams) wire.leave();
        }
        await eventually('the leases to be given back', async () => (await stack.leases()) === 0);
    }

    test('three nodes share the slots: the provider never sees more than the cap', async () => {
        const load = new Load(stack.port, { clients: 2 * SLOTS, script: SHORT });
        try {
            await load.answered(300);
        } finally {
            await load.end();
        }
        assert.deepEqual(load.faults, []);
        await assertCapWasKept();
        await assertAllSlotsAreFree();
    });

    test('redis-cli shows the pool', async () => {
        const lines = await stack.redis('FCALL_RO', 'weir_status', '1', 'weir:{main}');
        for (const name of ['alpha', 'beta', 'gamma']) {
            assert.ok(lines.some((line) => line.includes(name)), lines.join('\n'));
        }
    });

    test('scaling up and down: HAProxy follows, and no client sees an error', async () => {
        const load = new Load(stack.port, { clients: 8, script: SHORT });
        try {
            await stack.scale(MANY);
            await stack.serving(MANY, { while_ms: 6000 });
            await load.answered(50);
            await stack.scale(2);
            await stack.serving(2);
            await load.answered(50);
        } finally {
            await load.end();
        }
        assert.deepEqual(load.faults, []);
        await assertCapWasKept();
        await assertAllSlotsAreFree();
    });

    test('HAProxy reads its configuration again, and no client sees an error', async () => {
        const haproxy = await stack.compose(['ps', '-q', 'haproxy']);
        const load = new Load(stack.port, { clients: 8, script: { events: 1 } });
        try {
            for (let i = 0; i < 8; i++) {
                await load.answered(100);
                await stack.docker('kill', '--signal', 'HUP', haproxy);
            }
            await load.answered(50);
        } finally {
            await load.end();
        }
        assert.deepEqual(load.faults, []);
    });

    test('a node killed under load: only its own clients notice, its slots return', async () => {
        await stack.scale(3);
        await stack.serving(3);
        const [victim] = await stack.nodes();
        const clients = 8;
        const load = new Load(stack.port, { clients, script: { events: 20, event_delay_ms: 20 } });
        try {
            await load.answered(20);
            await stack.docker('kill', '--signal', 'KILL', victim);
            await load.answered(100);
        } finally {
            await load.end();
        }
        // Each client has one request at a time, so a request that ran on the dead node is all that
        // one death can cost it.
        assert.ok(load.faults.length < clients, load.faults.join('\n'));
        const struck = new Set(load.faults.map((fault) => fault.split(':')[0]));
        assert.equal(struck.size, load.faults.length);
        const left = async () => (await stack.leases()) === 0;
        await eventually('the slots of the dead node', left, { ms: 20000, every: 250 });
        await assertCapWasKept();
        await assertAllSlotsAreFree();
    });

    test('down -v leaves nothing behind', async () => {
        await stack.down();
        assert.deepEqual(await stack.remains(), []);
    });
});
