// What providers say of their quotas decides who is asked next, on every node, and how far a
// subscription may be used at all.
import assert from 'node:assert/strict';
import { call, eventually, post, test, weir } from './harness/index.js';

const SHOWN = { server: { expose_subscription: true } };
const HOUR = 3600;
const DAY = 24 * HOUR;

/** An answer's headers that tell of windows: { '5h': [used, seconds to its reset] }. */
function telling(windows) {
    const headers = {};
    for (const [name, [used, seconds]] of Object.entries(windows)) {
        const prefix = `anthropic-ratelimit-unified-${name}`;
        headers[`${prefix}-status`] = 'allowed';
        headers[`${prefix}-utilization`] = `${used}`;
        headers[`${prefix}-reset`] = `${Math.floor(Date.now() / 1000) + seconds}`;
    }
    return { headers };
}

/** Two nodes on one Redis; `more` of each subscription. */
async function pair(world, more, strategy = 'headroom') {
    const provider = await world.provider();
    const redis = await world.redis();
    const subscriptions = world
        .subscriptions(provider, more.length, { max_concurrent: 10 })
        .map((one, i) => ({ ...one, ...more[i] }));
    const config = { subscriptions, redis: { url: redis.url }, routing: { strategy }, ...SHOWN };
    const nodes = [await world.node({ config }), await world.node({ config })];
    return { provider, redis, nodes };
}

const servedBy = async (node, options) =>
    (await post(node.port, options)).header('x-weir-subscription');

/** What an answer told is booked when its request is settled, a moment behind its last byte. */
const heard = (redis, window, used) =>
    eventually(`${window} to be ${used}`, async () =>
        (await redis.cli('HVALS', 'weir:{main}:windows')).includes(`used=${used} `),
    );

test('what one node hears of a quota, all nodes choose by: drain-soonest', async (world) => {
    const { provider, redis, nodes } = await pair(world, [{ priority: 3 }, {}], 'drain-soonest');
    const [first, second] = nodes;
    await provider.fault('beta', telling({ '5h': [0.1, HOUR], '7d': [0.5, 3 * DAY] }));
    await provider.fault('alpha', telling({ '5h': [0.1, HOUR], '7d': [0.9, 2 * DAY] }));
    assert.equal(await servedBy(first), 'beta', 'nothing is known: the lower priority number');
    await heard(redis, '7d', 5000);
    assert.equal(await servedBy(second), 'beta', 'whose week is known');
    await provider.fault('beta', { status: 500 });
    assert.equal(await servedBy(second), 'alpha', 'and so the node hears that its week ends first');
    await heard(redis, '7d', 9000);
    assert.equal(await servedBy(first), 'alpha');
});

test('headroom: a subscription whose week is used up too fast is asked less', async (world) => {
    const { provider, redis, nodes } = await pair(world, [{ max_concurrent: 12 }, {}]);
    assert.equal(await servedBy(nodes[0]), 'alpha', 'most free slots');
    await provider.fault('alpha', telling({ '7d': [0.6, 6 * DAY] }));
    assert.equal(await servedBy(nodes[0]), 'alpha');
    await heard(redis, '7d', 6000);
    assert.equal(await servedBy(nodes[1]), 'beta');
});

test('at a hard ceiling a subscription takes nothing, and callers hear which and until when', async (world) => {
    const limits = { '5h': { soft: 0.5, hard: 0.8 } };
    const { provider, redis, nodes } = await pair(world, [{ limits }]);
    const [first, second] = nodes;
    await provider.fault('alpha', telling({ '5h': [0.79, 2 * HOUR] }));
    await provider.fault('alpha', telling({ '5h': [0.8, 2 * HOUR] }));
    assert.equal((await post(first.port)).status, 200);
    assert.equal((await post(first.port)).status, 200);
    await heard(redis, '5h', 8000);
    const refused = await post(second.port);
    assert.equal(refused.status, 429);
    assert.match(
        refused.json.error.message,
        /the only subscription is at the ceiling that was set for it \(5h, until \d\d:\d\d UTC\); next free/,
    );
    const seconds = Number(refused.header('retry-after'));
    assert.ok(Math.abs(seconds - 2 * HOUR) < 120, `retry-after ${seconds}`);
    assert.equal((await provider.log()).length, 2);

    const { subscriptions } = await first.status();
    assert.equal(subscriptions[0].windows['5h'].utilization, 0.8);
    assert.ok(Date.parse(subscriptions[0].windows['5h'].resets_at) > Date.now() + HOUR * 1000);
    assert.equal(subscriptions[0].limits, '5h:5000:8000');
    assert.equal(subscriptions[0].available, 0);
    const shown = await weir(['status', '--url', `http://127.0.0.1:${second.port}`]);
    assert.match(shown.out, /QUOTA USED/);
    assert.match(shown.out, /alpha.* 5h 80% .*5h at its ceiling/);
    const metrics = await call(second.port, 'GET', '/metrics');
    assert.match(
        metrics.text,
        /^weir_subscription_window_used_ratio\{subscription="alpha",window="5h"\} 0\.8000$/m,
    );
});

test('a configuration that raises the ceiling opens it on every node', async (world) => {
    const { provider, redis, nodes } = await pair(world, [{ limits: { '5h': { hard: 0.5 } } }]);
    const [first, second] = nodes;
    await provider.fault('alpha', telling({ '5h': [0.6, HOUR] }));
    assert.equal((await post(first.port)).status, 200);
    await heard(redis, '5h', 6000);
    assert.equal((await post(second.port)).status, 429);
    const config = structuredClone(first.config);
    config.subscriptions[0].limits = { '5h': { hard: 0.9 } };
    await first.reload(config);
    assert.equal((await post(second.port)).status, 200);
});

test('a stream that ends late does not take back what was heard after it began', async (world) => {
    const { provider, nodes } = await pair(world, [{}]);
    const [node] = nodes;
    await provider.fault('alpha', { hold: true, ...telling({ '5h': [0.9, HOUR] }) });
    const running = post(node.port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    await provider.fault('alpha', telling({ '5h': [0.1, HOUR] }));
    assert.equal((await post(node.port)).status, 200);
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    const { subscriptions } = await node.status();
    assert.equal(subscriptions[0].windows['5h'].utilization, 0.1);
});
