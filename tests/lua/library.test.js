'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { Pool, Server, freePorts, readLibraries, startPool, until } = require('./helper');

const EMBED = path.join(__dirname, '..', '..', 'scripts', 'embed.cmake');

async function withServer(args, body) {
    const server = await Server.start(args);
    try {
        await body(server);
    } finally {
        await server.stop();
    }
}

const names = async (client) =>
    (await client.sendCommand(['FUNCTION', 'LIST']))
        .flatMap((library) => library[library.indexOf('functions') + 1].map((f) => f[1]))
        .sort();

// The library as another version of Weir would bring it: other names, same data.
function otherVersion(version) {
    const { functions, version: own } = readLibraries();
    return functions.replaceAll(own, version);
}

test('a server that lost its functions says so, and works again once they are loaded', async () => {
    const { server, pool } = await startPool();
    try {
        await pool.declare({ a: {} });
        const grant = await pool.admit();
        await pool.redis('FUNCTION', 'FLUSH');
        await assert.rejects(pool.admit(), /Function not found/);
        await assert.rejects(pool.status(), /Function not found/);
        await pool.loadLibraries();
        assert.equal(await pool.settle(grant), 'settled');
        await pool.redis('FLUSHALL');
        assert.equal((await pool.admit()).reason, 'restoring', 'and a loss of data is noticed');
    } finally {
        await server.stop();
    }
});

test('loading what is loaded is refused without REPLACE and harmless with it', async () => {
    await withServer([], async (server) => {
        const client = await server.connect();
        const pool = await Pool.load(client);
        await assert.rejects(
            client.sendCommand(['FUNCTION', 'LOAD', readLibraries().functions]),
            /already exists/,
        );
        await pool.declare({ a: {} });
        const grant = await pool.admit();
        await pool.loadLibraries();
        assert.equal(await pool.settle(grant), 'settled');
    });
});

test('two versions work side by side on the same pool', async () => {
    await withServer([], async (server) => {
        const now = await Pool.load(await server.connect());
        await now.redis('FUNCTION', 'LOAD', otherVersion('0ddba110'));
        const next = now.as({ version: '0ddba110', node: 'n2' });
        assert.deepEqual(
            await names(now.client),
            ['admit', 'beat', 'declare', 'join', 'leave', 'renew', 'settle', 'snapshot']
                .concat('cool', 'enable', 'free', 'open', 'recall', 'reload', 'remember', 'strategy')
                .flatMap((verb) => [`weir_${verb}_${now.version}`, `weir_${verb}_0ddba110`])
                .concat('weir_status', 'weir_cool', 'weir_enable', 'weir_free', 'weir_open')
                .concat('weir_recall', 'weir_reload', 'weir_strategy')
                .sort(),
        );
        await now.declare({ a: { max: 4 } });
        await next.declare({ a: { max: 4 } });
        const grants = [];
        for (let i = 0; i < 4; i += 1) {
            grants.push(await (i % 2 ? now : next).admit());
        }
        assert.deepEqual(
            grants.map((g) => g.active),
            [1, 2, 3, 4],
        );
        for (const pool of [now, next]) {
            assert.equal((await pool.admit()).reason, 'full');
        }
        assert.deepEqual(await now.renew(grants), []);
        for (const [i, grant] of grants.entries()) {
            assert.equal(await (i % 2 ? next : now).settle(grant, { input: 1 }), 'settled');
            await (i % 2 ? next : now).sweep();
        }
        assert.deepEqual((await now.snapshot()).total, (await next.snapshot()).total);
        assert.equal((await next.snapshot()).total.input, '4');
        assert.equal(await now.active('a'), 0);
    });
});

test('slots, cooldowns and books survive the end of Redis by kill -9', async () => {
    await withServer(['--appendonly', 'yes', '--appendfsync', 'always'], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: { max: 2 }, b: { max: 1 } });
        await pool.beat();
        const grants = [await pool.admit(), await pool.admit(), await pool.admit()];
        await pool.settle(grants[0], {
            status: 429,
            outcome: 'error',
            cooldownMs: 60000,
            input: 9,
        });
        const before = await pool.dump();
        await server.restart('SIGKILL');
        await until(() => pool.client.isReady, 'the connection');
        assert.equal(await pool.dump(), before);
        assert.equal(await pool.settle(grants[0]), 'duplicate');
        assert.equal(await pool.settle(grants[1]), 'settled');
        assert.deepEqual(await pool.renew([grants[2]]), []);
        assert.equal((await pool.snapshot()).total.input, '9');
    });
});

