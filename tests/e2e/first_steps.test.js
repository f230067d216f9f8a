// The first minutes with Weir, as somebody at a terminal has them: which port, who has it, what to
// type next.
import assert from 'node:assert/strict';
import net from 'node:net';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { connect, environment, eventually, freePort, ownError, PATHS, post, request, test, weir } from './harness/index.js';
import { recipe } from './harness/readme.js';
import { Terminal } from './harness/terminal.js';

test('serve --port goes before PORT and the config, and stays through a reload', async (world) => {
    const provider = await world.provider();
    const redis = await world.redis();
    const [said, other] = [await freePort(), await freePort()];
    const node = world.nodeToCome({
        env: { PORT: `${other}` },
        config: {
            subscriptions: world.subscriptions(provider, 1),
            redis: { url: redis.url },
            server: { port: other },
        },
    });
    node.args = ['serve', '--config', node.file, `--port=${said}`];
    await node.start();
    assert.equal(node.port, said);
    assert.equal((await node.reload({ ...node.config, logging: { level: 'info' } })).event.startsWith('reloaded'), true);
    assert.equal((await post(said)).status, 200);
    assert.equal(node.events('reloaded', ({ restart }) => restart).length, 0);
});

test('a port that another Weir has: which process, how to look at it, how to choose another', async (world) => {
    const { node } = await world.setting();
    const dir = world.place('second');
    await mkdir(dir);
    const { code, err } = await weir(['serve', '--config', node.file, '--port', `${node.port}`], { dir });
    assert.equal(code, 1);
    assert.match(err, new RegExp(`port ${node.port}: Address already in use by another Weir, process ${node.pid} `));
    assert.match(err, /--port N, PORT or server\.port/);
    const hint = /`weir (status --url [^`]+)`/.exec(err)[1].split(' ');
    const shown = await weir(hint, { dir });
    assert.equal(shown.code, 0, shown.err);
    assert.match(shown.out, /alpha/);
});

test('a second Weir with a Redis of its own is told what else it needs, and with both it starts', async (world) => {
    const provider = await world.provider();
    const config = { subscriptions: world.subscriptions(provider, 1) };
    const first = await world.node({ config });
    const dir = world.place('second');
    await mkdir(dir);
    const { code, err } = await weir(['serve', '--config', first.file, '--port', `${first.port}`], { dir });
    assert.equal(code, 1);
    assert.match(err, /for a second one choose another port with --port N, .*, and a node\.state_dir of its own or redis\.url/);
    const port = await freePort();
    const second = world.nodeToCome({ config: { ...config, node: { state_dir: dir } } });
    second.args = ['serve', '--config', second.file, '--port', `${port}`];
    await second.start();
    assert.equal((await post(port)).status, 200);
});

test('a port that another program has: which one', async (world) => {
    const { node } = await world.setting();
    const dir = world.place('second');
    await mkdir(dir);
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    try {
        const { port } = server.address();
        const { code, err } = await weir(['serve', '--config', node.file, '--port', `${port}`], { dir });
        assert.equal(code, 1);
        assert.match(err, new RegExp(`port ${port}: Address already in use by [^,]+, process ${process.pid}; choose another`));
        assert.doesNotMatch(err, /another Weir/);
    } finally {
        server.close();
    }
});

test('on a terminal a node says the line of README for Claude Code; in a log it does not', async (world) => {
    const { node } = await world.setting();
    const dir = world.place('second');
    await mkdir(dir);
    const port = await freePort();
    const line = `exec '${PATHS.weir}' serve --config '${node.file}' --port ${port}`;
    const terminal = new Terminal(line, { cwd: dir, env: environment(dir, { WEIR_NODE_ID: 'n2' }) });
    try {
        await terminal.shows(/Claude Code: /);
        const shown = /Claude Code: (.*claude)/.exec(terminal.text.replace(/\n/g, ''))[1];
        assert.equal(shown, recipe('Claude Code', port));
        assert.equal((await post(port)).status, 200);
    } finally {
        terminal.type('\x03');
        await terminal.ended;
    }
    assert.equal(terminal.result.code, 0);
    assert.equal(node.lines.filter((text) => text.includes('ANTHROPIC_AUTH_TOKEN')).length, 0);
});

test('a node in a terminal reloads on SIGHUP while that is there, and leaves when it is closed', async (world) => {
    const { node } = await world.setting();
    const dir = world.place('second');
    await mkdir(dir);
    const port = await freePort();
    const line = `exec '${PATHS.weir}' serve --config '${node.file}' --port ${port}`;
    const terminal = new Terminal(line, { cwd: dir, env: environment(dir, { WEIR_NODE_ID: 'n2', LOG_LEVEL: 'info' }) });
    const pid = async () => {
        const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
        const commands = await Promise.all(all.map((name) => readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')));
        return all.find((_, i) => commands[i].startsWith(`${PATHS.weir}\0serve`) && commands[i].endsWith(`--port\0${port}\0`));
    };
    let found;
    try {
        await terminal.shows(/Claude Code: /);
        found = await pid();
        process.kill(Number(found), 'SIGHUP');
        await terminal.shows(/reloaded|unchanged/);
        assert.equal((await post(port)).status, 200);
        process.kill(terminal.process.pid, 'SIGKILL'); // who holds the terminal is gone, as a window is
        await terminal.ended;
        await eventually('the node to leave', async () => (await pid()) === undefined, { ms: 15000 });
    } finally {
        await terminal.end();
        if (found && (await pid()) === found) process.kill(Number(found), 'SIGKILL');
    }
});

test('a 401 of an admin path names the header of the token, and with it the door opens', async (world) => {
    const { node } = await world.setting({ config: { admin: { token: 'admin-token-0123456789' } } });
    const ask = async (headers) => {
        const wire = await connect(node.port);
        await wire.send(request('GET', '/status', { headers }));
        return wire.answer();
    };
    const refused = await ask({});
    ownError(refused, 401, 'authentication_error');
    const [, name, , prefix] = /"([a-z-]+): TOKEN" or "(authorization): (Bearer )TOKEN"/.exec(refused.json.error.message);
    assert.equal(name, 'x-admin-token');
    assert.equal((await ask({ [name]: node.config.admin.token })).status, 200);
    assert.equal((await ask({ authorization: `${prefix}${node.config.admin.token}` })).status, 200);
});
