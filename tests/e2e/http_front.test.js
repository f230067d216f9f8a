// The HTTP front: what it understands, what it refuses and how, and what it does with slow callers.
import assert from 'node:assert/strict';
import * as corpus from '../http1/corpus.js';
import {
    call,
    connect,
    messages,
    messagesRequest,
    ownError,
    post,
    quiet,
    request,
    test,
} from './harness/index.js';

const BODY = messages({});
const sized = (body = BODY) => `content-length: ${Buffer.byteLength(body)}\r\n`;
const head = (lines, start = 'POST /v1/messages HTTP/1.1') => `${start}\r\n${lines}\r\n`;
const HOST = 'host: weir.lan\r\n';
const NAMED = { server: { names: ['weir.test'] } }; // as the corpus calls it

/** Sends bytes; the node must refuse them with that status, close, and say no more. */
async function refused(node, bytes, status) {
    const wire = await connect(node.port);
    wire.send(Buffer.from(bytes, 'latin1')).catch(() => {}); // it may close before the end
    const answer = await wire.answer();
    ownError(answer, status, TYPES[status] ?? INVALID);
    assert.equal(answer.header('connection'), 'close');
    assert.equal(answer.header('x-should-retry'), status === 501 ? 'false' : undefined);
    await wire.closed();
}

const INVALID = 'invalid_request_error';
const TYPES = { 413: 'request_too_large' };

test('smuggling corpus: refused with its status, nothing goes upstream', async (world, t) => {
    const { provider, node } = await world.setting({ config: NAMED });
    for (const { name, bytes, status } of corpus.refused) {
        await t.test(name, () => refused(node, bytes, status));
    }
    assert.deepEqual(await provider.log(), []);
    assert.equal((await post(node.port)).status, 200, 'it serves on');
});

test('smuggling corpus: what is accepted goes upstream with one meaning', async (world, t) => {
    const { provider, node } = await world.setting({ config: NAMED });
    const last = request('GET', '/health', { headers: { connection: 'close' } });
    for (const { name, bytes } of corpus.accepted) {
        await t.test(name, async () => {
            const wire = await connect(node.port);
            await wire.send(Buffer.concat([Buffer.from(bytes, 'latin1'), last]));
            assert.match((await wire.readAll()).bytes.toString('latin1'), /^HTTP\/1\.1 \d{3} /);
        });
    }
    assert.deepEqual(node.events('request refused'), []);
    assert.equal((await provider.stats()).malformed, 0);
    await quiet({ node, provider });
});

test('what is over a limit is answered with its own status', async (world, t) => {
    const long = (count) => 'x'.repeat(count);
    const many = Array.from({ length: 200 }, (_, i) => `x-${i}: 1\r\n`).join('');
    const limits = [
        ['a long target', head(`${HOST}`, `GET /v1/${long(20000)} HTTP/1.1`), 414],
        ['an endless target', `GET /v1/${long(100000)}`, 414],
        ['a long header', head(`${HOST}x-a: ${long(70000)}\r\n`, 'GET /v1/models HTTP/1.1'), 431],
        ['an endless header', `GET /v1/models HTTP/1.1\r\nx-a: ${long(200000)}`, 431],
        ['many headers', head(`${HOST}${many}`, 'GET /v1/models HTTP/1.1'), 431],
        ['no length', head(HOST), 411],
        ['a body announced too long', head(`${HOST}content-length: 1000001\r\n`), 413],
        [
            'a chunked body too long',
            head(`${HOST}transfer-encoding: chunked\r\n`) +
                `80000\r\n${long(0x80000)}\r\n`.repeat(2),
            413,
        ],
        ['an unknown expectation', head(`${HOST}${sized()}expect: the-moon\r\n`) + BODY, 417],
        [
            'another transfer coding',
            head(`${HOST}transfer-encoding: gzip, chunked\r\n`) + '0\r\n\r\n',
            501,
        ],
        ['CONNECT', 'CONNECT weir.lan:443 HTTP/1.1\r\nhost: weir.lan:443\r\n\r\n', 501],
        ['HTTP/2', head(HOST, 'GET /v1/models HTTP/2.0'), 505],
        ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ];
    const { provider, node } = await world.setting({
        config: { server: { max_body_bytes: 1000000 } },
    });
    for (const [name, bytes, status] of limits) {
        await t.test(name, () => refused(node, bytes, status));
    }
    assert.deepEqual(await provider.log(), []);
});

test('a body of exactly the limit passes', async (world) => {
    const { provider, node } = await world.setting({
        config: { server: { max_body_bytes: 100000 } },
    });
    const body = messages({ text: 'x'.repeat(100000 - messages({ text: '' }).length) });
    assert.equal(body.length, 100000);
    assert.equal((await post(node.port, { body })).status, 200);
    assert.equal((await post(node.port, { body: `${body} ` })).status, 413);
    assert.equal((await provider.log()).length, 1);
});

