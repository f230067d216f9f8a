// A TCP balancer in front says who calls (PROXY protocol), and only a balancer may.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import tls from 'node:tls';
import { mkdir, writeFile } from 'node:fs/promises';
import { authority, call, connect, freePort, messagesRequest, post, request, test } from './harness/index.js';
import { Child } from './harness/child.js';
import { eventually } from './harness/wait.js';

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

const setting = (world, server = {}, more = {}) =>
    world.setting({ config: { server: { proxy_protocol: true, ...server } }, ...more });

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

test('the machine itself needs no header; another peer without one is let go', async (world) => {
    const { node } = await setting(world, {
        host: '0.0.0.0',
        trusted_networks: ['0.0.0.0/0'],
    });
    assert.equal((await call(node.port, 'GET', '/ready')).status, 200);
    assert.equal((await post(node.port)).status, 200);
    const own = await ownAddress();
    if (!own) return;
    const wire = await connect(node.port, { to: own });
    await wire.send(messagesRequest());
    assert.ok(await wire.closed());
    const isAbout = (one) => one.event.includes('send-proxy-v2');
    await node.log.find('words on what to do', isAbout);
    const metrics = await node.metrics();
    assert.equal(metrics.value('weir_proxy_headers_refused_total'), 1);
});

/** An address of this machine that is not loopback, if it has one. */
async function ownAddress() {
    const { networkInterfaces } = await import('node:os');
    for (const list of Object.values(networkInterfaces()))
        for (const one of list) if (one.family === 'IPv4' && !one.internal) return one.address;
    return null;
}

test('who is not trusted may not say who calls', async (world) => {
    const { node } = await setting(world, { trusted_networks: ['10.0.0.0/8'] });
    const wire = await connect(node.port);
    await wire.send(Buffer.concat([binary('10.1.2.3'), messagesRequest()]));
    assert.ok(await wire.closed());
});

test('a header that is none, or never comes, ends the connection and nothing else', async (world) => {
    const { node } = await setting(world);
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
    assert.ok(await silent.closed({ ms: 15000 }));
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
    'behind HAProxy a node sees who calls',
    { skip: hasHaproxy ? false : 'haproxy is not installed' },
    async (world) => {
        const { node } = await setting(world);
        const port = await freePort();
        const dir = world.place('haproxy');
        await mkdir(dir, { recursive: true });
        const file = `${dir}/haproxy.cfg`;
        await writeFile(
            file,
            [
                'defaults',
                '    mode tcp',
                '    timeout connect 1s',
                '    timeout client 10s',
                '    timeout server 10s',
                'frontend f',
                `    bind 127.0.0.1:${port}`,
                '    default_backend b',
                'backend b',
                '    option httpchk GET /ready',
                `    server n 127.0.0.1:${node.port} send-proxy-v2 check check-send-proxy inter 100`,
                '',
            ].join('\n'),
        );
        const child = new Child('haproxy', 'haproxy', ['-f', file], { env: { PATH: process.env.PATH } });
        try {
            await eventually('HAProxy to serve', async () => {
                const answer = await call(port, 'GET', '/ready');
                return answer.status === 200;
            });
            const wire = await connect(port, { from: '127.0.0.5' });
            await wire.send(messagesRequest());
            const answer = await wire.answer();
            assert.equal(answer.status, 200);
            assert.equal((await node.finished(answer)).client, '127.0.0.5');
        } finally {
            await child.end({ signal: 'SIGKILL' });
        }
    },
);
