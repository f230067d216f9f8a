// Three nodes, one Redis: the cap holds whatever happens, a dead node's slots come back, and nobody
// else notices.
import assert from 'node:assert/strict';
import {
    connect,
    EventReader,
    eventually,
    key,
    Load,
    messagesRequest,
    ownError,
    pause,
    post,
    test,
} from './harness/index.js';

const LEASE_MS = 13500;
const BACK_MS = 15000; // the promise: a lease, and the second to the next sweep

/** Nodes n1, n2, ... that share a provider and a Redis. */
async function cluster(
    world,
    { nodes: count = 3, subscriptions = 2, max = 3, keep = false, config = {} } = {},
) {
    const provider = await world.provider();
    const redis = await world.redis({ keep });
    const full = {
        subscriptions: world.subscriptions(provider, subscriptions, { max_concurrent: max }),
        redis: { url: redis.url },
        logging: { level: 'info' },
        ...config,
    };
    const nodes = await Promise.all(
        Array.from({ length: count }, (_, i) => {
            return world.node({ id: `n${i + 1}`, config: full });
        }),
    );
    return { provider, redis, nodes, config: full };
}

/** `count` streams that stand still after their first events. */
async function heldStreams(node, count) {
    const streams = await Promise.all(
        Array.from({ length: count }, async () => {
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: true, script: { stall_after_events: 4 } }));
            const events = new EventReader(await wire.head());
            for (let i = 0; i < 4; i++) await events.next();
            return { wire, events };
        }),
    );
    return streams;
}

async function highWater(provider, names) {
    const marks = {};
    for (const name of names) marks[name] = (await provider.credential(name)).high_water;
    return marks;
}

/** How many slots a node holds, by what Redis says: a lease's id begins with its node. */
async function leasesOf(redis, id) {
    const leases = await redis.leases();
    return leases.filter((lease) => lease.startsWith(`${id}.`)).length;
}

const settled = (nodes) => Promise.all(nodes.map((node) => node.activeReaches(0)));

test(
    'three nodes under load never exceed a cap, and use all of it',
    { ms: 60000 },
    async (world, t) => {
        const { provider, redis, nodes } = await cluster(world);
        const load = new Load(nodes, 24);
        await eventually('enough requests', () => load.served > 600, { ms: 30000, every: 50 });
        await load.stop();
        assert.deepEqual(load.faults, []);
        assert.deepEqual(
            Object.keys(load.statuses).filter((s) => !['200', '529'].includes(s)),
            [],
        );
        t.diagnostic(JSON.stringify(load.statuses));
        assert.deepEqual(await highWater(provider, ['alpha', 'beta']), { alpha: 3, beta: 3 });
        await settled(nodes);
        const [alpha, beta] = [await redis.booked('sub:alpha'), await redis.booked('sub:beta')];
        assert.equal(alpha.requests + beta.requests, load.served, 'each booked once');
        for (const node of nodes) {
            assert.ok(node.events('exchange finished', (l) => l.status === 200).length > 0);
        }
    },
);

test(
    'clients that leave in the middle do not lead over the cap either',
    { ms: 60000 },
    async (world) => {
        const { provider, nodes } = await cluster(world, { subscriptions: 1, max: 4 });
        let isOver = false;
        const leaver = async (node, number) => {
            for (let i = 0; !isOver; i++) {
                const wire = await connect(node.port);
                await wire.send(
                    messagesRequest({ stream: true, script: { event_delay_ms: 5, events: 20 } }),
                );
                await pause((number * 7 + i * 3) % 40);
                wire.leave();
            }
        };
        const leavers = nodes.flatMap((node) => [1, 2].map((n) => leaver(node, n)));
        const load = new Load(nodes, 6);
        await eventually('enough requests', () => load.served > 150, { ms: 30000, every: 50 });
        isOver = true;
        await Promise.all(leavers);
        await load.stop();
        assert.deepEqual(load.faults, []);
        const { high_water: mark } = await provider.credential('alpha');
        assert.ok(mark <= 4, `${mark} at once`);
        await settled(nodes);
        await provider.activeReaches(0);
    },
);