const KEPT = ['--appendonly', 'yes', '--appendfsync', 'always'];

test('after a restart nothing is admitted before all who lived have registered', async () => {
    await withServer(KEPT, async (server) => {
        const pool = await Pool.load(await server.connect());
        const other = pool.as({ node: 'n2', boot: '0000000b' });
        for (const node of [pool, other]) {
            await node.declare({ a: { max: 9 } });
            await node.beat();
            await node.register();
        }
        const grant = await other.admit();
        await server.restart('SIGTERM');
        await until(() => pool.client.isReady, 'the connection');
        await pool.register();
        const refused = await pool.admit();
        assert.equal(refused.reason, 'restoring');
        assert.ok(refused.retryMs > 10000 && refused.retryMs <= 15000, `${refused.retryMs}`);
        await pool.redis('ZINCRBY', pool.key('boots'), '-20000', 'n2.0000000b');
        await pool.beat(); // however long the other has not been heard of
        await until(async () => (await pool.now()) > Number(pool.epoch) + 3000, 'a moment');
        assert.equal((await pool.admit()).reason, 'restoring', 'one is still missing');
        await other.compare({ count: 1, mode: 'restore' });
        assert.equal((await pool.beat()).known, 0, 'what it knew may be of an older copy');
        assert.equal((await pool.admit()).reason, 'restoring');
        await pool.declare({ a: { max: 9 } });
        assert.equal((await pool.beat()).known, 1);
        assert.equal((await pool.admit()).granted, true, 'now all have registered');
        assert.equal(await other.settle(grant), 'settled');
    });
});

test('after a restart a node alone with its Redis goes on at once', async () => {
    await withServer(KEPT, async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: {} }, { alone: 1 });
        await pool.beat({ alone: 1, active: 1 });
        await pool.admit();
        await server.restart('SIGTERM');
        await until(() => pool.client.isReady, 'the connection');
        await pool.register();
        await pool.declare({ a: {} }, { alone: 1 });
        assert.equal((await pool.admit()).granted, true);
    });
});

test('after FLUSHALL what runs is restored, and nothing is admitted for a lease time', async () => {
    await withServer([], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: { max: 1 } });
        const grant = await pool.admit({ leaseMs: 1000 });
        await pool.redis('FLUSHALL');
        const stranger = pool.as({ node: 'n3', boot: '0000000c' });
        assert.equal((await stranger.call('declare', 'n3', '0000000c', '0', '0', 'headroom', '18000000'))[0], 'ok');
        const [state] = Object.values(await pool.lines(pool.key('slots')));
        assert.ok(Number(state.closed) > Number(state.epoch) + 900, 'closed');
        assert.deepEqual(await pool.renew([grant], { mode: 'restore', leaseMs: 1000 }), []);
        await pool.declare({ a: { max: 1 } });
        assert.equal((await pool.admit({ leaseMs: 1000 })).reason, 'restoring');
        assert.equal(await pool.active('a'), 1);
        assert.equal((await pool.events('epoch began')).at(-1).why, 'emptied');
    });
});

test('a pool that is emptied right after its roster changed is noticed too', async () => {
    await withServer([], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: { max: 1 } });
        await pool.admit();
        await pool.declare({ a: { max: 2 } }); // all that is remembered is forgotten
        await pool.redis('FLUSHALL');
        await assert.rejects(pool.call('open', 'a'), /expected a subscription/);
        assert.equal((await pool.admit({ epoch: pool.epoch })).reason, 'epoch');
        assert.equal((await pool.events('epoch began')).at(-1).why, 'emptied');
    });
});

