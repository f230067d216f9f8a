// When all slots are taken requests stand in one line for all nodes, and whose turn it is gets the
// slot that frees.
import assert from 'node:assert/strict';
import { call, eventually, messagesRequest, connect, post, quiet, test } from './harness/index.js';

const SHOWN = { server: { expose_subscription: true } };

/** So many nodes on one Redis with one subscription of `max` slots. */
async function pool(world, count, { max = 1, queue = {}, subscriptions = 1 } = {}) {
    const provider = await world.provider();
    const redis = await world.redis();
    const config = {
        subscriptions: world.subscriptions(provider, subscriptions, { max_concurrent: max }),
        redis: { url: redis.url },
        queue: { max_wait_ms: 20000, ...queue },
        rate_limit: { burst_limit: 100000 },
        ...SHOWN,
    };
    const nodes = [];
    for (let i = 0; i < count; i += 1) {
        nodes.push(await world.node({ config: { ...config, node: { id: `n${i}` } } }));
    }
    const waiting = (n) =>
        eventually(`${n} to wait`, async () => Number(await redis.cli('HLEN', 'weir:{main}:queue')) === n);
    return { provider, redis, nodes, waiting };
}

const hold = (provider, times = 1) => provider.fault('alpha', { hold: true, times });

test('a request on one node gets the slot that a request on another one gives back', async (world) => {
    const { provider, nodes, waiting } = await pool(world, 2);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const second = post(nodes[1].port);
    await waiting(1);
    assert.equal((await provider.stats()).total.requests, 1);
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    assert.equal((await second).status, 200);
    assert.equal((await provider.credential('alpha')).high_water, 1);
    await quiet({ node: nodes[1], provider });
});

test('fifty requests to three nodes are all served by one slot, never two at once', async (world) => {
    const { provider, nodes } = await pool(world, 3);
    const answers = await Promise.all(
        Array.from({ length: 51 }, (_, i) => post(nodes[i % 3].port)),
    );
    for (const answer of answers) assert.equal(answer.status, 200, answer.text);
    assert.equal((await provider.credential('alpha')).high_water, 1);
});

test('who has waited long enough hears why, with when to come again', async (world) => {
    const { provider, nodes } = await pool(world, 1, { queue: { max_wait_ms: 200 } });
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const refused = await post(nodes[0].port);
    assert.equal(refused.status, 529);
    assert.match(refused.json.error.message, /the only subscription is busy/);
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    const metrics = await nodes[0].metrics();
    assert.equal(metrics.value('weir_queue_timeouts_total'), 1);
    assert.equal(metrics.value('weir_queue_waiting'), 0);
});

test('who says for how long he waits for an answer is told a second before that', async (world) => {
    const { provider, nodes } = await pool(world, 1);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const refused = await post(nodes[0].port, { headers: { 'x-stainless-timeout': '2' } });
    assert.equal(refused.status, 529);
    const line = await nodes[0].finished(refused);
    assert.ok(line.queued_ms >= 950, `${line.queued_ms} ms`);
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
});

test('a caller who leaves the line is never given a slot', async (world) => {
    const { provider, redis, nodes, waiting } = await pool(world, 1);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const wire = await connect(nodes[0].port);
    await wire.send(messagesRequest());
    await waiting(1);
    wire.leave();
    await waiting(0);
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    assert.equal((await provider.stats()).total.requests, 1);
    assert.equal(await redis.cli('EXISTS', 'weir:{main}:untaken'), '0');
});

test('a node that is killed with waiters keeps nobody else up', async (world) => {
    const { provider, nodes, waiting } = await pool(world, 2);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const lost = post(nodes[1].port);
    lost.catch(() => {});
    await waiting(1);
    await nodes[1].kill9();
    const next = post(nodes[0].port);
    await waiting(2);
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    assert.equal((await next).status, 200);
});

test('while 100 wait Redis is asked for nothing but renewals and beats', async (world) => {
    const { provider, redis, nodes, waiting } = await pool(world, 1);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const others = Array.from({ length: 100 }, () => post(nodes[0].port));
    await waiting(100);
    const calls = async () => {
        const info = await redis.cli('INFO', 'commandstats');
        return Number(info.match(/cmdstat_fcall:calls=(\d+)/)[1]);
    };
    const before = await calls();
    const beats = async () => Number(await redis.cli('HGET', 'weir:{main}:sweeps', 'last_ms'));
    const since = await beats();
    await eventually('three sweeps', async () => (await beats()) > since + 2500);
    const asked = (await calls()) - before;
    assert.ok(asked < 12, `${asked} calls`);
    await provider.step('alpha', -1);
    await running;
    for (const answer of await Promise.all(others)) assert.equal(answer.status, 200, answer.text);
});

test('who waits when Redis restarts is served all the same', async (world) => {
    const { provider, redis, nodes, waiting } = await pool(world, 1);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const second = post(nodes[0].port);
    await waiting(1);
    await redis.stop();
    await redis.start();
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    assert.equal((await second).status, 200);
});

test('a node that leaves lets those that wait be served first', async (world) => {
    const { provider, nodes, waiting } = await pool(world, 1);
    await hold(provider);
    const running = post(nodes[0].port, { stream: true });
    await provider.activeReaches(1, { name: 'alpha' });
    const second = post(nodes[0].port);
    await waiting(1);
    const stopped = nodes[0].stop();
    await provider.step('alpha', -1);
    assert.equal((await running).status, 200);
    assert.equal((await second).status, 200);
    await stopped;
});

test('where all have just failed, what was tried is not waited for', async (world) => {
    const { provider, nodes } = await pool(world, 1, { subscriptions: 2 });
    for (const name of ['alpha', 'beta']) await provider.fault(name, { status: 500, times: 9 });
    const answer = await post(nodes[0].port);
    assert.equal(answer.status, 500);
    assert.equal((await call(nodes[0].port, 'GET', '/health')).status, 200);
});