test('a cooldown that one node saw holds for all', async (world) => {
    const { provider, nodes } = await cluster(world, {
        config: { server: { expose_subscription: true } },
    });
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '60' } });
    await post(nodes[0].port);
    for (const node of nodes) {
        for (let i = 0; i < 3; i++) {
            assert.equal((await post(node.port)).header('x-weir-subscription'), 'beta');
        }
        const { subscriptions } = await node.status();
        assert.equal(subscriptions.find((s) => s.name === 'alpha').in_cooldown, true);
    }
    assert.equal((await provider.asked()).alpha, 1);
});

test('every node shows the whole pool', async (world) => {
    const { nodes } = await cluster(world);
    const streams = await heldStreams(nodes[0], 2);
    for (const node of nodes) {
        await node.activeReaches(2);
        await eventually('all nodes to be known', async () => {
            const ids = (await node.status()).nodes.map((n) => n.id ?? n.node).sort();
            return ids.join() === 'n1,n2,n3';
        });
    }
    for (const { wire } of streams) wire.leave();
    await settled(nodes);
});

test(
    'kill -9 of one of three under load: its slots are back in time, nobody else sees an error',
    { ms: 90000 },
    async (world, t) => {
        // Slots enough that those the dead node leaves taken are not missed.
        const { provider, redis, nodes } = await cluster(world, { subscriptions: 3, max: 10 });
        const [victim, ...others] = nodes;
        await heldStreams(victim, 5);
        const dying = new Load([victim], 3);
        const living = new Load(others, 8);
        await eventually('some requests', () => living.served > 50 && dying.served > 10, {
            every: 20,
        });
        const killed = performance.now();
        await victim.kill9();
        await dying.stop();
        assert.ok((await leasesOf(redis, 'n1')) >= 5, 'the dead node left its slots taken');
        await eventually(
            'the slots of the dead node',
            async () => (await leasesOf(redis, 'n1')) === 0,
            { ms: LEASE_MS + 5000, every: 100 },
        );
        const took = performance.now() - killed;
        t.diagnostic(`slots were back after ${Math.round(took)} ms`);
        await living.stop();
        assert.deepEqual(living.faults, []);
        assert.deepEqual(Object.keys(living.statuses), ['200']);
        assert.ok(took < BACK_MS, `${took} ms`);
        await settled(others);
        for (const mark of Object.values(await highWater(provider, ['alpha', 'beta', 'gamma']))) {
            assert.ok(mark <= 10, `${mark} at once`);
        }
    },
);

test('after kill -9 and a new start the former leases return in time, and no others', async (world) => {
    const { provider, nodes } = await cluster(world, { nodes: 2, subscriptions: 1, max: 4 });
    await heldStreams(nodes[0], 2);
    const kept = await heldStreams(nodes[1], 2);
    await nodes[0].kill9();
    await nodes[1].activeReaches(4);
    await nodes[0].start();
    assert.equal((await nodes[1].status()).total_active, 4, 'a lease time may not be cut short');
    await eventually(
        'what the former life held to be given back',
        async () => (await nodes[1].status()).total_active === 2,
        { ms: LEASE_MS + 5000, every: 100 },
    );
    assert.equal((await post(nodes[0].port)).status, 200);
    assert.equal((await nodes[0].status()).leases, 2);
    for (const { wire } of kept) wire.leave();
    await settled(nodes);
    await provider.activeReaches(0);
});

test(
    'a node that stood still for 20 s lost its slots, and does not exceed the cap',
    { ms: 90000 },
    async (world) => {
        const { provider, redis, nodes } = await cluster(world, {
            nodes: 2,
            subscriptions: 1,
            max: 2,
        });
        const [still, other] = nodes;
        const wires = await Promise.all(
            [1, 2].map(async () => {
                const wire = await connect(still.port);
                await wire.send(
                    messagesRequest({ stream: true, script: { events: 2000, event_delay_ms: 50 } }),
                );
                await wire.head();
                return wire;
            }),
        );
        still.suspend();
        const stopped = performance.now();
        ownError(await post(other.port), 529, 'overloaded_error');
        await eventually(
            'its slots to be given away',
            async () => (await other.status()).leases === 0,
            {
                ms: LEASE_MS + 5000,
                every: 250,
            },
        );
        const taken = await heldStreams(other, 2);
        while (performance.now() - stopped < 20000) await pause(100); // the case is that it lasts
        still.resume();
        await provider.activeReaches(2);
        const ends = await Promise.all(wires.map((wire) => wire.readAll()));
        for (const { bytes } of ends) {
            const text = bytes.toString('latin1');
            assert.doesNotMatch(text, /message_stop/);
            assert.doesNotMatch(text, /\r\n0\r\n\r\n$/, 'it must not look whole');
        }
        assert.equal((await other.status()).total_active, 2);
        ownError(await post(still.port), 529, 'overloaded_error');
        for (const { wire } of taken) wire.leave();
        await settled(nodes);
        assert.equal((await post(still.port)).status, 200, 'it serves again');
        await redis.bookedReaches('sub:alpha', { requests: 5 });
    },
);

