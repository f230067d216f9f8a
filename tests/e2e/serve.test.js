// Starting: the command line, the config and its errors, keys from the environment, private Redis.
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
    call,
    connect,
    environment,
    eventually,
    freePort,
    key,
    messagesRequest,
    PATHS,
    pause,
    post,
    quiet,
    run,
    test,
    weir,
} from './harness/index.js';

const KEY = 'sk-ant-api03-key-in-a-config-file';
const MINIMAL = { subscriptions: [{ name: 'a', api_key: KEY }], server: { port: 0 } };

async function place(world, files = {}) {
    const dir = world.place('command');
    await mkdir(dir, { recursive: true });
    for (const [name, content] of Object.entries(files)) {
        const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2);
        await writeFile(join(dir, name), text);
    }
    return dir;
}

test('weir --help, weir version and unknown commands', async (world) => {
    const dir = await place(world);
    const help = await weir(['--help'], { dir });
    assert.equal(help.code, 0);
    for (const word of ['serve', 'check', 'status', 'version'])
        assert.match(help.out, new RegExp(word));
    const version = await weir(['version'], { dir });
    assert.equal(version.code, 0);
    assert.match(version.out, /^weir \d+\.\d+\.\d+/);
    for (const args of [['nonsense'], [], ['serve', '--nonsense'], ['check', '--config']]) {
        const wrong = await weir(args, { dir });
        assert.equal(wrong.code, 2, args.join(' '));
        assert.notEqual(wrong.err + wrong.out, '');
    }
});

test('weir check accepts what serves', async (world) => {
    const dir = await place(world, { 'weir.json': MINIMAL });
    const good = await weir(['check', '--config', 'weir.json'], { dir });
    assert.equal(good.code, 0, good.err);
    assert.ok(!(good.out + good.err).includes(KEY));
});

test('a node that may not open enough files says so and ends', async (world) => {
    const redis = { url: 'redis://127.0.0.1:1' };
    const config = { ...MINIMAL, server: { port: 0, workers: 8 }, redis };
    const dir = await place(world, { 'weir.json': config });
    const env = environment(dir, { ASAN_OPTIONS: 'detect_leaks=0' }); // that needs files itself
    for (const files of [6, 12, 24]) {
        const script = `ulimit -n ${files}; exec "$0" serve --config weir.json`;
        const { code, err } = await run('sh', ['-c', script, PATHS.weir], { cwd: dir, env });
        assert.equal(code, 1, err);
        assert.match(err, /"level":"error".*Too many open files/);
    }
});

const sub = (fields) => ({ subscriptions: [{ name: 'a', api_key: KEY, ...fields }] });
const WRONG = [
    ['no JSON', '{ "subscriptions": [\n  { "name": "a",, }\n] }', [/weir\.json:2/]],
    ['an unknown field', { ...MINIMAL, sever: {} }, [/weir\.json/, /sever/, /server/]],
    ['an unknown field deep inside', { ...MINIMAL, server: { prot: 1 } }, [/server\.prot/, /port/]],
    [
        'a field of a later version',
        { ...MINIMAL, queue: { hold_s: 5 } },
        [/queue/, /not supported/],
    ],
    [
        'another strategy',
        { ...MINIMAL, routing: { strategy: 'fastest' } },
        [/routing\.strategy/, /drain-soonest/],
    ],
    ['no subscriptions', { server: {} }, [/subscriptions/]],
    ['an empty list', { subscriptions: [] }, [/subscriptions/]],
    ['no key', { subscriptions: [{ name: 'a' }] }, [/subscriptions\[0\]/, /api_key/]],
    ['no name', { subscriptions: [{ api_key: KEY }] }, [/subscriptions\[0\]/, /name/]],
    [
        'a name twice',
        { subscriptions: [sub().subscriptions[0], sub().subscriptions[0]] },
        [/subscriptions\[1\]/, /"a"/],
    ],
    [
        'a wrong type',
        sub({ max_concurrent: 'five' }),
        [/subscriptions\[0\]\.max_concurrent/, /five/, /1/],
    ],
    ['a number out of range', sub({ max_concurrent: 0 }), [/max_concurrent/, /1/]],
    ['a fraction', sub({ max_concurrent: 1.5 }), [/max_concurrent/]],
    ['a wrong URL', sub({ base_url: 'ftp://x' }), [/base_url/]],
    ['a name with blanks', sub({ name: 'a b' }), [/name/]],
    [
        'a field twice',
        '{"subscriptions":[{"name":"a","name":"b","api_key":"k-0123456789"}]}',
        [/name/],
    ],
    ['a port out of range', { ...MINIMAL, server: { port: 70000 } }, [/server\.port/, /65535/]],
    ['half of TLS', { ...MINIMAL, server: { tls: { cert: 'x.pem' } } }, [/server\.tls/]],
    [
        'a network that is none',
        { ...MINIMAL, server: { trusted_networks: ['10.0.0.0/99'] } },
        [/trusted_networks/],
    ],
    ['a redis.url that is none', { ...MINIMAL, redis: { url: 'http://x' } }, [/redis\.url/]],
    ['a name with a port', { ...MINIMAL, server: { names: ['a:1'] } }, [/server\.names\[0\]/, /port/]],
];

