// The notice channel: what the pool tells all nodes at once. It makes them look sooner; nothing
// depends on it.
import assert from 'node:assert/strict';
import { eventually, key, Load, pause, post, test } from './harness/index.js';

const CHANNEL = 'weir:{main}:notice';

/** Nodes n1, n2, ... of one pool. */
async function pool(world, { nodes: count = 2, max = 5, config = {} } = {}) {
    const provider = await world.provider();
    const redis = await world.redis();
    const full = {
        subscriptions: world.subscriptions(provider, 1, { max_concurrent: max }),
        redis: { url: redis.url },
        logging: { level: 'info' },
        ...config,
    };
    const nodes = [];
    for (let i = 1; i <= count; i++)
        nodes.push(await world.node({ id: `n${i}`, config: structuredClone(full) }));
    return { provider, redis, nodes, config: full };
}

const heard = async (node) => (await node.metrics()).value('weir_notice_channel_up') === 1;
const hears = (node) => eventually(`${node.id} to hear the channel`, () => heard(node));

/** How many notices of each kind a node has counted. */
async function counted(node) {
    const metrics = await node.metrics();
    const of = (result) => metrics.value('weir_notices_total', { result });
    return { taken: of('taken'), unknown: of('unknown'), bad: of('bad') };
}

const isBeatOf = (id) => (line) => line.includes('"FCALL" "weir_beat_') && line.includes(`"${id}"`);
const beatsOf = (seen, id, from = 0) => seen.items.slice(from).filter(isBeatOf(id)).length;
const publish = (view, text) => view.sendCommand(['SPUBLISH', CHANNEL, text]);

/** With one subscription more, written later. */
function withBeta(config) {
    const more = structuredClone(config);
    more.subscriptions.push({ ...config.subscriptions[0], name: 'beta', api_key: key('beta') });
    return more;
}

const isBehind = (line) => line.level === 'warn' && /this node is behind/.test(line.event);

test('each node hears the channel over one link of its own', async (world) => {
    const { redis, nodes } = await pool(world, { config: { server: { workers: 3 } } });
    await Promise.all(nodes.map(hears));
    const view = await redis.view();
    assert.deepEqual(await view.sendCommand(['PUBSUB', 'SHARDNUMSUB', CHANNEL]), [CHANNEL, 2]);
    const metrics = await nodes[0].metrics();
    assert.equal(metrics.value('weir_redis_connections_up'), 4, 'three workers and the control');
    await nodes[1].stop();
    await eventually('one to listen', async () => {
        return (await view.sendCommand(['PUBSUB', 'SHARDNUMSUB', CHANNEL]))[1] === 1;
    });
});

test('a notice brings a beat on before its second', async (world) => {
    const { redis, nodes, config } = await pool(world, { nodes: 1 });
    // Its beats are the clock: a node of another pool hears nothing of this one's notices.
    const clock = { ...config, redis: { url: redis.url, pool: 'clock' } };
    await world.node({ id: 'clock', config: clock });
    await hears(nodes[0]);
    const view = await redis.view();
    const seen = await redis.monitor();
    for (const [kind, rounds] of Object.entries({ roster: 8, epoch: 8 })) {
        const from = seen.items.length;
        for (let i = 1; i <= rounds; i++) {
            const before = seen.items.length;
            const number = `${kind === 'roster' ? 'generation' : 'id'}=${1000 + i}`;
            await publish(view, `${kind} ${number}`);
            await seen.find('a beat that follows', isBeatOf('n1'), { from: before });
        }
        await seen.catchUp();
        const seconds = beatsOf(seen, 'clock', from);
        assert.ok(seconds < rounds - 2, `${kind}: ${rounds} beats in ${seconds} of a clock's`);
    }
});

test('a burst of notices brings one beat on, and what is known already none', async (world) => {
    const { redis, nodes, config } = await pool(world, { nodes: 1 });
    const clock = { ...config, redis: { url: redis.url, pool: 'clock' } };
    await world.node({ id: 'clock', config: clock });
    await hears(nodes[0]);
    const view = await redis.view();
    const seen = await redis.monitor();
    /** Beats of n1, and of the clock, until `texts` have been published and the clock went on. */
    const beatsAfter = async (texts) => {
        const from = seen.items.length;
        const { taken } = await counted(nodes[0]);
        await Promise.all(texts.map((text) => publish(view, text)));
        await eventually('all of them to be taken', async () => {
            return (await counted(nodes[0])).taken === taken + texts.length;
        });
        await eventually('the clock', () => beatsOf(seen, 'clock', from) >= 3);
        return beatsOf(seen, 'n1', from) - beatsOf(seen, 'clock', from);
    };
    const burst = Array.from({ length: 300 }, (_, i) => `roster generation=${5000 + i}`);
    const more = await beatsAfter(burst);
    assert.ok(more <= 3, `${more} more than the clock: not one for each of 300`);
    const { epoch, roster } = await nodes[0].status();
    const known = [`roster generation=${roster}`, `epoch id=${epoch}`];
    const none = await beatsAfter(Array.from({ length: 300 }, (_, i) => known[i % 2]));
    assert.ok(none <= 1, `${none} more than the clock`);
});