test(
    'a node that stood still for less than its lease goes on as if nothing was',
    { ms: 60000 },
    async (world) => {
        const { provider, nodes } = await cluster(world, { nodes: 2, subscriptions: 1, max: 1 });
        const wire = await connect(nodes[0].port);
        await wire.send(
            messagesRequest({ stream: true, script: { events: 60, event_delay_ms: 100 } }),
        );
        const events = new EventReader(await wire.head());
        await events.next();
        nodes[0].suspend();
        await pause(4000); // the case is that it lasts
        nodes[0].resume();
        assert.equal((await events.all({ ms: 20000 })).at(-1).event, 'message_stop');
        assert.equal((await provider.credential('alpha')).high_water, 1);
    },
);

test('two living nodes with one node.id hurt nobody, and are told apart', async (world) => {
    const { provider, nodes, config } = await cluster(world, { nodes: 1, subscriptions: 1, max: 1 });
    const [{ wire }] = await heldStreams(nodes[0], 1);
    const second = await world.node({ id: 'n1', config });
    const isAbout = (line) => line.level === 'warn' && /this one is n1~2/.test(line.event);
    await second.log.find('a warning about its name', isAbout, { ms: 10000 });
    const ids = (await second.status()).nodes.map((n) => n.id).sort();
    assert.deepEqual(ids, ['n1', 'n1~2']);
    ownError(await post(second.port), 529, 'overloaded_error');
    assert.equal((await provider.credential('alpha')).high_water, 1, 'the slot is still held');
    assert.equal((await provider.credential('alpha')).active, 1, 'no stream is cut');
    wire.leave();
    await settled([nodes[0], second]);
});

const isWaiting = (line) => line.level === 'warn' && /waits until it has gone/.test(line.event);

/** A node that wants the name and the port of another, and waits for both. It is not there yet. */
async function successor(world, first, config) {
    const wish = structuredClone(config);
    wish.node = { id: first.id, taken_name: 'wait' };
    wish.server = { port: first.port };
    const node = world.nodeToCome({ id: first.id, config: wish });
    const started = node.start({ ms: 60000 });
    started.catch(() => {}); // awaited late, or never
    await eventually('its log', () => node.log !== undefined);
    await node.log.find('that it waits', isWaiting, { ms: 20000 });
    return { node, started };
}

test('node.taken_name wait: the second waits until the first has gone, and takes name and port', async (world) => {
    const { provider, redis, nodes, config } = await cluster(world, { nodes: 1, subscriptions: 1 });
    const [first] = nodes;
    const [{ wire }] = await heldStreams(first, 1);
    const { node, started } = await successor(world, first, config);
    const beats = await redis.monitor();
    await eventually('it to ask again and again', () => beats.calls('join') >= 5);
    assert.equal((await post(first.port)).status, 200, 'the first serves as before');
    assert.equal((await first.status()).nodes.length, 1, 'the second is not there');
    assert.equal((await provider.credential('alpha')).active, 1);
    node.child.signal('SIGHUP');
    const refused = (line) => /^reload refused.*does not serve yet/.test(line.event);
    await node.log.find('that it cannot reload yet', refused);
    assert.deepEqual(node.events('listening'), []);
    wire.leave();
    await first.stop();
    await started;
    assert.equal(node.port, first.port);
    assert.equal(node.log.items.filter(isWaiting).length, 1, 'said once');
    assert.deepEqual(
        (await node.status()).nodes.map((n) => n.id),
        ['n1'],
    );
    assert.equal((await post(node.port)).status, 200);
});

test('node.taken_name wait: one that was killed is waited for until it is silent, with nobody else there', async (world) => {
    const { nodes, config } = await cluster(world, { nodes: 1, subscriptions: 1 });
    const { node, started } = await successor(world, nodes[0], config);
    await pause(5000); // the case is that it has been heard of while the second waited
    await nodes[0].kill9();
    await started;
    assert.equal((await post(node.port)).status, 200);
    assert.ok((await node.status()).nodes.every((n) => n.id === 'n1'));
});

