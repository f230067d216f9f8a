// Redis away, back, standing still, emptied: running streams go on, nothing booked is lost.
import assert from 'node:assert/strict';
import {
    connect,
    EventReader,
    eventually,
    freePort,
    Load,
    messagesRequest,
    ownError,
    pause,
    post,
    quiet,
    test,
} from './harness/index.js';

async function heldStream(node, provider) {
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 4);
    const events = new EventReader(await wire.head());
    for (let i = 0; i < 4; i++) await events.next();
    return { wire, events };
}

const redisIs = (node, word) =>
    eventually(`redis to be ${word}`, async () => {
        return (await node.get('/health')).json.redis === word;
    });

/** Refused with 503 as long as Redis is away. */
async function refusedForNow(node) {
    const answer = await post(node.port);
    ownError(answer, 503, 'api_error');
    assert.match(answer.header('retry-after'), /^[1-9]\d*$/);
}

const served = (node) =>
    eventually(
        'a request to be served',
        async () => {
            const answer = await post(node.port);
            if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
            return true;
        },
        { ms: 30000 }, // where Redis lost data nothing is admitted for a lease time
    );

test('a stream goes on without Redis and is booked when it is back', async (world) => {
    const redis = await world.redis({ keep: true });
    const { provider, node } = await world.setting({ redis });
    const { events } = await heldStream(node, provider);
    await redis.kill();
    await redisIs(node, 'down');
    await refusedForNow(node);
    assert.equal((await node.get('/ready')).status, 503);
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    await redis.start();
    await redis.bookedReaches('sub:alpha', { requests: 1, errors: 0, input: 100, output: 40 });
    await redisIs(node, 'up');
    await served(node);
    await quiet({ node, provider });
    assert.equal((await redis.leases()).length, 0);
});

test('a Redis that comes back empty learns all again first', { ms: 60000 }, async (world) => {
    const { provider, redis, node } = await world.setting({ max: 1 });
    const { events } = await heldStream(node, provider);
    await redis.kill();
    await redisIs(node, 'down');
    await redis.start();
    await redisIs(node, 'up');
    await node.activeReaches(1);
    await refusedForNow(node);
    await eventually(
        '/ready to say why',
        async () => (await node.get('/ready')).json.status === 'restoring',
    );
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    await redis.bookedReaches('sub:alpha', { requests: 1, output: 40 });
    await served(node);
    assert.equal((await provider.credential('alpha')).high_water, 1);
});

test('functions and keys wiped under a running node come back', { ms: 90000 }, async (world) => {
    const { provider, redis, node } = await world.setting();
    await post(node.port);
    await redis.cli('FUNCTION', 'FLUSH');
    assert.equal((await post(node.port)).status, 200);
    await redis.cli('FLUSHALL');
    await served(node);
    await redis.cli('FUNCTION', 'FLUSH');
    await redis.cli('FLUSHALL');
    await served(node);
    await quiet({ node, provider });
});

test('an older copy is told again what a node knows', { ms: 60000 }, async (world) => {
    const redis = await world.redis({ keep: true });
    const { node } = await world.setting({ redis });
    await post(node.port);
    const view = await redis.view();
    const [boot] = await view.zRange('weir:{main}:boots', 0, 0);
    const knows = () => redis.cli('HGET', `weir:{main}:boot:${boot}`, 'knows');
    const right = await knows();
    await view.hSet(`weir:{main}:boot:${boot}`, 'knows', '0123456789ab');
    await redis.kill(); // what comes back is a copy in which this stands
    await redisIs(node, 'down');
    await redis.start();
    await eventually('the node to say what it knows', async () => (await knows()) === right);
    await served(node);
});

for (const ms of [500, 2300, 4000, 20000]) {
    test(`${ms} ms after which Redis goes on leave no slot behind`, { ms: 60000 }, async (world) => {
        const { provider, redis, node } = await world.setting({ max: 15 });
        const load = new Load([node], 30);
        await eventually('some requests', () => load.served > 200, { every: 20 });
        redis.suspend();
        await pause(ms);
        await load.stop();
        redis.resume();
        await redisIs(node, 'up');
        await eventually(
            'the slots in use to be the requests running: none',
            async () => (await redis.leases()).length === 0,
            { ms: 5000, every: 50 }, // a slot that nobody gave back would last a lease time
        );
        await provider.activeReaches(0);
        assert.equal((await post(node.port)).status, 200);
        assert.ok((await provider.credential('alpha')).high_water <= 15);
    });
}