test('a change of the roster reaches another node with the beat that its notice brings on', async (world) => {
    const { redis, nodes, config } = await pool(world);
    await Promise.all(nodes.map(hears));
    const seen = await redis.monitor();
    await nodes[0].reload(withBeta(config));
    const isNotice = (line) => line.includes('"SPUBLISH"') && line.includes('roster generation=');
    await seen.find('the notice', isNotice);
    const from = seen.items.findIndex(isNotice);
    await nodes[1].log.find('n2 to see that it is behind', isBehind);
    await seen.catchUp();
    const beats = beatsOf(seen, 'n2', from);
    assert.ok(beats >= 1 && beats <= 2, `${beats} beats`);
    assert.ok((await counted(nodes[1])).taken >= 1);
});

test(
    'the channel is cut again and again under load: no request fails, a change still arrives',
    { ms: 120000 },
    async (world, t) => {
        const { redis, nodes, config } = await pool(world, { max: 100 });
        await Promise.all(nodes.map(hears));
        const view = await redis.view();
        const seen = await redis.monitor();
        const load = new Load(nodes, 12);
        await eventually('some requests', () => load.served > 50, { every: 20 });
        const began = { ms: performance.now(), served: load.served };
        let cuts = 0;
        let isOver = false;
        const cutting = (async () => {
            while (!isOver) {
                cuts += Number(await view.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']));
                await pause(5);
            }
        })();
        await eventually('cuts', () => cuts >= 6, { ms: 20000 });
        await nodes[0].reload(withBeta(config));
        const isDeclared = (line) => line.includes('"FCALL" "weir_declare_');
        await seen.find('the change', isDeclared);
        const from = seen.items.findIndex(isDeclared);
        await nodes[1].log.find('n2 to see that it is behind', isBehind);
        await seen.catchUp();
        const beats = beatsOf(seen, 'n2', from);
        assert.ok(beats <= 2, `n2 learned it with its beat ${beats} after the change`);
        await eventually('ten seconds of it', () => performance.now() - began.ms > 10000, {
            ms: 20000,
        });
        isOver = true;
        await cutting;
        const seconds = (performance.now() - began.ms) / 1000;
        await Promise.all(nodes.map(hears));
        await load.stop();
        const rate = Math.round((load.served - began.served) / seconds);
        t.diagnostic(`${cuts} cuts, ${rate} requests/s`);
        assert.deepEqual(load.faults, []);
        assert.deepEqual(Object.keys(load.statuses), ['200']);
        assert.ok(cuts >= 6, `${cuts} cuts`);
        const before = (await counted(nodes[1])).taken;
        await publish(view, 'roster generation=77777');
        await eventually('it to hear again', async () => (await counted(nodes[1])).taken > before);
    },
);

test('junk that is published by hand is counted, and harms nothing', async (world) => {
    const { redis, nodes } = await pool(world, { nodes: 1 });
    const [node] = nodes;
    await hears(node);
    const view = await redis.view();
    const before = await counted(node);
    const bad = [
        '',
        ' ',
        'roster',
        'roster generation=-1',
        'roster generation=99999999999999999999999',
        'epoch id=',
        'epoch id=0x10',
        '*3\r\n$8\r\nsmessage\r\n',
        'roster generation=1\n',
        Buffer.from([0, 255, 10, 13, 34, 92, 128]),
        'x'.repeat(257),
        'x'.repeat(500000),
    ];
    const unknown = ['hello', 'grant lease=n1.0000000a.0-1', 'settings generation=3', 'x'.repeat(256)];
    for (const text of [...bad, ...unknown]) await publish(view, text);
    await publish(view, 'epoch id=1');
    await eventually('all to be counted', async () => {
        return (await counted(node)).taken > before.taken;
    });
    assert.deepEqual(await counted(node), {
        taken: before.taken + 1,
        unknown: before.unknown + unknown.length,
        bad: before.bad + bad.length,
    });
    assert.ok(await heard(node), 'the channel is the same as before');
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await node.get('/ready')).status, 200);
    const { epoch } = await node.status();
    assert.ok(epoch > 1000000, 'what a notice says is not believed, only looked at');

    await publish(view, 'x'.repeat(3 << 20)); // more than a link reads: cut, and back
    const away = await node.event('redis channel is away');
    assert.match(away.reason, /larger than 1 MiB/);
    await hears(node);
    assert.equal((await post(node.port)).status, 200);
});

test('a Redis user who may not listen costs the notices, nothing else', async (world) => {
    const { provider, redis, config } = await pool(world, { nodes: 0 });
    const view = await redis.view();
    await view.sendCommand(['ACL', 'SETUSER', 'deaf', 'on', '>hush', '~*', '+@all']);
    await view.sendCommand(['ACL', 'SETUSER', 'deaf', 'resetchannels']);
    const url = redis.url.replace('//', '//deaf:hush@');
    const node = await world.node({ id: 'n1', config: { ...config, redis: { url } } });
    const away = await node.event('redis channel is away');
    assert.match(away.reason, /SSUBSCRIBE.*NOPERM/);
    assert.equal((await post(node.port)).status, 200);
    assert.equal(await heard(node), false);
    assert.equal((await provider.log()).length, 1);
});