test('node.taken_name wait: a Redis that was away for all makes nobody seem gone', async (world) => {
    const { redis, nodes, config } = await cluster(world, {
        nodes: 1,
        subscriptions: 1,
        keep: true,
    });
    const { node, started } = await successor(world, nodes[0], config);
    await redis.kill();
    await node.event('redis is away');
    await pause(7000); // the case is that it lasts longer than any node waits otherwise
    assert.deepEqual(node.events('listening'), []);
    await redis.start();
    await nodes[0].event('redis is back');
    const serves = async () => (await post(nodes[0].port)).status === 200;
    await eventually('the first to serve again', serves, { ms: 30000 });
    const seen = await redis.monitor();
    await eventually('the second to ask again', () => seen.calls('join') >= 3);
    assert.deepEqual(node.events('listening'), [], 'it still waits');
    await nodes[0].stop();
    await started;
    assert.equal((await post(node.port)).status, 200);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`node.taken_name wait: ${signal} ends the waiting`, async (world) => {
        const { nodes, config } = await cluster(world, { nodes: 1, subscriptions: 1 });
        const { node } = await successor(world, nodes[0], config);
        node.child.signal(signal);
        assert.equal((await node.child.wait()).code, 0);
        assert.deepEqual(node.events('listening'), []);
        assert.equal((await post(nodes[0].port)).status, 200);
    });
}

test('node.taken_name wait: a name that is free is taken at once', async (world) => {
    const provider = await world.provider();
    const redis = await world.redis();
    const node = await world.node({
        id: 'n1',
        config: {
            subscriptions: world.subscriptions(provider, 1),
            redis: { url: redis.url },
            node: { id: 'n1', taken_name: 'wait' },
        },
    });
    assert.equal(node.log.items.filter(isWaiting).length, 0);
    assert.equal((await node.status()).node.id, 'n1');
});

test('a node that lacks what another declares is lent nothing of it, and shown so', async (world) => {
    const { provider, nodes, config } = await cluster(world, { nodes: 1, subscriptions: 1, max: 1 });
    const more = structuredClone(config);
    more.subscriptions.push({ ...config.subscriptions[0], name: 'beta', api_key: key('beta') });
    const second = await world.node({ id: 'n2', config: more });
    await eventually('the pool to say who lacks what', async () => {
        const seen = (await second.status()).nodes.map((n) => [n.id, n.lacks]).sort();
        return JSON.stringify(seen) === '[["n1","beta"],["n2",""]]';
    });
    const [{ wire }] = await heldStreams(nodes[0], 1);
    ownError(await post(nodes[0].port), 529, 'overloaded_error');
    assert.equal((await post(second.port)).status, 200, 'beta is lent to who knows it');
    assert.equal((await provider.asked()).alpha, 1);
    const isAbout = (line) => line.level === 'warn' && /this node is behind/.test(line.event);
    await nodes[0].log.find('a warning', isAbout, { ms: 10000 });
    wire.leave();
    await settled([nodes[0], second]);
});

test('nodes whose configurations differ are told so', async (world) => {
    const { nodes, config } = await cluster(world, { nodes: 1 });
    await world.node({ id: 'n2', config: { ...config, rate_limit: { burst_limit: 7 } } });
    const isAbout = (line) =>
        line.level === 'warn' && /config/i.test(line.event) && /differ/i.test(line.event);
    await nodes[0].log.find('a warning that configurations differ', isAbout, { ms: 10000 });
});

test('pools in one Redis do not share slots', async (world) => {
    const { provider, redis, nodes, config } = await cluster(world, {
        nodes: 1,
        subscriptions: 1,
        max: 1,
    });
    const other = await world.node({
        id: 'n2',
        config: {
            ...config,
            subscriptions: [{ ...config.subscriptions[0], api_key: key('second') }],
            redis: { url: redis.url, pool: 'second' },
        },
    });
    const [{ wire }] = await heldStreams(nodes[0], 1);
    assert.equal((await post(other.port)).status, 200);
    ownError(await post(nodes[0].port), 529, 'overloaded_error');
    wire.leave();
    await provider.activeReaches(0);
});
