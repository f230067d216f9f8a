// How one is chosen of several subscriptions: exactly, over all nodes together; set by a person or
// by configurations, at once on all nodes, and for good.
import assert from 'node:assert/strict';
import { call, connect, eventually, key, messagesRequest, post, test, weir } from './harness/index.js';
import { example } from './harness/readme.js';

const SHOWN = { server: { expose_subscription: true } };

const set = (node, body) =>
    call(node.port, 'POST', '/api/config/strategy', { body: JSON.stringify(body) });

/** So many nodes on one Redis, each with the same subscriptions. */
async function cluster(world, count, { routing, tiers = [1, 1, 1] }) {
    const provider = await world.provider();
    const redis = await world.redis();
    const subscriptions = world
        .subscriptions(provider, tiers.length, { max_concurrent: 50 })
        .map((one, i) => ({ ...one, tier: tiers[i] }));
    const config = { subscriptions, redis: { url: redis.url }, routing, ...SHOWN };
    const nodes = [];
    for (let i = 0; i < count; i++) nodes.push(await world.node({ config }));
    return { provider, redis, nodes, config };
}

/** So many requests to the nodes in turn, `width` at a time. */
async function ask(nodes, count, width = 10) {
    const served = [];
    let next = 0;
    const one = async () => {
        while (next < count) {
            const node = nodes[next++ % nodes.length];
            const answer = await post(node.port);
            assert.equal(answer.status, 200, answer.text);
            served.push(answer.header('x-weir-subscription'));
        }
    };
    await Promise.all(Array.from({ length: width }, one));
    return served;
}

test('round-robin: 600 requests to three nodes are 200 for each of three', async (world) => {
    const { provider, nodes } = await cluster(world, 3, {
        routing: { strategy: 'round-robin' },
    });
    await ask(nodes, 600);
    assert.deepEqual(await provider.asked(), { alpha: 200, beta: 200, gamma: 200 });
});

test('weighted-round-robin: exactly 1, 5 and 20 of each 26, from every node', async (world) => {
    const { provider, nodes } = await cluster(world, 3, {
        routing: { strategy: 'weighted-round-robin' },
        tiers: [1, 5, 20],
    });
    await ask(nodes, 10 * 26);
    assert.deepEqual(await provider.asked(), { alpha: 10, beta: 50, gamma: 200 });
    const inOrder = await ask(nodes, 26, 1);
    assert.equal(inOrder.filter((name) => name === 'beta').length, 5);
    assert.doesNotMatch(inOrder.join(' '), /beta beta/, 'in between each other');
});

/** A node with README's example of a config; only keys and provider are exchanged. */
async function readme(world, more = {}) {
    const provider = await world.provider();
    const redis = await world.redis();
    const config = example('README.md', 'in a `config.json`');
    for (const one of config.subscriptions) Object.assign(one, { api_key: key(one.name), base_url: provider.url });
    const node = await world.node({ config: { ...config, redis: { url: redis.url }, ...more } });
    const runs = async () => {
        const active = async (name) => (await provider.credential(name)).active;
        return [await active('team-a'), await active('team-b')];
    };
    let held = 0;
    /** One request after the other, none of which ends by itself. */
    const hold = async (count) => {
        for (let i = 0; i < count; i++) {
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
            await provider.activeReaches(++held);
        }
    };
    const end = async (name) => {
        held -= (await provider.credential(name)).active;
        await provider.step(name, -1);
        await eventually('its slots', async () => {
            const { subscriptions } = await node.status();
            return subscriptions.find((one) => one.name === name).active_connections === 0;
        });
    };
    return { node, hold, end, runs };
}

test(`README's example fills both by their free slots, as it says`, async (world) => {
    const { node, hold, end, runs } = await readme(world);
    await hold(5);
    assert.deepEqual(await runs(), [0, 5], 'the one with more free slots is asked first');
    await hold(1);
    assert.deepEqual(await runs(), [1, 5], 'of equals the one of lower priority');
    await hold(9);
    assert.deepEqual(await runs(), [5, 10]);
    assert.equal((await post(node.port)).status, 529);
    await end('team-a');
    await end('team-b');
});

