// Connections upstream: kept and used again, given up when dead, verified when TLS.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import {
    authority,
    call,
    connect,
    eventually,
    key,
    messagesRequest,
    ownError,
    pause,
    post,
    quiet,
    size,
    test,
} from './harness/index.js';

test('requests one after another use one connection', async (world) => {
    const { provider, node } = await world.setting();
    for (let i = 0; i < 10; i++) {
        assert.equal((await post(node.port, { stream: i % 2 === 1 })).status, 200);
    }
    assert.equal((await provider.stats()).connections.accepted, 1);
});

test('requests at once use as many connections, and those again later', async (world) => {
    const { provider, node } = await world.setting();
    for (let round = 0; round < 3; round++) {
        const held = Array.from({ length: 4 }, () => post(node.port, { script: { hold: true } }));
        await provider.activeReaches(4);
        await provider.step('alpha', -1);
        await Promise.all(held);
        await quiet({ node, provider });
    }
    assert.equal((await provider.stats()).connections.accepted, 4);
});

test('a connection whose answer was broken or left is not used again', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { stall: true } }));
    await provider.activeReaches(1);
    wire.leave();
    await quiet({ node, provider });
    assert.equal((await post(node.port)).status, 200);
    const connections = (await provider.log()).map((record) => record.connection);
    assert.notEqual(connections[0], connections[1]);
});

test('an answer that says connection: close is believed', async (world) => {
    const { provider, node } = await world.setting();
    await post(node.port, { script: { keep_alive: false } });
    await post(node.port);
    const connections = (await provider.log()).map((record) => record.connection);
    assert.notEqual(connections[0], connections[1]);
});

test('an answer that came before its request was sent does not spoil the next', async (world) => {
    const { provider, node } = await world.setting();
    const body = JSON.stringify({ model: 'claude-x', messages: [], pad: 'x'.repeat(8000000) });
    const script = { early_answer: true, status: 400, body: '{"early":true}' };
    const answer = await post(node.port, { body, script });
    assert.equal(answer.status, 400);
    assert.equal(answer.text, '{"early":true}');
    for (let i = 0; i < 3; i++) assert.equal((await post(node.port)).status, 200);
    await quiet({ node, provider });
});

test('an idle connection the provider closed is noticed: one request, answered', async (world) => {
    const { provider, node } = await world.setting();
    for (let i = 0; i < 5; i++) {
        await post(node.port, { script: { silently_close_idle: true } });
        await provider.reaches({ connections: 0 });
    }
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await provider.log()).length, 6);
});

test('a connection that dies as it is used again: one request, answered', async (world) => {
    const { provider, node } = await world.setting();
    for (let i = 0; i < 8; i++) {
        assert.equal((await post(node.port)).status, 200);
        await quiet({ node, provider });
        const since = (await provider.log()).at(-1)?.seq ?? 0;
        const wire = await connect(node.port);
        // The node stands still while both arrive: the provider's close and the client's request.
        node.suspend();
        await provider.reset({ connections: true });
        await wire.send(messagesRequest());
        node.resume();
        assert.equal((await wire.answer()).status, 200);
        assert.equal((await provider.log({ since })).length, 1, 'sent twice');
        wire.leave();
    }
});

test('a POST that meets a dying connection is sent once more, on a new one', async (world) => {
    const { provider, node } = await world.setting();
    await post(node.port); // so that the next goes over a connection used before
    await provider.fault('alpha', { close_before_answer: true });
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await provider.log()).length, 3);
    await provider.fault('alpha', { close_before_answer: true, times: 2 });
    ownError(await post(node.port), 502, 'api_error');
    assert.equal((await provider.log()).length, 5);
});

test('a POST that a provider worked on before it died is not sent to it again', async (world) => {
    const { provider, node } = await world.setting();
    await post(node.port);
    await provider.fault('alpha', { delay_ms: 1200, close_before_answer: true });
    ownError(await post(node.port), 502, 'api_error');
    assert.equal((await provider.log()).length, 2);
});

test('a GET whose reused connection dies is sent again', async (world) => {
    const { provider, node } = await world.setting();
    await call(node.port, 'GET', '/v1/models');
    await provider.fault('alpha', { close_before_answer: true });
    assert.equal((await call(node.port, 'GET', '/v1/models')).status, 200);
    assert.equal((await provider.log()).length, 3);
});

