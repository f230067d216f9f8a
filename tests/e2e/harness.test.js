// The harness itself: the client, the event reader, Redis and certificates, without a node.
import assert from 'node:assert/strict';
import {
    authority,
    connect,
    key,
    messagesRequest,
    Metrics,
    open,
    post,
    test,
} from './harness/index.js';

const auth = { 'x-api-key': key('alpha') };

test('the client reads what the provider says, in every framing', async (world) => {
    const provider = await world.provider();
    const scripts = [
        { chunked: true },
        { content_length: true },
        { until_close: true },
        { text_bytes: 3e6 },
    ];
    for (const script of scripts) {
        const answer = await post(provider.port, { headers: auth, script });
        assert.equal(answer.status, 200);
        assert.equal(answer.json.type, 'message');
    }
    assert.deepEqual(await provider.asked(), { alpha: scripts.length });
});

test('a held stream goes on step by step', async (world) => {
    const provider = await world.provider();
    const { events, wire } = await open(provider.port, { headers: auth, script: { hold: true } });
    for (const name of ['message_start', 'content_block_start', 'ping']) {
        assert.equal(await provider.step('alpha'), 1);
        assert.equal((await events.next()).event, name);
    }
    await assert.rejects(events.next({ ms: 50 }), /waited 50 ms/);
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    wire.leave();
    await provider.reaches({ connections: 0 });
});

test('an answer that is cut off does not look whole', async (world) => {
    const provider = await world.provider();
    for (const script of [
        { close_after_bytes: 20 },
        { close_after_bytes: 20, content_length: true },
    ]) {
        await assert.rejects(post(provider.port, { headers: auth, script }), /ended/);
    }
});

test('a client that does not read holds the provider back', async (world) => {
    const provider = await world.provider();
    const script = { raw_bytes: 200e6 };
    const { wire } = await open(provider.port, { headers: auth, script });
    wire.leave();
    await provider.activeReaches(0);
    const [record] = await provider.log();
    assert.ok(record.bytes_sent < 20e6);
    assert.equal(record.state, 'client_closed');
});

test('Redis comes back under its address, with what it kept', async (world) => {
    const redis = await world.redis({ keep: true });
    await (await redis.view()).hSet('a', { n: 1 });
    await redis.kill();
    await redis.start();
    await redis.hashReaches('a', { n: 1 });
    redis.suspend();
    redis.resume();
    assert.equal(await redis.cli('PING'), 'PONG');
});

test('certificates hold for their names and their authority only', async (world) => {
    const ca = await authority(world.dir, 'ours');
    const tls = await ca.issue('leaf', ['DNS:localhost', 'IP:127.0.0.1']);
    const provider = await world.provider({ tls });
    const { readFile } = await import('node:fs/promises');
    const trusted = { ca: await readFile(ca.file) };
    const wire = await connect(provider.tlsPort, { secure: trusted });
    await wire.send(messagesRequest({ headers: auth }));
    assert.equal((await wire.answer()).status, 200);
    await assert.rejects(connect(provider.tlsPort, { secure: {} }), /self-signed|unable to/);
    await assert.rejects(
        connect(provider.tlsPort, { secure: { ...trusted, servername: 'other' } }),
    );
});

test('metrics are read as a scraper reads them', () => {
    const good =
        '# HELP a_total All.\n# TYPE a_total counter\na_total{x="1"} 2\na_total{x="2"} 3\n';
    assert.equal(new Metrics(good).value('a_total'), 5);
    assert.equal(new Metrics(good).value('a_total', { x: 2 }), 3);
    for (const bad of [
        'a 1\n',
        good + good,
        good + 'a_total{x="1"} 2\n',
        `${good}a_total{x=1} 1\n`,
    ]) {
        assert.throws(() => new Metrics(bad));
    }
});