test(`README's example with the strategy priority fills the first, and then the second`, async (world) => {
    const { node, hold, end, runs } = await readme(world, { routing: { strategy: 'priority' } });
    await hold(5);
    assert.deepEqual(await runs(), [5, 0]);
    await hold(7);
    assert.deepEqual(await runs(), [5, 7], 'of twelve at once');
    await end('team-a');
    await hold(2);
    assert.deepEqual(await runs(), [2, 7], 'and the first again as soon as it is free');
    await hold(6);
    assert.deepEqual(await runs(), [5, 10]);
    assert.equal((await post(node.port)).status, 529);
    await end('team-a');
    await end('team-b');
});

test('a strategy that a person sets holds on every node at once, and after restarts', async (world) => {
    const { nodes, config } = await cluster(world, 2, { routing: { strategy: 'priority' } });
    const [first, second] = nodes;
    assert.deepEqual(await ask(nodes, 4, 1), Array(4).fill('alpha'));
    const url = `http://127.0.0.1:${first.port}`;
    const run = await weir(['strategy', 'round-robin', '--url', url]);
    assert.match(run.out, /^round-robin; it was priority$/);
    assert.deepEqual(await ask([second], 3, 1), ['alpha', 'beta', 'gamma']);
    const asked = await weir(['strategy', '--url', `http://127.0.0.1:${second.port}`]);
    assert.match(asked.out, /^round-robin, said by the person$/);
    assert.equal((await second.status()).strategy, 'round-robin');

    // Neither a restart nor another configuration takes a person's word away.
    await first.stop();
    await first.start();
    await first.reload({ ...config, routing: { strategy: 'session' } });
    assert.equal((await first.get('/api/config/strategy')).json.strategy, 'round-robin');
    const back = await set(first, { strategy: 'configured' });
    assert.deepEqual(back.json, { strategy: 'session', was: 'round-robin' });
    assert.equal(new Set(await ask(nodes, 6, 1)).size, 1);
});

test('a strategy in a configuration that is read again holds on all nodes', async (world) => {
    const { nodes, config } = await cluster(world, 2, { routing: {} });
    await nodes[0].reload({ ...config, routing: { strategy: 'round-robin' } });
    await eventually('the other one to choose so', async () => {
        const { strategy, strategy_said_by } = await nodes[1].status();
        assert.equal(strategy_said_by, 'configuration');
        return strategy === 'round-robin';
    });
    assert.equal(new Set(await ask([nodes[1]], 3, 1)).size, 3);
});

test('LB_STRATEGY holds before the file; a name that is none is refused with those that are', async (world) => {
    const { provider, redis } = await world.setting();
    const node = await world.node({
        config: {
            subscriptions: world.subscriptions(provider, 2, {}),
            redis: { url: redis.url, prefix: 'other' },
            routing: { strategy: 'priority' },
        },
        env: { LB_STRATEGY: 'least-requests' },
    });
    assert.equal((await node.status()).strategy, 'least-requests');
    const names = (await node.get('/api/strategies')).json;
    assert.ok(names.includes('least-requests') && names.includes('headroom'));
    const wrong = await set(node, { strategy: 'fastest' });
    assert.equal(wrong.status, 400);
    for (const name of names) assert.ok(wrong.text.includes(name), wrong.text);
    const run = await weir(['strategy', 'fastest', '--url', `http://127.0.0.1:${node.port}`]);
    assert.equal(run.code, 1);
    assert.match(run.err, /round-robin/);
    assert.equal((await node.status()).strategy, 'least-requests');
});

test('without its Redis a node says that it cannot set it', async (world) => {
    const { redis, node } = await world.setting();
    await redis.stop();
    await node.event('redis is away');
    const answer = await set(node, { strategy: 'priority' });
    assert.equal(answer.status, 503);
});
