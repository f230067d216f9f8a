// A TCP balancer in front says who calls (PROXY protocol), and only a balancer may.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import tls from 'node:tls';
import { mkdir, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import {
    authority,
    call,
    connect,
    eventually,
    messages,
    messagesRequest,
    ownError,
    PATHS,
    post,
    request,
    size,
    test,
    weir,
} from './harness/index.js';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const bytesOf = (address) => Buffer.from(address.split('.').map(Number));
const portOf = (port) => Buffer.from([port >> 8, port & 255]);

/** A header in the name of that IPv4 address. */
function binary(from, { command = 1, fields = '' } = {}) {
    const body = Buffer.concat([
        bytesOf(from),
        bytesOf('10.0.0.1'),
        portOf(51234),
        portOf(8080),
        Buffer.from(fields),
    ]);
    const head = Buffer.from([0x20 | command, 0x11, body.length >> 8, body.length & 255]);
    return Buffer.concat([SIGNATURE, head, body]);
}
const line = (from) => Buffer.from(`PROXY TCP4 ${from} 10.0.0.1 51234 8080\r\n`);

const setting = (world, server = {}, { config = {}, ...more } = {}) =>
    world.setting({ config: { server: { proxy_protocol: true, ...server }, ...config }, ...more });

const HEADERS = {
    'version 1': line,
    'version 2': binary,
    'version 2 with fields': (from) => binary(from, { fields: '\x03\x00\x02zz' }),
};

for (const [title, header] of Object.entries(HEADERS)) {
    test(`${title}: the caller is whom the balancer names, for every request`, async (world) => {
        const { provider, node } = await setting(world);
        const wire = await connect(node.port);
        await wire.send(Buffer.concat([header('192.168.7.9'), messagesRequest()]));
        for (let i = 0; i < 2; i++) {
            const answer = await wire.answer();
            assert.equal(answer.status, 200, answer.text);
            assert.equal((await node.finished(answer)).client, '192.168.7.9');
            if (i === 0) await wire.send(messagesRequest());
        }
        assert.equal((await provider.log()).length, 2);
        await wire.send(request('GET', '/status'));
        ownError(await wire.answer(), 401, 'authentication_error'); // by this machine, but not of it
    });

    test(`${title}: a caller from the internet is not local, whoever passes it on`, async (world) => {
        const { node } = await setting(world);
        const wire = await connect(node.port);
        await wire.send(Buffer.concat([header('203.0.113.5'), messagesRequest()]));
        assert.equal((await wire.answer()).status, 401);
    });
}

test('a header may come in any pieces', async (world) => {
    const { node } = await setting(world);
    const wire = await connect(node.port);
    const bytes = Buffer.concat([binary('192.168.7.9'), messagesRequest()]);
    for (let at = 0; at < 40; at++) {
        await wire.send(bytes.subarray(at, at + 1));
        await new Promise((resolve) => setImmediate(resolve));
    }
    await wire.send(bytes.subarray(40));
    assert.equal((await wire.answer()).status, 200);
});

test('a large body behind a header arrives whole', async (world) => {
    const { provider, node } = await setting(world);
    const text = 'x'.repeat(size(3 << 20));
    const wire = await connect(node.port);
    await wire.send(Buffer.concat([binary('192.168.7.9'), messagesRequest({ text })]));
    assert.equal((await wire.answer({ ms: 30000 })).status, 200);
    const [record] = await provider.log();
    assert.equal(record.body_bytes, Buffer.byteLength(messages({ text })));
});

test('a header comes before TLS', async (world) => {
    const dir = world.place('certificates');
    await mkdir(dir, { recursive: true });
    const { cert, key } = await (await authority(dir, 'ca')).issue('node', ['DNS:localhost']);
    const { node } = await setting(world, { tls: { cert, key } });
    const wire = await connect(node.port);
    await wire.send(binary('192.168.7.9'));
    wire.socket.removeAllListeners();
    const secure = tls.connect({ socket: wire.socket, rejectUnauthorized: false });
    await new Promise((resolve, reject) => {
        secure.once('secureConnect', resolve);
        secure.once('error', reject);
    });
    secure.write(messagesRequest());
    const said = await new Promise((resolve) => secure.once('data', resolve));
    assert.match(`${said}`, /^HTTP\/1.1 200 /);
    secure.destroy();
});

test("the balancer's own connections are its own: checks of it are answered", async (world) => {
    const { node } = await setting(world);
    const wire = await connect(node.port);
    const head = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
    await wire.send(Buffer.concat([head, request('GET', '/ready')]));
    assert.equal((await wire.answer()).status, 200);
});

/** An address of this machine that is not loopback, if it has one. */
function ownAddress() {
    const all = Object.values(networkInterfaces()).flat();
    return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

const EVERYONE = { host: '0.0.0.0', trusted_networks: ['0.0.0.0/0'] };

/** As from another machine: its address is neither loopback nor the one that was called. */
const fromElsewhere = (node, from) => connect(node.port, { from });
const noOther = ownAddress() ? false : 'this machine has no address but loopback';

test('the machine itself needs no header, by whichever of its addresses', async (world) => {
    const { node } = await setting(world, EVERYONE);
    assert.equal((await call(node.port, 'GET', '/ready')).status, 200);
    assert.equal((await post(node.port)).status, 200);
    if (noOther) return;
    const wire = await connect(node.port, { to: ownAddress() });
    await wire.send(messagesRequest());
    const answer = await wire.answer();
    assert.equal(answer.status, 200);
    assert.equal((await node.finished(answer)).client, ownAddress());
    const asked = await weir(['health', '--url', `http://${ownAddress()}:${node.port}`]);
    assert.equal(asked.code, 0, asked.err);
});

test('a socket for both kinds of addresses knows a balancer and itself by either', async (world) => {
    const { node } = await setting(world, { host: '::' });
    for (const to of ['127.0.0.1', '::1']) {
        const told = await connect(node.port, { to });
        await told.send(Buffer.concat([line('192.168.7.9'), messagesRequest()]));
        assert.equal((await node.finished(await told.answer())).client, '192.168.7.9');
        const own = await connect(node.port, { to });
        await own.send(messagesRequest());
        assert.equal((await node.finished(await own.answer())).client, to);
    }
});

test('another peer without one is let go, in words on what to do', { skip: noOther }, async (world) => {
    const { node } = await setting(world, EVERYONE);
    for (let i = 0; i < 3; i++) {
        const wire = await fromElsewhere(node, ownAddress());
        await wire.send(messagesRequest());
        assert.ok(await wire.closed());
    }
    await node.log.find('words on what to do', isAbout('send-proxy-v2'));
    const said = node.lines.filter((one) => one.includes('send-proxy-v2'));
    assert.equal(said.length, 1, 'said once a minute');
    assert.equal(await refusals(node), 3);
});

const isAbout = (words) => (one) => one.event.includes(words);
const refusals = async (node, options) =>
    (await node.metrics(options)).value('weir_proxy_headers_refused_total');

const LOOPBACKS = ['TCP4 127.0.0.1 10.0.0.1', 'TCP6 ::1 fd00::1', 'TCP6 ::ffff:127.0.0.1 fd00::1'];

test("another machine's loopback is not ours: it makes nobody an operator", { skip: noOther }, async (world) => {
    const { node } = await setting(world, EVERYONE);
    for (const told of LOOPBACKS) {
        const header = Buffer.from(`PROXY ${told} 1 2\r\n`);
        const wire = await fromElsewhere(node, ownAddress());
        await wire.send(Buffer.concat([header, request('GET', '/status')]));
        ownError(await wire.answer(), 401, 'authentication_error');
        await wire.send(messagesRequest());
        const answer = await wire.answer();
        assert.equal(answer.status, 200, told);
        assert.equal((await node.finished(answer)).client, ownAddress(), told);
    }
    const own = await connect(node.port);
    await own.send(Buffer.concat([line('127.0.0.1'), request('GET', '/status')]));
    assert.equal((await own.answer()).status, 200, 'a balancer here may say that someone here asks');
});

test('checks from the machine itself are answered, whatever is trusted', async (world) => {
    const { node } = await setting(world, { trusted_networks: ['10.0.0.0/8'] });
    assert.equal((await call(node.port, 'GET', '/health')).status, 200);
    const asked = await weir(['health', '--url', `http://127.0.0.1:${node.port}`]);
    assert.equal(asked.code, 0, asked.err);
    ownError(await post(node.port), 401, 'authentication_error');
});

test('who is not trusted may not say who calls', async (world) => {
    const token = 'admin-token-0123456789';
    const server = { proxy_protocol: true, trusted_networks: ['10.0.0.0/8'] };
    const { provider, node } = await world.setting({ config: { server, admin: { token } } });
    for (const header of [binary('10.1.2.3'), line('10.1.2.3')]) {
        const wire = await connect(node.port);
        await wire.send(Buffer.concat([header, messagesRequest()]));
        assert.ok(await wire.closed());
    }
    await node.log.find('words on what to do', isAbout('server.trusted_networks'));
    assert.equal(await refusals(node, { headers: { 'x-admin-token': token } }), 2);
    assert.deepEqual(await provider.log(), []);
});

test('callers of IPv6 are told as well, and decided upon alike', async (world) => {
    const { node } = await setting(world);
    const NAMED = { 'fd00::7': 200, '2001:db8::7': 401, '::ffff:192.168.7.9': 200 };
    for (const [address, status] of Object.entries(NAMED)) {
        const wire = await connect(node.port);
        const header = Buffer.from(`PROXY TCP6 ${address} fd00::1 51234 8080\r\n`);
        await wire.send(Buffer.concat([header, messagesRequest()]));
        const answer = await wire.answer();
        assert.equal(answer.status, status, address);
        if (status !== 200) continue;
        assert.equal((await node.finished(answer)).client, address.replace('::ffff:', ''));
    }
});

test('callers behind one balancer have a share of the memory each', async (world) => {
    const { node } = await setting(world, { max_body_bytes: 4 << 20, memory_bytes: 32 << 20 });
    const greedy = async () => {
        const wire = await connect(node.port);
        const head = `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: ${'h'.repeat(60000)}`;
        wire.send(Buffer.concat([line('192.168.7.9'), Buffer.from(head)])).catch(() => {});
        return wire;
    };
    const wires = await Promise.all(Array.from({ length: 100 }, greedy));
    await eventually('some to be refused', async () =>
        (await node.metrics()).value('weir_budget_refused_total', { kind: 'heads' }) > 0,
    );
    const other = await connect(node.port);
    const bytes = messagesRequest({ headers: { 'x-long': 'h'.repeat(40000) } });
    await other.send(Buffer.concat([line('192.168.7.10'), bytes.subarray(0, 30000)]));
    await other.send(bytes.subarray(30000));
    assert.equal((await other.answer()).status, 200);
    for (const wire of wires) wire.leave();
});

test('who says nothing at all makes room for those who ask', async (world) => {
    const { node } = await setting(world, {}, { files: 300 });
    const silent = await Promise.all(Array.from({ length: 200 }, () => connect(node.port)));
    const ask = async () => {
        const wire = await connect(node.port);
        await wire.send(Buffer.concat([line('192.168.7.9'), messagesRequest()]));
        return (await wire.answer()).status;
    };
    // For a second each may still be about to speak.
    await eventually('room for a request', async () => (await ask()) === 200);
    assert.equal((await call(node.port, 'GET', '/ready')).status, 200);
    const closed = (await node.metrics()).value('weir_client_connections_closed_for_room_total', {
        was: 'silent',
    });
    assert.ok(closed > 0, 'and not only when their time is over');
    for (const wire of silent) wire.leave();
});

test('a reload turns it on and off, for the connections that come then', async (world) => {
    const { node } = await world.setting({ config: { server: {} } });
    const kept = await connect(node.port);
    const ask = async (wire, header) => {
        await wire.send(Buffer.concat([header, messagesRequest()]));
        const answer = await wire.answer();
        return answer.status === 200 ? (await node.finished(answer)).client : answer.status;
    };
    assert.equal(await ask(kept, Buffer.alloc(0)), '127.0.0.1');
    const config = structuredClone(node.config);
    config.server.proxy_protocol = true;
    await node.reload(config);
    assert.equal(await ask(await connect(node.port), line('192.168.7.9')), '192.168.7.9');
    assert.equal(await ask(kept, Buffer.alloc(0)), '127.0.0.1');
    config.server.proxy_protocol = false;
    await node.reload(config);
    assert.equal(await ask(await connect(node.port), line('192.168.7.9')), 400);
});

test('where it is off, the refusal of a header says what to set', async (world) => {
    const { node } = await world.setting();
    const local = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
    for (const header of [line('192.168.7.9'), binary('192.168.7.9'), local]) {
        const wire = await connect(node.port);
        await wire.send(Buffer.concat([header, messagesRequest()]));
        const { error } = ownError(await wire.answer(), 400, 'invalid_request_error');
        assert.match(error.message, /PROXY protocol.*server\.proxy_protocol/);
        const said = await node.event('request refused');
        assert.match(said.reason, /server\.proxy_protocol/);
    }
    const wire = await connect(node.port);
    await wire.send('\r\n\r\nGET / HTTP/1.1\r\n\r\n');
    assert.doesNotMatch((await wire.answer()).text, /PROXY/);
});

test('a header that is none, or never comes, ends the connection and nothing else', async (world) => {
    const { node } = await setting(world, {}, { config: { timeouts: { client_ms: 1000 } } });
    const BAD = [
        Buffer.from('PROXY TCP4 nobody 10.0.0.1 1 2\r\n'),
        Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`),
        Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])]),
        Buffer.concat([SIGNATURE, Buffer.from([0x31, 0x11, 0, 0])]),
    ];
    for (const bytes of BAD) {
        const wire = await connect(node.port);
        await wire.send(bytes);
        assert.ok(await wire.closed());
    }
    const silent = await connect(node.port);
    assert.ok(await silent.closed({ ms: 4000 }), 'in the time of a head, at most five seconds');
    const left = await connect(node.port);
    await left.send('PRO');
    left.leave();
    const good = await connect(node.port);
    await good.send(Buffer.concat([line('192.168.7.9'), messagesRequest()]));
    assert.equal((await good.answer()).status, 200);
    good.leave();
    await eventually('connections to be gone', async () =>
        (await node.metrics()).value('weir_client_connections') <= 1,
    );
    assert.equal((await node.metrics()).value('weir_proxy_headers_refused_total'), 5);
});

test('a node that leaves still serves who has just come through the balancer', async (world) => {
    const { node } = await setting(world);
    const wire = await connect(node.port);
    await wire.send(Buffer.from('PROXY TCP4 192.168.'));
    node.child.signal('SIGTERM');
    await node.event('SIGTERM: leaving');
    await wire.send(Buffer.concat([Buffer.from('7.9 10.0.0.1 1 2\r\n'), messagesRequest()]));
    const answer = await wire.answer();
    assert.equal(answer.status, 200);
    await node.stop();
});

const hasHaproxy = spawnSync('haproxy', ['-v']).status === 0;

test(
    'behind HAProxy as deploy/ has it a node sees who calls',
    { skip: hasHaproxy ? false : 'haproxy is not installed' },
    async (world) => {
        const files = ['deploy/config/config.json', 'docker-compose.yml'];
        const [server, compose] = await Promise.all(
            files.map((file) => readFile(`${PATHS.root}/${file}`, 'utf8')),
        );
        const [, on] = compose.match(/^ +WEIR_PROXY_PROTOCOL: "(\w+)"/m);
        const { node } = await world.setting({
            config: JSON.parse(server),
            env: { WEIR_PROXY_PROTOCOL: on },
        });
        const balancer = await world.balancer([node.port]);
        await eventually('HAProxy to find the node', async () =>
            (await call(balancer.port, 'GET', '/ready')).status === 200,
        );
        const wire = await connect(balancer.port, { from: '127.0.0.5' });
        await wire.send(messagesRequest());
        const answer = await wire.answer();
        assert.equal(answer.status, 200);
        assert.equal((await node.finished(answer)).client, '127.0.0.5');
        assert.equal(await refusals(node), 0, 'its checks have a header, too');
    },
);

const withHaproxy = { skip: hasHaproxy ? false : 'haproxy is not installed' };

test('Prometheus asks each node through HAProxy, and nothing else passes there', withHaproxy, async (world) => {
    const token = 'a-long-random-word';
    const setting = { server: { proxy_protocol: true }, admin: { token } };
    const { node } = await world.setting({ config: setting });
    const other = await world.node({ id: 'n2', config: { ...node.config, node: { id: 'n2' } } });
    const { scrapes } = await world.balancer([node.port, other.port]);
    const headers = { authorization: `Bearer ${token}` };
    const ask = (method, port, path, more = headers) =>
        call(scrapes, method, `http://127.0.0.1:${port}${path}`, {
            headers: { host: `127.0.0.1:${port}`, ...more },
        });
    for (const one of [node, other, node, other]) {
        const page = await ask('GET', one.port, '/metrics');
        assert.equal(page.status, 200, page.text);
        assert.match(page.text, new RegExp(`weir_build_info\\{[^}]*node="${one.id}"`));
    }
    assert.equal((await ask('GET', node.port, '/metrics', {})).status, 401);
    assert.equal((await ask('GET', node.port, '/status')).status, 403);
    assert.equal((await ask('POST', node.port, '/metrics')).status, 403);
});