test('data lost twice: who was waited for is waited for still', async () => {
    await withServer(KEPT, async (server) => {
        const pool = await Pool.load(await server.connect());
        const other = pool.as({ node: 'n2', boot: '0000000b' });
        for (const node of [pool, other]) {
            await node.declare({ a: { max: 9 } });
            await node.beat();
            await node.register();
        }
        await pool.redis('FLUSHALL');
        await pool.register(); // the other one stands still
        await pool.declare({ a: { max: 9 } });
        await pool.beat();
        await server.restart('SIGTERM');
        await until(() => pool.client.isReady, 'the connection');
        await pool.register();
        await until(async () => (await pool.now()) > Number(pool.epoch) + 3000, 'a moment');
        await pool.beat();
        assert.equal((await pool.admit()).reason, 'restoring', 'one may still live');
    });
});

test('a pool that looked new turns out to have lost data when a node comes that knew it', async () => {
    await withServer([], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: { max: 1 } });
        const grant = await pool.admit();
        const known = pool.epoch;
        await pool.wipe(); // a server without memory of it
        await pool.declare({ a: { max: 1 } });
        const answer = await pool.compare({ epoch: known, count: 1 });
        assert.equal(answer.word, 'epoch');
        pool.epoch = answer.epoch;
        assert.equal((await pool.admit()).reason, 'restoring');
        assert.deepEqual(await pool.renew([grant], { mode: 'restore' }), []);
        assert.equal(await pool.active('a'), 1);
    });
});

test('a node too old for the pool is told so by name, and may end what it runs', async () => {
    await withServer([], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: { max: 2 } });
        const [one, two] = [await pool.admit(), await pool.admit()];
        const guard = await pool.redis('HGET', pool.key('slots'), '@');
        const newer = guard.replace('schema=2', 'schema=3').replace('lib=', 'lib=f');
        await pool.redis('HSET', pool.key('slots'), '@', newer);
        for (const call of [
            () => pool.admit(),
            () => pool.beat(),
            () => pool.join(),
            () => pool.declare({ a: {} }),
        ]) {
            await assert.rejects(call, /SCHEMA weir: this pool has schema 3, this node speaks 2/);
        }
        assert.deepEqual(await pool.renew([one, two]), []);
        assert.equal(await pool.settle(one, { input: 1 }), 'settled');
        assert.equal(await pool.settle(two), 'settled');
        assert.match(await pool.redis('HGET', pool.key('slots'), '@'), /^schema=3 /);
    });
});

test('a pool of weir 0.1 is taken over once its nodes are gone, and then closed to them', async () => {
    await withServer([], async (server) => {
        const pool = await Pool.load(await server.connect());
        const line = 'active=1 max=5 state=on priority=1 burst=10 cooling_until=0 used=0';
        await pool.redis('HSET', pool.key('subs'), 'alpha', line);
        await pool.redis('ZADD', pool.key('nodes'), `${await pool.now()}`, 'old-1');
        await assert.rejects(pool.declare({ alpha: {} }), /version 0\.1 \(old-1\) still uses/);
        await pool.redis('ZADD', pool.key('nodes'), `${(await pool.now()) - 15001}`, 'old-1');
        await pool.declare({ alpha: {} });
        assert.equal((await pool.admit()).granted, true);
        await assert.rejects(pool.redis('HGETALL', pool.key('subs')), /WRONGTYPE/);
        assert.match(await pool.redis('GET', pool.key('subs')), /schema 2/);
    });
});

test('everything works in Redis Cluster mode: one pool is one slot', async () => {
    const [port, bus] = await freePorts(2); // cluster mode wants TCP
    const network = ['--bind', '127.0.0.1', '--port', port, '--cluster-port', bus];
    await withServer(['--cluster-enabled', 'yes', ...network], async (server) => {
        const client = await server.connect();
        await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
        await until(
            async () =>
                (await client.sendCommand(['CLUSTER', 'INFO'])).includes('cluster_state:ok'),
            'the cluster',
        );
        const pool = await Pool.load(client);
        await pool.declare({ a: { max: 2, burst: 9 }, b: {} });
        const grant = await pool.admit({ leaseMs: 50 });
        const kept = await pool.admit();
        await pool.lapse();
        await pool.sweep();
        assert.deepEqual(await pool.renew([grant, kept]), []);
        await pool.settle(grant, { status: 429, outcome: 'error', cooldownMs: 1000, input: 1 });
        await pool.sweep();
        await pool.declare({ a: {} });
        await pool.as({ boot: '0000000b' }).declare({ a: {} });
        assert.equal((await pool.snapshot()).total.input, '1');
        assert.match((await pool.status()).join('\n'), /slots in use/);
    });
});

