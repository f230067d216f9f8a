// `weir check --live`: each key is shown to its provider as a node would show it, and what the
// provider says is told without showing the key.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { authority, freePort, key, test, weir } from './harness/index.js';

const ERROR = (type, message) => ({ type: 'error', error: { type, message } });

/** A provider that answers by credential: {key: [status, body]}; remembers whom it was asked by. */
async function judge(answers, identity) {
    const asked = [];
    const serve = (request, response) => {
        const { headers } = request;
        const credential = headers['x-api-key'] ?? headers.authorization;
        asked.push({ line: `${request.method} ${request.url}`, credential, headers });
        const answer = answers[credential];
        if (answer === undefined) return; // says nothing
        response.writeHead(answer[0], { 'content-type': 'application/json' });
        response.end(typeof answer[1] === 'string' ? answer[1] : JSON.stringify(answer[1]));
    };
    const server = identity ? createSecureServer(identity, serve) : createServer(serve);
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    server.unref();
    const { port } = server.address();
    return { asked, port, url: `http://127.0.0.1:${port}`, server };
}

/** `weir check --live` with these subscriptions. */
async function checkLive(world, subscriptions, options = {}) {
    const dir = world.place('check');
    const file = join(dir, 'weir.json');
    await mkdir(dir, { recursive: true });
    await writeFile(file, JSON.stringify({ subscriptions }), { mode: 0o600 });
    return weir(['check', '--live', '--config', file], { dir, ...options });
}

/** What it says of each, by name. */
function answersOf(out) {
    const [, table] = out.split(/^SUBSCRIPTION +KEY +ANSWER$/m);
    const rows = [...table.matchAll(/^(\S+) +\S+ #[0-9a-f]{8} +(.*)$/gm)];
    return Object.fromEntries(rows.map(([, name, answer]) => [name, answer]));
}

test('each key is valid, refused, unreachable or not told, and the exit code says whether all are valid', async (world) => {
    const bad = 'sk-ant-api03-bad-0123456789abcdef';
    const odd = 'sk-ant-api03-odd-0123456789abcdef';
    const provider = await judge({
        [key('good')]: [200, { data: [] }],
        'Bearer sk-ant-oat01-login-0123456789abcdef': [200, { data: [] }],
        [bad]: [401, ERROR('authentication_error', 'invalid x-api-key')],
        [odd]: [403, ERROR('permission_error', `${odd} \u001b[31m\u009b31m${'ä'.repeat(300)}`)],
        'Bearer other': [404, '<html>not here'],
    });
    const at = (name, api_key, base_url = provider.url) => ({ name, api_key, base_url });
    const all = [
        at('good', key('good'), `${provider.url}/under`),
        at('login', 'sk-ant-oat01-login-0123456789abcdef'),
        at('bad', bad),
        at('odd', odd),
        at('other', 'other'),
        at('away', key('away'), `http://127.0.0.1:${await freePort()}`),
        { ...at('off', key('good')), enabled: false },
    ];
    const { code, out, err } = await checkLive(world, all);
    provider.server.close();
    const answers = answersOf(out);
    assert.equal(code, 1);
    assert.equal(answers.good, 'valid');
    assert.equal(answers.login, 'valid');
    assert.equal(answers.off, 'valid');
    assert.equal(answers.bad, 'refused: 401 authentication_error: invalid x-api-key');
    assert.match(answers.odd, /^refused: 403 permission_error: \*+ +\[31m +31mä+$/);
    const message = answers.odd.replace(/^refused: 403 permission_error: /, '');
    assert.ok(Buffer.byteLength(message) <= 200 && Buffer.byteLength(message) > 195, message);
    assert.equal(answers.other, 'not told: 404: <html>not here');
    assert.match(answers.away, /^unreachable: .*127\.0\.0\.1/);
    assert.match(out, /^3 of 7 keys are valid$/m);
    for (const { api_key } of all.filter((s) => s.name !== 'other'))
        assert.ok(!`${out}${err}`.includes(api_key), api_key);
    assert.doesNotMatch(out, /[\u001b\u0080-\u009f]/, 'no colours, and nothing that drives a terminal');
    const lines = new Set(provider.asked.map(({ line }) => line));
    assert.deepEqual(lines, new Set(['GET /under/v1/models?limit=1', 'GET /v1/models?limit=1']));
    assert.equal(provider.asked.length, 6, 'one call a key');
    for (const { credential, headers } of provider.asked) {
        assert.equal(headers['anthropic-version'], '2023-06-01');
        const isLogin = credential.startsWith('Bearer sk-ant-oat');
        assert.equal(headers['anthropic-beta'], isLogin ? 'oauth-2025-04-20' : undefined);
        assert.ok(!(headers['x-api-key'] && headers.authorization));
    }
});

test('a redirect is not followed: where it leads no key is shown', async (world) => {
    const elsewhere = await judge({ [key('alpha')]: [200, '{}'] });
    const provider = createServer((request, response) => {
        response.writeHead(307, { location: `${elsewhere.url}/v1/models` });
        response.end();
    });
    await new Promise((resolve) => provider.listen(0, '127.0.0.1', resolve));
    const base_url = `http://127.0.0.1:${provider.address().port}`;
    const { code, out } = await checkLive(world, [{ name: 'alpha', api_key: key('alpha'), base_url }]);
    provider.close();
    elsewhere.server.close();
    assert.equal(code, 1);
    assert.equal(answersOf(out).alpha, 'not told: 307');
    assert.deepEqual(elsewhere.asked, []);
});

test('all valid: exit code 0, at a provider that a node is used with', async (world) => {
    const provider = await world.provider();
    const { code, out } = await checkLive(world, world.subscriptions(provider, 3));
    assert.equal(code, 0, out);
    assert.match(out, /^3 of 3 keys are valid$/m);
    assert.deepEqual(await provider.asked(), { alpha: 1, beta: 1, gamma: 1 });
});

test('the certificates that the subscription trusts are trusted, and no others', async (world) => {
    const ours = await authority(world.dir, 'ours');
    const other = await authority(world.dir, 'other');
    const files = await ours.issue('leaf', ['DNS:localhost']);
    const identity = { cert: await readFile(files.cert), key: await readFile(files.key) };
    const provider = await judge({ [key('alpha')]: [200, '{}'] }, identity);
    const base_url = `https://localhost:${provider.port}`;
    const at = (name, ca_file) => ({ name, api_key: key('alpha'), base_url, ca_file });
    const { code, out } = await checkLive(world, [at('ours', ours.file), at('other', other.file)]);
    provider.server.close();
    const answers = answersOf(out);
    assert.equal(code, 1);
    assert.equal(answers.ours, 'valid');
    assert.match(answers.other, /^unreachable: .*certificate/i);
    assert.equal(provider.asked.length, 1, 'a stranger is shown no key');
});

test('providers that say nothing are waited for all at once, until the deadline', async (world) => {
    const mute = await world.mute();
    const provider = await judge({ [key('good')]: [200, '{}'] });
    const silent = Array.from({ length: 20 }, (_, i) => ({
        name: `silent-${i}`,
        api_key: key(`silent-${i}`),
        base_url: `http://127.0.0.1:${mute.port}`,
    }));
    const good = { name: 'good', api_key: key('good'), base_url: provider.url };
    const { code, out } = await checkLive(world, [...silent, good], { ms: 40000 });
    provider.server.close();
    const answers = answersOf(out);
    assert.equal(code, 1);
    assert.equal(answers.good, 'valid');
    for (const { name } of silent) assert.match(answers[name], /^unreachable: .*timed out/i);
});
