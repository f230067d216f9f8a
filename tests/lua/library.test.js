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
        assert.equal((await pool.admit()).reason, 'none', 'FLUSHALL leaves functions alone');
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
            ['admit', 'declare', 'renew', 'settle', 'snapshot', 'sweep']
                .flatMap((verb) => [`weir_${verb}_${now.version}`, `weir_${verb}_0ddba110`])
                .concat('weir_status')
                .sort(),
        );
        await now.declare({ a: { max: 4 } });
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
        assert.equal((await pool.admit()).granted, false);
        assert.equal(await pool.settle(grants[0]), 'duplicate');
        assert.equal(await pool.settle(grants[1]), 'settled');
        assert.deepEqual(await pool.renew([grants[2]]), []);
        assert.equal((await pool.snapshot()).total.input, '9');
    });
});

test('leases that ran out while Redis was away are spared until nodes could renew', async () => {
    await withServer(['--appendonly', 'yes', '--appendfsync', 'always'], async (server) => {
        const pool = await Pool.load(await server.connect());
        await pool.declare({ a: { max: 2 } });
        await pool.sweep();
        const grants = [await pool.admit({ leaseMs: 50 }), await pool.admit({ leaseMs: 50 })];
        const away = await pool.now();
        await server.restart('SIGTERM');
        await until(() => pool.client.isReady, 'the connection');
        await until(async () => (await pool.now()) > away + 3100, 'three seconds without a sweep');
        assert.equal((await pool.sweep({ leaseMs: 500 })).expired, 0);
        assert.equal((await pool.admit({ leaseMs: 500 })).reason, 'full');
        assert.deepEqual(await pool.renew([grants[0]]), []);
        await until(
            async () => (await pool.sweep({ leaseMs: 500 })).expired,
            'the end of the grace',
        );
        assert.deepEqual(await pool.leases(), [grants[0].id]);
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
        await pool.sweptRecently();
        await pool.expired();
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
        assert.equal((await pool.sweep()).alive, 1);
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