test('a config error names the file, the place and what was expected; exit 2', async (world, t) => {
    for (const [name, content, words] of WRONG) {
        await t.test(name, async () => {
            const dir = await place(world, { 'weir.json': content });
            for (const command of ['check', 'serve']) {
                const result = await weir([command, '--config', 'weir.json'], { dir });
                assert.equal(result.code, 2, `${command}: ${result.err}`);
                const said = result.err + result.out;
                assert.match(said, /weir\.json/);
                for (const word of words) assert.match(said, word);
                assert.ok(!said.includes(KEY), 'the key is shown');
            }
        });
    }
});

test('a file that is not there is named', async (world) => {
    const dir = await place(world);
    for (const command of ['check', 'serve']) {
        const result = await weir([command, '--config', 'missing.json'], { dir });
        assert.equal(result.code, 2);
        assert.match(result.err + result.out, /missing\.json/);
    }
});

test('without a config and without keys it says what to set', async (world) => {
    const dir = await place(world);
    const result = await weir(['serve'], { dir });
    assert.equal(result.code, 2);
    assert.match(result.err + result.out, /ANTHROPIC_API_KEYS/);
});

/** A node without a config file, in a directory with the given files. */
async function fromEnvironment(world, { env, files = {} }) {
    const redis = await world.redis();
    const provider = await world.provider();
    const dir = await place(world, files);
    const node = await world.node({
        dir,
        args: ['serve'],
        env: {
            PORT: '0',
            WEIR_REDIS_URL: redis.url,
            SERVICE_ENDPOINTS: JSON.stringify({ anthropic: [provider.url] }),
            ...env,
        },
    });
    return { redis, provider, node };
}

const ENVIRONMENTS = {
    ANTHROPIC_API_KEYS: { env: { ANTHROPIC_API_KEYS: `${key('one')}, ${key('two')}` }, count: 2 },
    ANTHROPIC_API_KEY: { env: { ANTHROPIC_API_KEY: key('one') }, count: 1 },
    '.env': {
        files: {
            '.env': `# mine\nANTHROPIC_API_KEYS="${key('one')},${key('two')},${key('three')}"\n`,
        },
        count: 3,
    },
    'the environment before .env': {
        env: { ANTHROPIC_API_KEYS: key('one') },
        files: { '.env': `ANTHROPIC_API_KEYS=${key('wrong')},${key('worse')}\n` },
        count: 1,
    },
};

for (const [name, { count, ...options }] of Object.entries(ENVIRONMENTS)) {
    test(`keys from ${name} are enough`, async (world) => {
        const { provider, node } = await fromEnvironment(world, options);
        for (const one of ['one', 'two', 'three', 'wrong']) node.secrets.add(key(one));
        const { subscriptions } = await node.status();
        assert.equal(subscriptions.length, count);
        for (let i = 0; i < count; i++) assert.equal((await post(node.port)).status, 200);
        const used = new Set((await provider.log()).map((record) => record.credential));
        assert.deepEqual(
            [...used].sort(),
            ['one', 'three', 'two']
                .filter((n) => count > ['one', 'two', 'three'].indexOf(n))
                .map(key)
                .sort(),
        );
    });
}

test('WEIR_CONFIG and ./config.json are found, in this order', async (world) => {
    const redis = await world.redis();
    const file = (name) => ({
        subscriptions: [{ name, api_key: KEY }],
        redis: { url: redis.url },
        server: { port: 0 },
    });
    const names = async (env) => {
        const dir = await place(world, {
            'config.json': file('from-here'),
            'other.json': file('from-variable'),
        });
        const node = await world.node({ dir, args: ['serve'], env });
        await eventually(
            'it to be declared',
            async () => (await node.status()).subscriptions.length > 0,
        );
        const { subscriptions } = await node.status();
        await node.stop();
        return subscriptions.filter((s) => s.enabled).map((s) => s.name);
    };
    assert.deepEqual(await names({}), ['from-here']);
    assert.deepEqual(await names({ WEIR_CONFIG: 'other.json' }), ['from-variable']);
});

