// HAProxy as deploy/ has it, where no node is ready: callers read the reason, in words of an API.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { call, eventually, freePort, open, post, test, weir } from './harness/index.js';

const haproxy = spawnSync('haproxy', ['-v']).status === 0;
const options = { skip: haproxy ? false : 'haproxy is not installed' };

async function clusterOf(world, count) {
    const [provider, redis] = [await world.provider(), await world.redis({ keep: true })];
    const nodes = [];
    for (let i = 1; i <= count; i++) {
        const server = { port: await freePort(), proxy_protocol: true, drain_seconds: 60 };
        const subscriptions = world.subscriptions(provider, 1, { max_concurrent: 10 });
        const config = { server, subscriptions, redis: { url: redis.url } };
        nodes.push(await world.node({ id: `n${i}`, config }));
    }
    const { port } = await world.balancer(nodes.map((node) => node.port));
    const says = (path, status) =>
        eventually(`${path}: ${status}`, async () => (await call(port, 'GET', path)).status === status);
    await says('/ready', 200);
    return { redis, nodes, port, says };
}

test('Redis is away: each caller reads from a node what it waits for', options, async (world) => {
    const { redis, port, says } = await clusterOf(world, 2);
    await redis.stop();
    await says('/ready', 503);
    for (let i = 0; i < 20; i++) {
        const answer = await post(port);
        assert.equal(answer.status, 503);
        assert.match(answer.json.error.message, /Redis/);
        assert.match(answer.json.request_id, /^weir_/, 'a node says so');
        assert.ok(Number(answer.header('retry-after')) > 0);
    }
    assert.equal((await call(port, 'GET', '/health')).json.redis, 'down');
    await redis.start();
    await eventually('both to serve again', async () => (await post(port)).status === 200);
});

test('all nodes leave, and are gone: what is said in turn', options, async (world) => {
    const { nodes, port, says } = await clusterOf(world, 2);
    const held = [];
    for (let i = 0; i < 4; i++) {
        held.push(await open(port, { script: { events: 400, event_delay_ms: 50 } }));
    }
    const drains = nodes.map((node) =>
        weir(['drain', '--url', `http://127.0.0.1:${node.port}`], { dir: node.dir, ms: 60000 }),
    );
    for (const node of nodes) {
        const isTold = async () => (await node.get('/ready')).json.status === 'draining';
        await eventually('the node to be told', isTold);
    }
    await says('/ready', 503);
    assert.equal((await post(port)).status, 200, 'until nothing runs a node still serves');
    for (const { wire } of held) wire.leave();
    await Promise.all(drains);
    const answer = await eventually('nobody to be left', async () => {
        const last = await post(port);
        return last.status === 503 && last;
    });
    assert.equal(answer.json.error.type, 'api_error');
    assert.match(answer.json.error.message, /no node of Weir answers/);
    assert.equal(answer.header('retry-after'), '5');
});
