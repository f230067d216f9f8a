// `weir why`: the story of a request, from whichever node is asked; and `weir logs`, for what is older.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, eventually, key, messagesRequest, post, test, weir } from './harness/index.js';

const error = (type, message) => ({ type: 'error', error: { type, message } });
const at = (node) => ['--url', `http://127.0.0.1:${node.port}`];
const idOf = (answer) => answer.header('x-weir-request-id');

const why = (node, id, ...more) => weir(['why', id, ...at(node), ...more], { dir: node.dir });

/** What a node gives its pool within a second. */
async function story(node, id) {
    const { code, out, err } = await why(node, id);
    assert.equal(code, 0, `${id}: ${err}`);
    return out;
}

/** Two nodes of one pool. */
async function pair(world, options = {}) {
    const first = await world.setting({ subscriptions: 2, ...options });
    const second = await world.node({ id: 'n2', config: { ...first.node.config, node: { id: 'n2' } } });
    return { ...first, second };
}

/** alpha fails once, with words and an id of its own. */
function failOnce(provider) {
    return provider.fault('alpha', {
        status: 500,
        headers: { 'request-id': 'req_alpha_1' },
        body: error('api_error', 'Internal server error'),
    });
}

test('any node tells the story of a request that ran on another, by each of its ids', async (world) => {
    const { provider, node, second } = await pair(world);
    await failOnce(provider);
    const answer = await post(node.port, { headers: { 'x-client-id': 'anna' } });
    assert.equal(answer.status, 200);
    const id = idOf(answer);
    const told = await story(second, id);
    assert.match(told, new RegExp(`^${id}: POST /v1/messages, model \\S+; from anna; on node n1 \\(boot`));
    assert.match(told, /alpha answered 500: .*\n {4}it said api_error: "Internal server error"/);
    assert.match(told, /its id of the request is req_alpha_1/);
    assert.match(told, /away from alpha, to another one/);
    assert.match(told, /beta is asked \(.*, 1 of 5 slots in use\)/);
    assert.match(told, /the caller got 200, from beta/);
    assert.match(told, /used \d+ tokens in, \d+ out/);
    const own = (await node.finished(answer)).provider_id;
    for (const other of ['req_alpha_1', own]) assert.equal(await story(second, other), told, other);
});

test('the story is there after its node has left, and after another took its name', async (world) => {
    const { provider, node, second } = await pair(world);
    await failOnce(provider);
    const answer = await post(node.port);
    await node.stop();
    assert.match(await story(second, idOf(answer)), /the caller got 200, from beta/);
    await node.start();
    assert.match(await story(node, idOf(answer)), /the caller got 200, from beta/);
});

test('a program gets the lines as the node logged them', async (world) => {
    const { node, second } = await pair(world);
    const answer = await post(node.port);
    const id = idOf(answer);
    const line = await node.finished(answer);
    await story(second, id);
    const found = await second.get(`/api/requests/${id}`);
    assert.equal(found.status, 200);
    assert.deepEqual(found.json, { id, state: 'finished', lines: [line] });
    const { out } = await why(second, id, '--json');
    assert.deepEqual(JSON.parse(out), found.json);
});

test('what Weir itself refused is found, and who said so', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    const refused = await post(node.port);
    assert.match(await story(node, idOf(refused)), /Weir itself said 529: .*busy/);
    await provider.step('alpha', -1);
    const away = await post(node.port, { headers: { host: 'elsewhere.example' } });
    const id = (await node.event('request turned away')).id;
    assert.equal(away.status, 403);
    assert.match(await story(node, id), /Weir itself turned it away with 403: .*elsewhere/);
});

test('a request that still runs is found on its node, whichever worker has it', async (world) => {
    const { provider, node, second } = await pair(world, { config: { server: { workers: 3 } } });
    const held = await Promise.all(
        Array.from({ length: 6 }, async () => {
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
            return wire;
        }),
    );
    await provider.activeReaches(3, { name: 'alpha' });
    await provider.activeReaches(3, { name: 'beta' });
    const routed = () => node.log.items.filter((line) => line.event === 'route');
    await eventually('all to be logged', () => routed().length === held.length);
    const ids = routed().map((line) => line.id);
    for (const id of ids) {
        const told = await story(node, id);
        assert.match(told, new RegExp(`^${id}: POST /v1/messages, .* on node n1 `));
        assert.match(told, /it still runs, for .* by now; the answer passes, from (alpha|beta)/);
        const { state, lines } = (await node.get(`/api/requests/${id}`)).json;
        assert.deepEqual([state, lines.length, lines[0].step], ['running', 1, 'relay']);
    }
    const [id] = ids;
    const other = await why(second, id);
    assert.match(other.err, /node n1 gave out this id and lives: if the request still runs, that node knows/);
    for (const wire of held) wire.leave();
    await node.activeReaches(0);
    assert.match(await story(second, id), /the caller left before it was over/);
    const never = await why(node, id.replace(/\d+$/, '999'));
    assert.match(never.err, /node n1 gave out this id, and it does not run there/);
});

test('a caller who left and an answer that broke off are told apart', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    wire.leave();
    const gone = await node.event('exchange finished', (line) => line.end === 'client_gone');
    assert.match(await story(node, gone.id), /the caller left before it was over/);
    await provider.fault('alpha', { close_after_events: 4 });
    const cut = await connect(node.port);
    await cut.send(messagesRequest({ stream: true }));
    const broken = await node.event('exchange finished', (line) => line.end === 'broken');
    assert.match(await story(node, broken.id), /the answer, 200, was not whole: .*provider/);
});

