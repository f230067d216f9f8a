// Keys of the environment are known by themselves: whatever stands under one stays with it, wherever
// it moves in its list.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { call, key, post, test, weir } from './harness/index.js';

const hash = (name) => createHash('sha256').update(key(name)).digest('hex').slice(0, 8);
const nameOf = (name) => `key-${hash(name)}`;
const faceOf = (name) => `sk-ant-...cdef #${hash(name)}`;

/** A node whose keys stand in `.env`; `keys(...)` writes them, before a start. */
async function nodeWithKeys(world) {
    const provider = await world.provider();
    const redis = await world.redis();
    const node = world.nodeToCome({
        config: { redis: { url: redis.url }, server: { expose_subscription: true } },
        env: { SERVICE_ENDPOINTS: JSON.stringify({ anthropic: [provider.url] }) },
    });
    await mkdir(node.dir, { recursive: true });
    const keys = async (...names) => {
        const line = `ANTHROPIC_API_KEYS=${names.map(key).join(',')}\n`;
        await writeFile(join(node.dir, '.env'), line, { mode: 0o600 });
        for (const name of names) node.secrets.add(key(name));
    };
    return { provider, redis, node, keys };
}

/** /status by the name of a subscription. */
async function statusOf(node) {
    const { json } = await call(node.port, 'GET', '/status');
    return Object.fromEntries(json.subscriptions.map((s) => [s.name, s]));
}

test('removing the first key hands its cooldown, health and books to nobody', async (world) => {
    const { provider, redis, node, keys } = await nodeWithKeys(world);
    await keys('alpha', 'beta');
    await node.start();
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '3000' } });
    while (!(await provider.asked()).alpha) assert.equal((await post(node.port)).status, 200);
    assert.equal((await post(node.port)).header('x-weir-subscription'), nameOf('beta'));
    const { beta: asked } = await provider.asked();
    await redis.bookedReaches(`sub:${nameOf('beta')}`, { requests: asked, errors: 0 });
    const first = await redis.bookedReaches(`sub:${nameOf('alpha')}`, { requests: 1, errors: 1 });
    const before = await statusOf(node);
    assert.equal(before[nameOf('alpha')].in_cooldown, true);
    assert.equal(before[nameOf('beta')].in_cooldown, false);
    assert.equal(before[nameOf('alpha')].key, faceOf('alpha'));
    const shown = await weir(['status', '--url', `http://127.0.0.1:${node.port}`], { dir: node.dir });
    assert.ok(shown.out.includes(faceOf('beta')), shown.out);
    assert.ok(!shown.out.includes(key('beta')));
    await node.stop();

    await keys('beta');
    await node.start();
    const after = await statusOf(node);
    const kept = after[nameOf('beta')];
    assert.deepEqual([kept.in_cooldown, kept.health, kept.state], [false, '', 'on']);
    assert.deepEqual([kept.total_requests, kept.total_errors], [asked, 0]);
    assert.ok(!(nameOf('alpha') in after) || after[nameOf('alpha')].state === 'leaving');
    assert.equal((await post(node.port)).header('x-weir-subscription'), nameOf('beta'));
    await redis.bookedReaches(`sub:${nameOf('beta')}`, { requests: asked + 1, errors: 0 });
    assert.deepEqual(await redis.booked(`sub:${nameOf('alpha')}`), first);
    await node.stop();

    await keys('beta', 'alpha');
    await node.start();
    const back = await statusOf(node);
    assert.equal(back[nameOf('alpha')].in_cooldown, true, 'its own is where it was');
    assert.equal(back[nameOf('alpha')].total_errors, 1);
    assert.equal(back[nameOf('beta')].total_requests, asked + 1);
});

test('a key that is there twice is one subscription, in the log too', async (world) => {
    const { node, keys } = await nodeWithKeys(world);
    await keys('alpha', 'beta', 'alpha');
    await node.start();
    assert.deepEqual(Object.keys(await statusOf(node)).sort(), ['alpha', 'beta'].map(nameOf).sort());
    const said = node.lines.find((line) => line.includes('is there more than once'));
    assert.ok(said?.includes(faceOf('alpha')), said);
});