test('the environment overrides single fields of the file', async (world) => {
    const port = await freePort();
    const state = world.place('state');
    const { node } = await world.setting({
        env: {
            PORT: `${port}`,
            WEIR_NODE_ID: 'from-env',
            LOG_LEVEL: 'error',
            WEIR_STATE_DIR: state,
        },
    });
    assert.equal(node.port, port);
    assert.equal((await node.status()).node.id, 'from-env');
    await post(node.port);
    assert.equal(node.events('exchange finished').length, 0);
});

test('an environment variable that is wrong is named', async (world) => {
    const dir = await place(world, { 'weir.json': MINIMAL });
    for (const [name, value] of [
        ['PORT', 'eighty'],
        ['LOG_LEVEL', 'loud'],
        ['WEIR_REDIS_URL', 'x'],
    ]) {
        const result = await weir(['check', '--config', 'weir.json'], {
            dir,
            env: { [name]: value },
        });
        assert.equal(result.code, 2);
        assert.match(result.err + result.out, new RegExp(name));
    }
});

test('a file made for 0.0.0.0 starts, says so, and serves local callers', async (world) => {
    const { node } = await world.setting({ config: { server: { host: '0.0.0.0' } } });
    const isAbout = (line) => line.level === 'warn' && /server\.host: 0\.0\.0\.0: other machines/.test(line.event);
    await node.log.find('a warning', isAbout);
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await post(node.port, { headers: { 'cf-ray': '1' } })).status, 401);
});

test('a key that is none of Anthropic goes up as a bearer token', async (world) => {
    const provider = await world.provider();
    const [subscription] = world.subscriptions(provider, 1);
    const config = { subscriptions: [{ ...subscription, api_key: 'fk-0123456789' }] };
    const { node } = await world.setting({ provider, config });
    await post(node.port);
    const { headers } = (await provider.log())[0];
    const credentials = headers.filter(([name]) => /^(authorization|x-api-key)$/i.test(name));
    assert.deepEqual(credentials, [['authorization', 'Bearer fk-0123456789']]);
});

test('a port in use is said, exit 1', async (world) => {
    const { node } = await world.setting();
    const dir = await place(world, {
        'weir.json': { ...node.config, server: { port: node.port } },
    });
    const result = await weir(['serve', '--config', 'weir.json'], { dir });
    assert.equal(result.code, 1);
    assert.match(result.err, new RegExp(`${node.port}`));
    assert.match(result.err, /in use/i);
});

test('a certificate that cannot be read is said', async (world) => {
    const files = {
        'weir.json': { ...MINIMAL, server: { port: 0, tls: { cert: 'c.pem', key: 'k.pem' } } },
    };
    const dir = await place(world, { ...files, 'c.pem': 'no certificate', 'k.pem': 'no key' });
    const result = await weir(['serve', '--config', 'weir.json'], { dir });
    assert.ok([1, 2].includes(result.code), `${result.code}`);
    assert.match(result.err, /c\.pem/);
});

test('weir status prints the pool', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2 });
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '50' } });
    await post(node.port);
    const result = await weir(['status', '--config', node.file], {
        dir: node.dir,
        env: { PORT: `${node.port}` },
    });
    assert.equal(result.code, 0, result.err);
    assert.match(result.out, /alpha/);
    assert.match(result.out, /beta/);
    assert.match(result.out, /n1/);
    await node.stop();
    const gone = await weir(['status', '--config', node.file], {
        dir: node.dir,
        env: { PORT: `${node.port}` },
    });
    assert.equal(gone.code, 1);
    assert.match(gone.err, new RegExp(`${node.port}`));
});

/** A node that brings its own Redis. */
async function withPrivateRedis(world, options = {}) {
    const provider = options.provider ?? (await world.provider());
    const state = options.state ?? world.place('state');
    const node = await world.node({
        ...options,
        config: { subscriptions: world.subscriptions(provider, 1), node: { state_dir: state } },
    });
    return { provider, node, state };
}

/** The pid of the redis-server that works in that directory. */
async function redisOf(state) {
    return eventually('its redis-server', async () => {
        for (const entry of await readdir('/proc')) {
            if (!/^\d+$/.test(entry)) continue;
            const line = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
            if (line.includes('redis-server') && line.includes(state)) return Number(entry);
        }
        return 0;
    });
}

