// The load generator keeps its own promises, seen by a server that looks at what it sends: what the
// bench concludes from it is worth no more than this. WEIR_LOAD names the program (default:
// build/dev/weir-load).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import { after, before, test } from 'node:test';

const program = process.env.WEIR_LOAD ?? 'build/dev/weir-load';
const DEADLINE_MS = 20000;
let server;
let seen = [];
let answer = (response) => response.end('{}');

before(async () => {
    server = http.createServer(async (request, response) => {
        const pieces = [];
        for await (const piece of request) pieces.push(piece);
        const body = Buffer.concat(pieces).toString();
        seen.push({ body, headers: request.headers, connection: request.socket.remotePort });
        answer(response);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => server.close());

/** Runs the generator to its end: {code, out, err}; what the server saw is in `seen`. */
function load(...options) {
    seen = [];
    const url = `http://127.0.0.1:${server.address().port}/v1/messages`;
    const child = spawn(program, [...options, url], { timeout: DEADLINE_MS });
    const result = { out: '', err: '' };
    child.stdout.on('data', (text) => (result.out += text));
    child.stderr.on('data', (text) => (result.err += text));
    return new Promise((resolve) => child.once('close', (code) => resolve({ ...result, code })));
}
const report = (result) => JSON.parse(result.out);

for (const bytes of [500, 4500, 20000, 200000, 1000000]) {
    test(`a made-up body of ${bytes} bytes is a valid request of exactly that size`, async () => {
        const result = await load('-n', '1', '--body-bytes', `${bytes}`);
        assert.equal(result.code, 0, result.err);
        assert.equal(Buffer.byteLength(seen[0].body), bytes);
        const { messages, tools, stream } = JSON.parse(seen[0].body);
        assert.equal(stream, false);
        assert.equal(messages.at(-1).role, 'user');
        messages.forEach((message, i) => {
            assert.equal(message.role, i % 2 === 0 ? 'user' : 'assistant');
        });
        assert.equal(messages.length > 1, bytes > 4000);
        assert.equal(tools !== undefined, bytes > 4000);
    });
}

test('connections are kept from one request to the next', async () => {
    const result = await load('-n', '6', '-c', '2');
    assert.equal(report(result).connects, 2);
    assert.ok(new Set(seen.map((request) => request.connection)).size <= 2);
});

test('without keep-alive each request has a connection of its own, and says so', async () => {
    const result = await load('-n', '6', '-c', '2', '--no-keep-alive');
    assert.equal(result.code, 0, result.err);
    assert.equal(report(result).connects, 6);
    assert.equal(new Set(seen.map((request) => request.connection)).size, 6);
    assert.ok(seen.every((request) => request.headers.connection === 'close'));
});

test('an answer that was not expected is an error, while warming up too', async () => {
    let left = 3;
    answer = (response) => {
        response.statusCode = left-- > 0 ? 503 : 200;
        response.end('{}');
    };
    const cold = await load('-n', '5');
    left = 3;
    const warm = await load('-s', '0.1', '--warmup', '1.5', '--rate', '50');
    answer = (response) => response.end('{}');
    assert.equal(cold.code, 1);
    assert.equal(report(cold).status, 3);
    assert.equal(warm.code, 1);
    assert.equal(report(warm).warmup_errors, 3);
    assert.equal(report(warm).status, 0);
});

test('requests for which there was no time are missing, and an error', async () => {
    answer = () => {};
    const result = await load('-n', '5', '-s', '0.2');
    answer = (response) => response.end('{}');
    assert.equal(result.code, 1);
    assert.equal(report(result).missing, 5);
});

test('a number out of its bounds is refused, with the bounds', async () => {
    for (const [option, value, words] of [
        ['--connections', '0', 'from 1 to 60000'],
        ['--requests', '1e9', 'from 1 to 100000000'],
        ['--seconds', '3601', 'from 0.001 to 3600'],
        ['--body-bytes', '1e9', 'from 0 to 67108864'],
        ['--requests', '1.5', 'whole number'],
        ['--rate', 'fast', 'number'],
    ]) {
        const result = await load(option, value);
        assert.equal(result.code, 2);
        assert.ok(result.err.includes(`${option}: expected a`), result.err);
        assert.ok(result.err.includes(words), result.err);
        assert.equal(seen.length, 0);
    }
});