test('a node too old for its pool says so, takes nothing new and ends what runs', async (world) => {
    const { provider, redis, node } = await world.setting({ max: 2 });
    const { events } = await heldStream(node, provider);
    const view = await redis.view();
    const guard = await view.hGet('weir:{main}:slots', '@');
    const newer = guard.replace('schema=2', 'schema=3').replace('lib=', 'lib=f');
    await view.hSet('weir:{main}:slots', '@', newer);
    await eventually('/ready to say why', async () => {
        const { status, json } = await node.get('/ready');
        return status === 503 && /too old for this pool/.test(json.status);
    });
    const isTold = (line) => line.level === 'error' && /schema 3/.test(line.reason);
    await node.log.find('the reason in the log', isTold, { ms: 5000 });
    await refusedForNow(node);
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    await eventually('no lease', async () => (await redis.leases()).length === 0);
    assert.match(await view.hGet('weir:{main}:slots', '@'), /^schema=3 /);
});

test('a Redis that stands still is not waited for without end', { ms: 60000 }, async (world) => {
    const { provider, redis, node } = await world.setting();
    await post(node.port);
    redis.suspend();
    const started = performance.now();
    await refusedForNow(node);
    assert.ok(performance.now() - started < 8000);
    redis.resume();
    await redisIs(node, 'up');
    await served(node);
    // A slot taken unseen is free again when its lease has expired.
    await node.activeReaches(0, { ms: 18000 });
    await provider.activeReaches(0);
});

test('what is settled while Redis stands still is booked once', async (world) => {
    const { provider, redis, node } = await world.setting();
    const { events } = await heldStream(node, provider);
    redis.suspend();
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    await redisIs(node, 'down');
    redis.resume();
    await redisIs(node, 'up');
    await quiet({ node, provider });
    await redis.bookedReaches('sub:alpha', { requests: 1, input: 100, output: 40 });
});

test('connections cut again and again: a 503 at most, nothing booked twice', async (world) => {
    const { provider, redis, node } = await world.setting({ max: 20 });
    let ok = 0;
    for (let i = 0; i < 20; i++) {
        const answers = [1, 2, 3].map(() => post(node.port));
        await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        for (const answer of await Promise.all(answers)) {
            assert.ok([200, 503].includes(answer.status), answer.text);
            if (answer.status === 200) ok++;
        }
    }
    await redisIs(node, 'up');
    await served(node);
    await quiet({ node, provider });
    const { length: asked } = await provider.log();
    assert.equal(asked, ok + 1);
    await redis.bookedReaches('sub:alpha', { input: asked * 100, output: asked * 40 });
});

test('a node starts without Redis, says so, and serves when it comes', async (world) => {
    const provider = await world.provider();
    const port = await freePort();
    const config = {
        subscriptions: world.subscriptions(provider, 1),
        redis: { url: `redis://127.0.0.1:${port}` },
    };
    const node = await world.node({ config });
    assert.equal((await node.get('/health')).json.redis, 'down');
    assert.equal((await node.get('/ready')).status, 503);
    await refusedForNow(node);
    await world.redis({ port });
    await redisIs(node, 'up');
    await served(node);
});

test('a password is used, and never shown', async (world) => {
    const redis = await world.redis({ password: 'redis-secret-password' });
    const { node } = await world.setting({ redis });
    node.secrets.add('redis-secret-password');
    assert.equal((await post(node.port)).status, 200);
    const wrong = await world.node({
        id: 'n2',
        config: {
            subscriptions: node.config.subscriptions,
            redis: { url: redis.url.replace('redis-secret-password', 'wrong-secret-word') },
        },
    });
    wrong.secrets.add('wrong-secret-word');
    assert.equal((await wrong.get('/health')).json.redis, 'down');
    await refusedForNow(wrong);
});

test('a Unix socket and a database number work as redis.url', async (world) => {
    const redis = await world.redis();
    for (const url of [`${redis.url}/3`, `unix://${redis.socket}?db=3`]) {
        const { node } = await world.setting({ redis, config: { redis: { url } } });
        assert.equal((await post(node.port)).status, 200);
        await node.stop();
    }
    assert.match(await redis.cli('-n', '3', 'HGETALL', 'weir:{main}:roster'), /alpha/);
    assert.equal(await redis.cli('HGETALL', 'weir:{main}:roster'), '');
});

test('prefix and pool name the keys', async (world) => {
    const redis = await world.redis();
    const config = { redis: { url: redis.url, prefix: 'acme', pool: 'night' } };
    const { node } = await world.setting({ redis, config });
    assert.equal((await post(node.port)).status, 200);
    const keys = await (await redis.view()).keys('*');
    assert.ok(keys.length > 0);
    for (const name of keys) assert.match(name, /^acme:\{night\}/);
});