test('without redis.url a node has a Redis of its own, on a socket, and ends it', async (world) => {
    const { provider, node, state } = await withPrivateRedis(world);
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await node.get('/health')).json.redis, 'up');
    const pid = await redisOf(state);
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
    assert.match(command, new RegExp(state));
    const tables = await readFile(`/proc/${pid}/net/tcp`, 'utf8');
    assert.ok(tables.length > 0);
    await node.stop();
    await eventually('its redis-server to end', async () => {
        const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        return !line.includes('redis-server');
    });
    await provider.activeReaches(0);
});

test('what was booked in a private Redis is there after a restart', async (world) => {
    const { provider, node, state } = await withPrivateRedis(world);
    await post(node.port);
    await quiet({ node, provider });
    assert.equal((await node.status()).subscriptions[0].total_requests, 1);
    await node.stop();
    const { node: again } = await withPrivateRedis(world, { provider, state });
    await eventually(
        'the totals',
        async () => (await again.status()).subscriptions[0]?.total_requests === 1,
    );
});

test('a private Redis that dies is started again', async (world) => {
    const { node, state } = await withPrivateRedis(world);
    await post(node.port);
    const pid = await redisOf(state);
    process.kill(pid, 'SIGKILL');
    await eventually('another redis-server', async () => (await redisOf(state)) !== pid);
    await eventually('a request to be served', async () => (await post(node.port)).status === 200);
});

test('a node killed with -9 finds its private Redis again', async (world) => {
    const { provider, node, state } = await withPrivateRedis(world);
    await post(node.port);
    await quiet({ node, provider });
    await node.kill9();
    const { node: again } = await withPrivateRedis(world, { provider, state });
    await eventually('a request to be served', async () => (await post(again.port)).status === 200);
    const [alpha] = (await again.status()).subscriptions;
    assert.ok(alpha.total_requests >= 1, 'what was booked is there');
});

test('two nodes with one state directory: the second is told', async (world) => {
    const { node, state } = await withPrivateRedis(world);
    const dir = await place(world, {
        'weir.json': { ...node.config, node: { id: 'n2', state_dir: state } },
    });
    const result = await weir(['serve', '--config', 'weir.json'], { dir });
    assert.equal(result.code, 1);
    assert.ok(result.err.includes(state), result.err);
    assert.equal((await post(node.port)).status, 200);
});

test('if redis-server is missing the error says how to get it', async (world) => {
    const empty = await place(world);
    const dir = await place(world, {
        'weir.json': { ...MINIMAL, node: { state_dir: join(empty, 's') } },
    });
    const result = await weir(['serve', '--config', 'weir.json'], { dir, env: { PATH: empty } });
    assert.equal(result.code, 1);
    assert.match(result.err, /redis-server/);
    assert.match(result.err, /apt|install/);
    assert.match(result.err, /redis\.url|WEIR_REDIS_URL/);
});

test('a state directory that cannot be made is said', async (world) => {
    const dir = await place(world, { file: 'not a directory' });
    const state = join(dir, 'file', 'state');
    await writeFile(
        join(dir, 'weir.json'),
        JSON.stringify({ ...MINIMAL, node: { state_dir: state } }),
    );
    const result = await weir(['serve', '--config', 'weir.json'], { dir });
    assert.ok([1, 2].includes(result.code));
    assert.match(result.err, /state/);
});

test('the default node id tells apart nodes on one machine', async (world) => {
    const { node } = await world.setting({ config: { node: { id: undefined } } });
    assert.match((await node.status()).node.id, new RegExp(`${node.port}`));
});

test('a node with few files to open serves all, some later', async (world) => {
    const { provider, node } = await world.setting({ files: 300 });
    const wires = await Promise.all(Array.from({ length: 200 }, () => connect(node.port)));
    const answered = wires.map(async (wire) => {
        await wire.send(messagesRequest({ headers: { connection: 'close' } }));
        let answer = await wire.answer();
        while (answer.status === 503) {
            assert.match(answer.header('retry-after') ?? '', /^\d+$/);
            await pause(100); // it said when to come again; that is longer than a test has
            answer = await post(node.port, { headers: { connection: 'close' } });
        }
        return answer.status;
    });
    const statuses = await Promise.all(answered);
    assert.deepEqual(new Set(statuses.filter((status) => status !== 529)), new Set([200]));
    assert.equal((await call(node.port, 'GET', '/health')).status, 200);
    await quiet({ node, provider });
});

test('a config others can read is warned about', async (world) => {
    const dir = await place(world, { 'weir.json': MINIMAL });
    await chmod(join(dir, 'weir.json'), 0o644);
    const result = await weir(['check', '--config', 'weir.json'], { dir });
    assert.equal(result.code, 0);
    assert.match(result.err + result.out, /chmod 600/);
});