test('a Redis without memory admits nothing more, but what runs may end', async () => {
    await withServer([], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: {} });
        const grant = await pool.admit();
        const held = await pool.admit();
        await pool.redis('CONFIG', 'SET', 'maxmemory', '1');
        await assert.rejects(pool.admit(), /OOM/);
        assert.deepEqual(await pool.renew([held]), []);
        assert.equal(await pool.settle(grant), 'settled');
        assert.equal((await pool.beat()).alive, 1);
        assert.equal(await pool.active('a'), 1);
        assert.equal((await pool.snapshot()).pool.leases, '1');
    });
});

test('pools of one server do not touch each other', async () => {
    await withServer([], async (server) => {
        const main = await Pool.load(await server.connect());
        const other = main.as({ base: 'weir:{other}' });
        await main.declare({ a: { max: 1 } });
        await other.declare({ a: { max: 2 } });
        const grant = await main.admit();
        const before = await main.dump();
        assert.equal((await main.admit()).granted, false);
        assert.equal((await other.admit()).active, 1);
        assert.equal(await other.settle(grant), 'duplicate');
        assert.notEqual(await main.dump(), before);
        assert.equal(await main.active('a'), 1);
    });
});

test('the embedded C source compiles cleanly and holds exactly what the tests load', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-embed-'));
    try {
        const file = path.join(folder, 'functions_source.c');
        execFileSync('cmake', [`-DOUT=${file}`, '-P', EMBED]);
        const main = path.join(folder, 'main.c');
        fs.writeFileSync(
            main,
            `#include <stdio.h>
            extern const char functions_version[9], functions_source[], functions_status_source[];
            extern const size_t functions_source_len, functions_status_source_len;
            int main(void) { printf("%s %zu %zu\\n", functions_version, functions_source_len,
                functions_status_source_len);
                fwrite(functions_source, 1, functions_source_len + 1, stdout);
                return 0; }`,
        );
        const program = path.join(folder, 'main');
        execFileSync('cc', [
            '-std=c17',
            '-Wall',
            '-Wextra',
            '-Wconversion',
            '-Werror',
            file,
            main,
            '-o',
            program,
        ]);
        const { version, functions, status } = readLibraries();
        assert.equal(
            execFileSync(program).toString(),
            `${version} ${functions.length} ${status.length}\n${functions}\0`,
        );
        assert.ok(functions.startsWith(`#!lua name=weir_${version}\n`));
        assert.ok(status.startsWith('#!lua name=weir\n'));
    } finally {
        fs.rmSync(folder, { recursive: true });
    }
});

test('a Lua file that belongs to no library stops the build', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-embed-'));
    try {
        const stray = path.join(folder, 'stray.lua');
        fs.writeFileSync(stray, 'return {}\n');
        assert.throws(
            () =>
                execFileSync('cmake', [`-DLUA_OUT=${folder}`, `-DFILES=${stray}`, '-P', EMBED], {
                    stdio: 'pipe',
                }),
            /belongs to no library/,
        );
    } finally {
        fs.rmSync(folder, { recursive: true });
    }
});

test('the tables of docs/redis-keys.md are what lua/calls.def says, to the byte', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-calls-'));
    try {
        const made = path.join(folder, 'calls.md');
        const script = path.join(path.dirname(EMBED), 'calls.cmake');
        execFileSync('cmake', [`-DCALLS_MD=${made}`, '-P', script]);
        const file = path.join(__dirname, '..', '..', 'docs', 'redis-keys.md');
        const [, written] = fs
            .readFileSync(file, 'utf8')
            .match(/\n<!-- made by: [^\n]*\n([^]*)<!-- end -->\n/);
        const isSame = written === fs.readFileSync(made, 'utf8');
        assert.ok(isSame, 'docs/redis-keys.md is not up to date: scripts/document writes it anew');
    } finally {
        fs.rmSync(folder, { recursive: true });
    }
});