test('bytes that nobody asked for do not answer the next request', async (world) => {
    const { provider, node } = await world.setting();
    const stuffed =
        'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok' +
        'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned';
    assert.equal((await post(node.port, { script: { bad_head: stuffed } })).text, 'ok');
    const next = await post(node.port);
    assert.doesNotMatch(next.text, /poisoned/);
    assert.equal(next.status, 200);
    await quiet({ node, provider });
});

const AMBIGUOUS_ANSWERS = {
    'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!',
    'length with chunked':
        'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'a bare LF': 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok',
    'a folded header': 'HTTP/1.1 200 OK\r\nx: 1\r\n 2\r\ncontent-length: 2\r\n\r\nok',
    'an endless head': `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(200000)}`,
    'an unknown coding': 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'another protocol': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
};

test('an answer that could be understood in two ways is not passed on', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    for (const [name, text] of Object.entries(AMBIGUOUS_ANSWERS)) {
        await t.test(name, async () => {
            await redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha'); // or it rests
            await provider.fault('alpha', { bad_head: text });
            ownError(await post(node.port), 502, 'api_error');
        });
    }
    await quiet({ node, provider });
});

/** A provider with TLS, and a node whose subscription trusts the given authority. */
async function tlsSetting(world, { names = ['DNS:localhost', 'IP:127.0.0.1'], trust, url } = {}) {
    const ca = await authority(world.dir, 'ours');
    const provider = await world.provider({ tls: await ca.issue('leaf', names) });
    const other = trust === 'other' ? await authority(world.dir, 'other') : ca;
    const fields = {
        base_url: url?.(provider) ?? provider.tlsUrl,
        ...(trust === 'system' ? {} : { ca_file: other.file }),
    };
    const subscriptions = world.subscriptions(provider, 1, fields);
    return { ca, ...(await world.setting({ provider, config: { subscriptions } })) };
}

test('TLS upstream is verified through ca_file, with SNI', async (world) => {
    const { provider, node } = await tlsSetting(world);
    for (const stream of [false, true]) {
        const answer = await post(node.port, { stream, script: { text_bytes: 500000 } });
        assert.equal(answer.status, 200);
        assert.equal(answer.isComplete, true);
    }
    const log = await provider.log();
    assert.deepEqual(
        log.map((record) => record.tls.sni),
        ['localhost', 'localhost'],
    );
    assert.equal(log[0].connection, log[1].connection);
    await quiet({ node, provider });
});

test('a large body goes up over TLS byte for byte, and comes down so', async (world) => {
    const { provider, node } = await tlsSetting(world);
    const body = JSON.stringify({
        model: 'claude-x',
        max_tokens: 5,
        messages: [{ role: 'user', content: 'tls '.repeat(size(2000000)) }],
    });
    const answer = await post(node.port, { body, script: { raw_bytes: size(20000000) } });
    assert.equal(answer.body.length, size(20000000));
    assert.equal((await provider.log())[0].body_sha256, provider.digest(body));
});

test('a new TLS connection takes the session up again', async (world) => {
    const { provider, node } = await tlsSetting(world);
    await post(node.port, { script: { keep_alive: false } });
    await post(node.port, { script: { keep_alive: false } });
    await post(node.port);
    const resumed = (await provider.log()).map((record) => record.tls.resumed);
    assert.deepEqual(resumed, [false, true, true]);
});

const REFUSED_CERTIFICATES = {
    'of an authority that is not ours': { trust: 'other' },
    'of an authority the system does not know': { trust: 'system' },
    'for another name': { names: ['DNS:elsewhere.test'] },
    'for a name, when asked by address': {
        names: ['DNS:localhost'],
        url: (provider) => `https://127.0.0.1:${provider.tlsPort}`,
    },
};

test('a certificate is refused', async (world, t) => {
    for (const [name, options] of Object.entries(REFUSED_CERTIFICATES)) {
        await t.test(name, async () => {
            const { provider, node } = await tlsSetting(world, options);
            ownError(await post(node.port), 502, 'api_error');
            assert.deepEqual(await provider.log(), [], 'no byte of the request, no credential');
            await quiet({ node, provider });
        });
    }
});

test('an address in the certificate is accepted when asked by address', async (world) => {
    const url = (provider) => `https://127.0.0.1:${provider.tlsPort}`;
    const { node } = await tlsSetting(world, { url });
    assert.equal((await post(node.port)).status, 200);
});