test('a connection is kept alive, request after request', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    for (let i = 0; i < 5; i++) {
        await wire.send(messagesRequest({ text: `number ${i}` }));
        const answer = await wire.answer();
        assert.equal(answer.status, 200);
        assert.match(answer.json.content[0].text, new RegExp(`number ${i}`));
    }
    assert.equal((await provider.log()).length, 5);
});

test('pipelined requests are answered in order, one upstream at a time', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    const texts = ['one', 'two', 'three', 'four'];
    const scripts = [{ delay_ms: 150 }, undefined, { delay_ms: 50 }, undefined];
    await wire.send(
        Buffer.concat(texts.map((text, i) => messagesRequest({ text, script: scripts[i] }))),
    );
    for (const text of texts) {
        const answer = await wire.answer();
        assert.match(answer.json.content[0].text, new RegExp(text));
    }
    assert.equal((await provider.credential('alpha')).high_water, 1);
});

test('a request that arrives byte by byte is understood', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    const bytes = messagesRequest({ text: 'slowly' });
    for (const byte of bytes) await wire.send(Buffer.from([byte]));
    assert.equal((await wire.answer()).status, 200);
    assert.equal((await provider.log())[0].body_bytes, messages({ text: 'slowly' }).length);
});

test('connection: close is obeyed', async (world) => {
    const { node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ headers: { connection: 'close' } }));
    const answer = await wire.answer();
    assert.equal(answer.status, 200);
    assert.equal(answer.header('connection'), 'close');
    await wire.closed();
});

test('HTTP/1.0 gets its answer, plain or streamed, ended by closing', async (world) => {
    const { node } = await world.setting();
    for (const stream of [false, true]) {
        const body = messages({ stream });
        const wire = await connect(node.port);
        await wire.send(`POST /v1/messages HTTP/1.0\r\n${sized(body)}\r\n${body}`);
        const answer = await wire.answer();
        assert.equal(answer.status, 200);
        assert.equal(answer.header('transfer-encoding'), undefined);
        assert.match(answer.text, stream ? /event: message_stop/ : /"type":"message"/);
        await wire.closed();
    }
});

test('HTTP/1.0 with keep-alive is kept alive where the length is known', async (world) => {
    const { node } = await world.setting();
    const wire = await connect(node.port);
    for (let i = 0; i < 2; i++) {
        const start = 'POST /v1/messages HTTP/1.0\r\nconnection: keep-alive\r\n';
        await wire.send(
            `${start}x-provider-script: {"content_length":true}\r\n${sized()}\r\n${BODY}`,
        );
        const answer = await wire.answer();
        assert.equal(answer.status, 200);
        assert.equal(answer.header('connection'), 'keep-alive');
    }
});

test('HEAD gets the head of the answer only, and the connection stays usable', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    for (const target of ['/health', '/v1/models', '/']) {
        await wire.send(request('HEAD', target));
        const answer = await wire.answer({ method: 'HEAD' });
        assert.equal(answer.status, 200, target);
    }
    await wire.send(messagesRequest());
    assert.equal((await wire.answer()).status, 200);
    const methods = (await provider.log()).map((record) => `${record.method} ${record.target}`);
    assert.deepEqual(methods, ['HEAD /v1/models', 'POST /v1/messages']);
});

test('Expect: 100-continue is answered before the body is sent', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(head(`${HOST}${sized()}expect: 100-continue\r\n`));
    assert.equal((await wire.answer()).status, 100);
    await wire.send(BODY);
    assert.equal((await wire.answer()).status, 200);
    const [record] = await provider.log();
    assert.equal(record.body_bytes, BODY.length);
    assert.ok(
        !record.headers.some(([name]) => name.toLowerCase() === 'expect'),
        'expect is hop-by-hop',
    );
});

test('a body that would be too long is refused before it is sent', async (world) => {
    const { node } = await world.setting({ config: { server: { max_body_bytes: 2000 } } });
    const wire = await connect(node.port);
    await wire.send(head(`${HOST}content-length: 2001\r\nexpect: 100-continue\r\n`));
    assert.equal((await wire.answer()).status, 413);
});

test('a chunked upload arrives whole, extensions and trailers left out', async (world) => {
    const { provider, node } = await world.setting();
    const body = Buffer.from(messages({ text: 'in pieces '.repeat(500) }));
    const wire = await connect(node.port);
    await wire.send(head(`${HOST}transfer-encoding: chunked\r\n`));
    for (let at = 0; at < body.length; at += 700) {
        const piece = body.subarray(at, at + 700);
        await wire.send(`${piece.length.toString(16)};name="value"\r\n${piece}\r\n`);
    }
    await wire.send('0\r\nx-trailer: 1\r\n\r\n');
    assert.equal((await wire.answer()).status, 200);
    const [record] = await provider.log();
    assert.equal(record.body_sha256, provider.digest(body));
    assert.ok(!record.headers.some(([name]) => /trailer/i.test(name)));
});