test(`a story has no key, and none of what was asked or answered`, async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 2 });
    const message = `invalid x-api-key: ${key('alpha')}`;
    await provider.fault('alpha', { status: 401, body: error('authentication_error', message) });
    const body = { model: 'm', max_tokens: 5, messages: [{ role: 'user', content: 'my-secret-words' }] };
    const answer = await post(node.port, { body: JSON.stringify(body) });
    await story(node, idOf(answer));
    const kept = await redis.cli('HGETALL', 'weir:{main}:history:1');
    assert.ok(kept.includes(idOf(answer)) && kept.includes('invalid x-api-key'), kept);
    for (const secret of [key('alpha'), key('beta'), 'my-secret-words', answer.json.content[0].text]) {
        assert.ok(!kept.includes(secret), secret);
    }
});

test('nothing found says how far back it goes, whose id it is, and where to look', async (world) => {
    const { node, second } = await pair(world);
    const none = await why(second, 'req_unknown');
    assert.equal(none.code, 1);
    assert.match(none.err, /no finished request has the id req_unknown: none is remembered yet/);
    await story(second, idOf(await post(node.port)));
    const boot = (await node.finished(await post(node.port))).boot;
    const lost = await why(second, `weir_${boot}-0-999`);
    assert.equal(lost.code, 1);
    assert.match(lost.err, /searched were the last \d of all nodes, which go back to \d{4}-/);
    assert.match(lost.err, /node n1 gave out this id and lives: if the request still runs, that node knows/);
    assert.match(lost.err, /feed them to `weir logs --id /);
    for (const bad of ['', 'a%20b', 'x'.repeat(129), 'a/b']) {
        const refused = await second.get(`/api/requests/${bad}`);
        assert.equal(refused.status, 400, bad);
        assert.match(refused.json.error.message, /this cannot be the id of a request/);
    }
});

test('stories are an operator\'s, not a stranger\'s', async (world) => {
    const { node } = await world.setting({ config: { admin: { token: 'wonderful-admin-token' } } });
    const id = idOf(await post(node.port));
    assert.equal((await node.get(`/api/requests/${id}`)).status, 401);
    const told = await weir(['why', id, ...at(node)], {
        dir: node.dir,
        env: { WEIR_ADMIN_TOKEN: 'wonderful-admin-token' },
    });
    assert.equal(told.code, 0, told.err);
});

test('while Redis is away stories wait, and are given when it is back', async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port);
    await redis.kill();
    let answer;
    do answer = await post(node.port);
    while (answer.status === 200);
    const away = await why(node, idOf(answer));
    assert.equal(away.code, 1);
    assert.match(away.err, /cannot reach its Redis/);
    await redis.start();
    await eventually('the node to be ready', async () => (await node.get('/ready')).status === 200);
    assert.match(await story(node, idOf(answer)), /Weir itself said 503: .*Redis/);
});

test('with history.requests 0 nothing is kept; a reload changes that', async (world) => {
    const { redis, node } = await world.setting({ config: { history: { requests: 0 } } });
    const answer = await post(node.port);
    const none = await why(node, idOf(answer));
    assert.match(none.err, /history.requests is 0/);
    assert.equal((await redis.cli('EXISTS', 'weir:{main}:history')).trim(), '0');
    await node.writeConfig({ ...node.config, history: { requests: 100 } });
    await weir(['reload', ...at(node)], { dir: node.dir });
    assert.match(await story(node, idOf(await post(node.port))), /the caller got 200/);
});

test('the log of several nodes is shown as people read it, and only what is wanted of it', async (world) => {
    const { provider, node, second } = await pair(world);
    await failOnce(provider);
    const answer = await post(node.port);
    await node.finished(answer);
    await second.finished(await post(second.port));
    const file = join(node.dir, 'all.log');
    const lines = [...node.lines, ...second.lines.map((line) => `weir-2  | ${line}`), 'not of ours \u001b[31m'];
    await writeFile(file, lines.join('\n'));
    const logs = async (...args) => weir(['logs', file, ...args], { dir: node.dir });
    const all = await logs();
    assert.equal(all.code, 0);
    assert.equal(all.out.trimEnd().split('\n').length, lines.length);
    assert.match(all.out, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info {2}n1 listening /m);
    assert.match(all.out, /n2 exchange finished id=weir_\S+ client=127\.0\.0\.1 method=POST/);
    assert.match(all.out, /not of ours \?\[31m$/m);
    const warnings = await logs('--level', 'warn', '--node', 'n1', '--since', '1h');
    assert.match(warnings.out, /^\S+ \S+ warn {2}n1 attempt failed id=.* message="Internal server error"$/m);
    assert.ok(!/ info | n2 /.test(warnings.out));
    assert.match(warnings.err, /1 lines are left out/);
    const one = await logs('--id', idOf(answer));
    assert.ok(one.out.split('\n').every((line) => line === '' || line.includes(idOf(answer))));
    assert.match((await logs('--id', 'req_alpha_1')).out, /attempt failed/);
    const program = await logs('--id', 'req_alpha_1', '--json');
    assert.equal(JSON.parse(program.out.split('\n')[0]).provider_id, 'req_alpha_1');
    assert.equal((await logs('--id', 'nobody')).code, 1);
    assert.equal((await logs('--since', '2099-01-01')).out, '');
    assert.equal((await logs('--since', 'yesterday')).code, 2);
    assert.equal((await logs('--level', 'loud')).code, 2);
});