test('a client that leaves ends a TLS request upstream', async (world) => {
    const { provider, node } = await tlsSetting(world);
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { stall: true } }));
    await provider.activeReaches(1);
    wire.leave();
    await quiet({ node, provider });
    assert.equal((await provider.log())[0].state, 'client_closed');
});

/** A node that itself speaks TLS. */
async function tlsFront(world, server = {}) {
    const ca = await authority(world.dir, 'front');
    const files = await ca.issue('node', ['DNS:localhost']);
    const setting = await world.setting({ config: { server: { ...server, tls: files } } });
    return { ca, files, secure: { ca: await readFile(ca.file) }, ...setting };
}

test('the listener speaks TLS', async (world) => {
    const { provider, node, secure } = await tlsFront(world);
    const wire = await connect(node.port, { secure });
    for (const stream of [false, true, false]) {
        await wire.send(messagesRequest({ stream, script: { text_bytes: 300000 } }));
        const answer = await wire.answer();
        assert.equal(answer.status, 200);
        assert.ok(answer.body.length > 300000);
    }
    assert.ok(['TLSv1.2', 'TLSv1.3'].includes(wire.socket.getProtocol()));
    assert.equal((await call(node.port, 'GET', '/health', { secure })).status, 200);
    wire.leave();
    await quiet({ provider, node: { activeReaches: () => {} } });
});

test('a TLS listener gives plain HTTP no answer and carries on', async (world) => {
    const { node, secure } = await tlsFront(world, {});
    const wire = await connect(node.port);
    await wire.send('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
    const { bytes } = await wire.readAll();
    assert.doesNotMatch(bytes.toString('latin1'), /healthy/);
    assert.equal((await call(node.port, 'GET', '/health', { secure })).status, 200);
});

test('a TLS handshake that does not come is timed out', async (world) => {
    const ca = await authority(world.dir, 'front');
    const tls = await ca.issue('node', ['DNS:localhost']);
    const config = { server: { tls }, timeouts: { client_ms: 400 } };
    const { node } = await world.setting({ config });
    const wire = await connect(node.port);
    await wire.closed({ ms: 5000 });
});

test('a slow reader over TLS gets all of it', async (world) => {
    const { provider, node, secure } = await tlsFront(world);
    const wire = await connect(node.port, { secure });
    await wire.send(messagesRequest({ stream: true, script: { raw_bytes: size(30000000) } }));
    const answer = await wire.head();
    for (let i = 0; i < 50; i++) {
        await answer.piece();
        await pause(2);
    }
    await answer.readBody({ ms: 20000 });
    assert.match(answer.body.subarray(-100).toString(), /message_stop/);
    await provider.activeReaches(0);
});

test('a client that leaves a TLS connection ends its request upstream', async (world) => {
    const { provider, node, secure } = await tlsFront(world);
    const wire = await connect(node.port, { secure });
    await wire.send(messagesRequest({ script: { stall: true } }));
    await provider.activeReaches(1);
    wire.leave();
    await provider.activeReaches(0);
    await eventually('its slot to be free', async () => {
        const { json } = await call(node.port, 'GET', '/status', { secure });
        return json.total_active === 0;
    });
});

test("the credential is the subscription's on every connection", async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 3, max: 2 });
    const held = Array.from({ length: 6 }, () => post(node.port, { script: { hold: true } }));
    await provider.activeReaches(6);
    await provider.step('*', -1);
    await Promise.all(held);
    const used = new Set((await provider.log()).map((record) => record.credential));
    assert.deepEqual([...used].sort(), ['alpha', 'beta', 'gamma'].map(key));
});

test('a node without descriptors says so itself, and blames no subscription', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 2 });
    const wire = await connect(node.port);
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    const allowed = await node.limitFiles(1); // no new one, then
    await wire.send(messagesRequest());
    const answer = await wire.answer();
    assert.equal(answer.status, 503);
    assert.match(answer.text, /descriptors/);
    assert.equal(answer.header('retry-after'), '1');
    await node.limitFiles(allowed);
    await provider.step('alpha', -1);
    assert.equal((await held).status, 200, 'what ran was not touched');
    await wire.send(messagesRequest());
    assert.equal((await wire.answer()).status, 200);
    await quiet({ node, provider });
    for (const name of ['alpha', 'beta']) {
        assert.equal((await redis.booked(`sub:${name}`)).errors ?? 0, 0, `${name} was blamed`);
    }
    assert.equal((await node.metrics()).value('weir_failovers_total'), 0);
});