test('a caller that is slow with its head or body is timed out', async (world, t) => {
    const config = { timeouts: { client_ms: 400 } };
    const { provider, node } = await world.setting({ config });
    const cases = [
        ['with the head', 'POST /v1/messages HTTP/1.1\r\nhost: weir'],
        ['with the body', head(`${HOST}content-length: 100\r\n`) + '{"model"'],
        ['within a chunk', head(`${HOST}transfer-encoding: chunked\r\n`) + '5\r\nhe'],
    ];
    for (const [name, bytes] of cases) {
        await t.test(name, () => refused(node, bytes, 408));
    }
    const silent = await connect(node.port);
    await silent.closed(); // it asked nothing: there is nothing to answer
    assert.deepEqual(await provider.log(), []);
    await quiet({ node, provider });
});

test('a head that drips in, byte after byte, is timed out all the same', async (world) => {
    const { node } = await world.setting({ config: { timeouts: { client_ms: 400 } } });
    const wire = await connect(node.port);
    const drip = setInterval(() => wire.send('x').catch(() => {}), 50);
    try {
        await wire.send('GET /v1/models HTTP/1.1\r\nx-drip: ');
        assert.equal((await wire.answer()).status, 408);
    } finally {
        clearInterval(drip);
    }
});

test('unknown paths and methods are answered in the Anthropic shape', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(request('GET', '/nowhere'));
    ownError(await wire.answer(), 404, 'not_found_error');
    await wire.send(request('DELETE', '/health'));
    const answer = await wire.answer();
    ownError(answer, 405, answer.json.error.type);
    assert.deepEqual(await provider.log(), []);
});

test('TRACE and paths with dot segments never reach a provider', async (world) => {
    const { provider, node } = await world.setting();
    for (const [method, target] of [
        ['TRACE', '/v1/messages'],
        ['GET', '/v1/../admin'],
        ['GET', '/v1/%2e%2E/admin'],
    ]) {
        const wire = await connect(node.port);
        await wire.send(request(method, target));
        ownError(await wire.answer(), 400, 'invalid_request_error');
        wire.leave();
    }
    assert.deepEqual(await provider.log(), []);
});

test('every method passes on /v1/*, with its query', async (world) => {
    const { provider, node } = await world.setting();
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
        const wire = await connect(node.port);
        const body = ['POST', 'PUT', 'PATCH'].includes(method) ? '{}' : undefined;
        await wire.send(request(method, '/v1/things/7?beta=true&x=%20', { body }));
        await wire.answer();
        wire.leave();
    }
    const seen = (await provider.log()).map(({ method, target }) => `${method} ${target}`);
    const wanted = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'];
    assert.deepEqual(
        seen,
        wanted.map((method) => `${method} /v1/things/7?beta=true&x=%20`),
    );
});

test('a base URL with a slash at its end is understood', async (world) => {
    const { provider, node } = await world.setting();
    assert.equal((await post(node.port, { target: '//v1/messages?beta=true' })).status, 200);
    assert.equal((await node.get('//health')).status, 200);
    assert.equal((await provider.log())[0].target, '/v1/messages?beta=true');
});

test('OPTIONS is answered here, takes no slot, and lets pages of ours ask', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    const plain = await call(node.port, 'OPTIONS', '/v1/messages');
    assert.equal(plain.status, 204);
    assert.match(plain.header('allow'), /\bPOST\b/);
    assert.equal(plain.header('access-control-allow-origin'), undefined);
    const headers = {
        origin: 'http://localhost:3000',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'anthropic-version,content-type,x-api-key',
    };
    const preflight = await call(node.port, 'OPTIONS', '/v1/messages', { headers });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.header('access-control-allow-origin'), headers.origin);
    assert.equal(
        preflight.header('access-control-allow-headers'),
        headers['access-control-request-headers'],
    );
    headers.origin = 'https://evil.example';
    const foreign = await call(node.port, 'OPTIONS', '/v1/messages', { headers });
    ownError(foreign, 403, 'permission_error');
    assert.equal(foreign.header('access-control-allow-origin'), undefined);
    assert.equal((await node.status()).total_active, 1);
    await provider.step('alpha', -1);
    assert.equal((await held).status, 200);
    assert.equal((await provider.log()).length, 1);
});

test("a balancer's plainest check, OPTIONS / of HTTP/1.0, is answered", async (world) => {
    const { node } = await world.setting();
    for (const target of ['/', '*']) {
        const wire = await connect(node.port);
        await wire.send(`OPTIONS ${target} HTTP/1.0\r\n\r\n`);
        assert.equal((await wire.answer()).status, 204);
        await wire.closed();
    }
});

test('an absolute-form target is served by its path', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(head(`${HOST}${sized()}`, 'POST http://weir.lan/v1/messages HTTP/1.1') + BODY);
    assert.equal((await wire.answer()).status, 200);
    assert.equal((await provider.log())[0].target, '/v1/messages');
});
