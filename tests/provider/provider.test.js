// The fake provider keeps its own promises, seen over raw sockets: what the other tests conclude
// from it is worth no more than this. Run: node --test tests/provider, with WEIR_PROVIDER naming
// the program (default: build/dev/weir-provider).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

const program = process.env.WEIR_PROVIDER ?? 'build/dev/weir-provider';
const DEADLINE_MS = 20000;
let child, port, controlPort;

before(async () => {
    child = spawn(program, ['--port', '0', '--control-port', '0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise((resolve) => child.stdout.once('data', resolve));
    ({ port, control_port: controlPort } = JSON.parse(line));
});
after(async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
});
beforeEach(() => control('POST', '/reset', { connections: true }));

async function control(method, path, body) {
    const response = await fetch(`http://127.0.0.1:${controlPort}${path}`, {
        method,
        body: body && JSON.stringify(body),
    });
    return { status: response.status, ...(await response.json()) };
}
const faults = (credential, ...scripts) =>
    control('POST', '/faults', { credential, faults: scripts });
const wait = (query) => control('GET', `/wait?${query}`);
const log = async () => (await control('GET', '/log')).requests;

function messages({ stream = false, key = 'k1', text = 'hello', headers = '', more = {} } = {}) {
    const body = JSON.stringify({
        model: 'claude-x',
        messages: [{ role: 'user', content: text }],
        ...more,
        stream,
    });
    return (
        `POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${key}\r\n${headers}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    );
}

/** A raw connection: until(..) waits for what is to come, end tells how it closed. */
function connect() {
    const socket = net.connect(port, '127.0.0.1');
    const chunks = [];
    let wake = () => {};
    const link = { socket, bytes: () => Buffer.concat(chunks), end: null };
    link.text = () => link.bytes().toString('latin1');
    socket.on('data', (chunk) => (chunks.push(chunk), wake()));
    socket.on('error', (error) => ((link.end = error.code), wake()));
    socket.on('close', () => ((link.end ??= 'closed'), wake()));
    link.until = async (isDone) => {
        const deadline = Date.now() + DEADLINE_MS;
        while (!isDone(link)) {
            assert.ok(Date.now() < deadline, `in time; got: ${link.text().slice(-500)}`);
            await new Promise((resolve) => {
                wake = resolve;
                setTimeout(resolve, 500).unref();
            });
        }
        return link;
    };
    return link;
}

async function exchange(request) {
    const link = connect();
    link.socket.write(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    await link.until(() => link.end);
    const [head] = link.text().split('\r\n\r\n', 1);
    return {
        head,
        status: Number(head.split(' ')[1]),
        raw: link.bytes().subarray(head.length + 4),
        end: link.end,
    };
}

/** The payload of a chunked body, and whether its end was there. */
function dechunk(raw) {
    const parts = [];
    for (let at = 0; at < raw.length; ) {
        const line = raw.indexOf('\r\n', at);
        const size = parseInt(raw.subarray(at, line).toString(), 16);
        if (size === 0) return { body: Buffer.concat(parts), isWhole: raw.length === line + 4 };
        parts.push(raw.subarray(line + 2, line + 2 + size));
        at = line + 2 + size + 2;
    }
    return { body: Buffer.concat(parts), isWhole: false };
}
const eventNames = (body) => [...`${body}`.matchAll(/^event: (.*)$/gm)].map((m) => m[1]);
const FRAME = ['message_start', 'content_block_start', 'ping'];
const CLOSING = ['content_block_stop', 'message_delta', 'message_stop'];

test('a stream has the true event grammar and cumulative usage', async () => {
    const { head, raw } = await exchange(messages({ stream: true, text: 'a\\u00e9 "q" 🙂 b' }));
    const { body, isWhole } = dechunk(raw);
    assert.ok(isWhole);
    assert.match(head, /content-type: text\/event-stream/);
    assert.match(head, /request-id: req_/);
    const deltas = Array(5).fill('content_block_delta');
    assert.deepEqual(eventNames(body), [...FRAME, ...deltas, ...CLOSING]);
    const data = [...`${body}`.matchAll(/^data: (.*)$/gm)].map((m) => JSON.parse(m[1]));
    const text = data.map((event) => event.delta?.text ?? '').join('');
    assert.equal(text, 'a\\u00e9 "q" 🙂 b');
    assert.equal(data[0].message.usage.cache_creation.ephemeral_5m_input_tokens, 20);
    assert.equal(data.at(-2).usage.output_tokens, 40);
});

test('a scripted usage is the one in the answer', async () => {
    const cached = { ephemeral_1h_input_tokens: 4 };
    const usage = { input_tokens: 7, output_tokens: 9, cache_creation: cached };
    await faults('k1', { usage }, { usage: null });
    const first = JSON.parse((await exchange(messages())).raw).usage;
    assert.equal(first.input_tokens, 7);
    assert.equal(first.cache_creation_input_tokens, 4);
    assert.equal(first.cache_creation.ephemeral_1h_input_tokens, 4);
    assert.equal(JSON.parse((await exchange(messages())).raw).usage, undefined);
});

test('tools are used when asked for, and not after their result', async () => {
    const tool = {
        name: 'weather',
        input_schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
    };
    const more = { tools: [tool], tool_choice: { type: 'any' } };
    const { raw } = await exchange(messages({ stream: true, more }));
    const text = dechunk(raw).body.toString();
    const parts = text.matchAll(/"partial_json":("(?:[^"\\]|\\.)*")/g);
    const json = [...parts].map((m) => JSON.parse(m[1])).join('');
    assert.deepEqual(JSON.parse(json), { n: 1 });
    assert.match(text, /"stop_reason":"tool_use"/);
    const result = [{ role: 'user', content: [{ type: 'tool_result', content: 'ok' }] }];
    const last = await exchange(messages({ more: { ...more, messages: result } }));
    const answer = JSON.parse(last.raw);
    assert.equal(answer.content[0].type, 'text');
    assert.equal(answer.stop_reason, 'end_turn');
});

test('scripts are consumed in order, times and "*" included', async () => {
    await faults('k1', { status: 429, headers: { 'retry-after': '7' }, times: 2 }, { status: 529 });
    await faults('*', { status: 500, body: 'plain words' });
    const seen = [];
    for (let i = 0; i < 5; i++) seen.push(await exchange(messages()));
    assert.deepEqual(seen.map((s) => s.status), [429, 429, 529, 500, 200]);
    assert.match(seen[0].head, /retry-after: 7/);
    assert.equal(JSON.parse(seen[2].raw).error.type, 'overloaded_error');
    assert.equal(`${seen[3].raw}`, 'plain words');
});

test('unknown fields are refused, in the header too', async () => {
    assert.equal((await faults('k1', { bogus: 1 })).status, 400);
    assert.equal((await faults('k1', { status: 'x' })).status, 400);
    const answer = await exchange(messages({ headers: 'X-Provider-Script: {"bogus":1}\r\n' }));
    assert.equal(answer.status, 400);
    assert.match(`${answer.raw}`, /bogus/);
});

test('cuts leave the framing open', async () => {
    await faults('k1', { close_after_events: 4 }, { close_after_bytes: 10 });
    await faults('k1', { close_before_answer: true });
    await faults('k1', { close_head_after_bytes: 12 }, { close_before_answer: true, reset: true });
    const byEvents = dechunk((await exchange(messages({ stream: true }))).raw);
    assert.equal(eventNames(byEvents.body).length, 4);
    assert.ok(!byEvents.isWhole);
    const byBytes = await exchange(messages());
    assert.equal(byBytes.raw.length, 10);
    assert.match(byBytes.head, /content-length: [1-9]\d\d/);
    assert.equal((await exchange(messages())).head, '');
    assert.equal((await exchange(messages())).head, 'HTTP/1.1 200');
    assert.equal((await exchange(messages())).end, 'ECONNRESET');
    assert.deepEqual((await log()).map((r) => r.state), Array(5).fill('faulted'));
});

test('an error event ends the stream properly', async () => {
    const error = { type: 'overloaded_error', message: 'Full', after_events: 2 };
    await faults('k1', { error_event: error });
    const { body, isWhole } = dechunk((await exchange(messages({ stream: true }))).raw);
    assert.ok(isWhole);
    assert.deepEqual(eventNames(body), ['message_start', 'content_block_start', 'error']);
});

test('sizes, framings and gzip are exact', async () => {
    await faults('k1', { text_bytes: 5000, chunked: true });
    await faults('k1', { raw_bytes: 1000000, until_close: true });
    await faults('k1', { text_bytes: 5000, gzip: true });
    await faults('k1', { gzip: true, events: 20, text_bytes: 999 });
    await faults('k1', { content_length: true, events: 3 }, { raw_bytes: 300000 });
    const chunked = dechunk((await exchange(messages())).raw);
    assert.equal(JSON.parse(chunked.body).content[0].text.length, 5000);
    const open = await exchange(messages());
    assert.equal(open.raw.length, 1000000);
    assert.doesNotMatch(open.head, /content-length|transfer-encoding/);
    const packed = await exchange(messages());
    assert.match(packed.head, /content-encoding: gzip/);
    assert.equal(JSON.parse(gunzipSync(packed.raw)).content[0].text.length, 5000);
    const stream = gunzipSync(dechunk((await exchange(messages({ stream: true }))).raw).body);
    assert.equal(eventNames(stream).length, 26);
    const texts = [...`${stream}`.matchAll(/"text":"([^"]*)"/g)].map((m) => m[1]);
    assert.equal(texts.join('').length, 999);
    const sized = await exchange(messages({ stream: true }));
    assert.equal(sized.raw.length, Number(/content-length: (\d+)/.exec(sized.head)[1]));
    const raw = dechunk((await exchange(messages({ stream: true }))).raw);
    assert.ok(raw.isWhole && raw.body.length >= 300000);
});

test('held streams go on only when stepped', async () => {
    await faults('k1', { hold: true });
    const link = connect();
    link.socket.write(messages({ stream: true }));
    await wait('credential=k1&active=1');
    assert.equal((await control('POST', '/step', { credential: 'k1', events: 2 })).streams, 1);
    await link.until(() => eventNames(link.text()).length === 2);
    await control('POST', '/step', { credential: 'k1', events: -1 });
    await link.until(() => link.text().endsWith('0\r\n\r\n'));
    assert.equal((await wait('credential=k1&active=0&complete=1')).status, 200);
    link.socket.destroy();
});

test('a client that leaves is seen and counted, also while stalled', async () => {
    await faults('k1', { stall: true }, { stall_after_events: 3 });
    const first = connect();
    first.socket.write(messages());
    const second = connect();
    second.socket.write(messages({ stream: true }));
    assert.equal((await wait('credential=k1&active=2')).status, 200);
    first.socket.destroy();
    second.socket.destroy();
    assert.equal((await wait('credential=k1&active=0&closed=2')).status, 200);
    assert.deepEqual((await log()).map((r) => r.state), ['client_closed', 'client_closed']);
    assert.equal((await wait('active=9&timeout_ms=1')).status, 408);
});

test('the limit answers 429 and the high-water mark is exact', async () => {
    await control('POST', '/limit', { credential: 'k1', limit: 2 });
    await faults('k1', { stall: true, times: 2 });
    const links = [connect(), connect()];
    for (const link of links) link.socket.write(messages());
    await wait('credential=k1&active=2');
    const refused = await exchange(messages());
    assert.equal(refused.status, 429);
    assert.match(refused.head, /retry-after: 1/);
    links[0].socket.destroy();
    assert.equal((await exchange(messages())).status, 200);
    const { credentials } = await control('GET', '/stats');
    assert.equal(credentials.k1.high_water, 2);
    assert.equal(credentials.k1.limited, 1);
    links[1].socket.destroy();
});

test('the log has headers in order and case, and the body by hash', async () => {
    const request = messages({ headers: 'X-OdD:  two  words \r\nx-odd: \xe9\r\n' });
    const link = connect();
    link.socket.write(request, 'latin1');
    await link.until(() => /"service_tier":"standard"}}/.test(link.text()));
    const [record] = await log();
    assert.deepEqual(record.headers.slice(0, 4), [
        ['Host', 'x'],
        ['X-Api-Key', 'k1'],
        ['X-OdD', 'two  words'],
        ['x-odd', 'é'],
    ]);
    const body = request.split('\r\n\r\n')[1];
    assert.equal(record.body_sha256, createHash('sha256').update(body).digest('hex'));
    link.socket.destroy();
});

test('pipelined, chunked and byte-by-byte requests are all served', async () => {
    const body = '{"model":"m","messages":[{"role":"user","content":"x"}]}';
    const chunked =
        'POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' +
        `5\r\n${body.slice(0, 5)}\r\n` +
        `${(body.length - 5).toString(16)};a=b\r\n${body.slice(5)}\r\n0\r\nTrailer: yes\r\n\r\n`;
    const all = messages() + chunked + 'GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n';
    const whole = connect();
    whole.socket.write(all);
    await whole.until(() => whole.text().includes('has_more'));
    const slow = connect();
    slow.socket.setNoDelay(true);
    for (const byte of all) {
        slow.socket.write(byte);
        await new Promise(setImmediate);
    }
    await slow.until(() => slow.text().includes('has_more'));
    assert.equal(slow.text().match(/HTTP\/1.1 200/g).length, 3);
    for (const link of [whole, slow]) link.socket.destroy();
});

test('ambiguous requests are refused', async () => {
    const bad = [
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n' +
            '0\r\n\r\n',
        'GET / HTTP/1.1\r\n\r\n',
        'GET / HTTP/1.1\nHost: x\n\n',
        'GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n',
        'GET / HTTP/1.1\r\nHost : x\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    ];
    for (const request of bad) {
        const link = connect();
        link.socket.write(request);
        await link.until(() => link.end);
        assert.match(link.text(), /^HTTP\/1.1 400 /, request);
    }
    assert.equal((await control('GET', '/stats')).malformed, bad.length);
});

test('early answers, 100-continue, drips, delays and bad heads happen as told', async () => {
    const head = 'POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n';
    const early = connect();
    early.socket.write(`${head}X-Provider-Script: {"early_answer":true,"status":413}\r\n\r\n`);
    await early.until(() => early.text().includes('request_too_large'));
    early.socket.write(`1234${messages()}`);
    await early.until(() => early.text().includes('"service_tier"'));
    const expecting = connect();
    expecting.socket.write(`${head}Expect: 100-continue\r\n\r\n`);
    await expecting.until(() => expecting.text() === 'HTTP/1.1 100 Continue\r\n\r\n');
    expecting.socket.write('1234');
    await expecting.until(() => expecting.text().includes('"size_bytes":4'));
    await faults('k1', { drip_bytes: 50, drip_ms: 1, delay_ms: 5 });
    await faults('k1', { bad_head: 'nonsense\r\n\r\n' });
    assert.equal((await exchange(messages())).status, 200);
    assert.equal((await exchange(messages())).head, 'nonsense');
    for (const link of [early, expecting]) link.socket.destroy();
});

test('a huge body flows no faster than it is read', async () => {
    await faults('k1', { raw_bytes: 200000000 });
    const link = connect();
    link.socket.pause();
    link.socket.write(messages());
    await wait('credential=k1&active=1');
    let last = -1;
    for (let sent = 0; sent !== last; ) {
        last = sent;
        await new Promise((resolve) => setTimeout(resolve, 300));
        sent = (await log())[0].bytes_sent;
    }
    assert.ok(last < 50000000, `${last} bytes sent to a reader that does not read`);
    let count = 0;
    link.socket.removeAllListeners('data');
    link.socket.on('data', (chunk) => (count += chunk.length));
    link.socket.resume();
    assert.equal((await wait('credential=k1&active=0&complete=1&timeout_ms=20000')).status, 200);
    link.socket.destroy();
    assert.ok(count > 0);
});

test('with --say every message answers that, streamed or not, and no tool is called', async () => {
    const said = spawn(program, ['--port', '0', '--control-port', '0', '--say', 'It is "deep".'], {
        stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
        const line = await new Promise((resolve) => said.stdout.once('data', resolve));
        const ask = (stream) =>
            fetch(`http://127.0.0.1:${JSON.parse(line).port}/v1/messages`, {
                method: 'POST',
                body: JSON.stringify({
                    model: 'claude-x',
                    stream,
                    tools: [{ name: 'depth', input_schema: { type: 'object' } }],
                    messages: [{ role: 'user', content: 'use the tool' }],
                }),
            });
        const message = await (await ask(false)).json();
        assert.deepEqual(message.content, [{ type: 'text', text: 'It is "deep".' }]);
        assert.equal(message.stop_reason, 'end_turn');
        const events = [...(await (await ask(true)).text()).matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data));
        const deltas = events.filter(({ type }) => type === 'content_block_delta');
        assert.equal(deltas.map(({ delta }) => delta.text).join(''), 'It is "deep".');
    } finally {
        said.kill('SIGTERM');
    }
});
