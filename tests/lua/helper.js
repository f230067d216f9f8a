'use strict';
// What every test of the Redis functions needs: a private redis-server in a temporary folder, the
// libraries joined exactly as the build joins them, and the functions as methods of a Pool.

const { spawn, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { createClient } = require('redis');

const EMBED = path.join(__dirname, '..', '..', 'scripts', 'embed.cmake');
const SERVER = process.env.REDIS_SERVER || 'redis-server';
const BASE = 'weir:{main}';

let libraries;

// The joined sources: { version, functions, status }.
function readLibraries() {
    if (!libraries) {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-lua-'));
        execFileSync('cmake', [`-DLUA_OUT=${folder}`, '-P', EMBED], { stdio: 'inherit' });
        const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8');
        libraries = {
            version: read('version'),
            functions: read('functions.lua'),
            status: read('status.lua'),
        };
        fs.rmSync(folder, { recursive: true });
    }
    return libraries;
}

// A server and a pool with both libraries loaded, for one test file.
async function startPool(args) {
    const server = await Server.start(args);
    const pool = await Pool.load(await server.connect());
    return { server, pool };
}

// `count` TCP ports that are free now. Somebody else may take one before we do.
async function freePorts(count) {
    const servers = [];
    for (let i = 0; i < count; i += 1) {
        servers.push(net.createServer().listen(0, '127.0.0.1'));
        await once(servers[i], 'listening');
    }
    const ports = servers.map((server) => String(server.address().port));
    for (const server of servers) {
        server.close();
        await once(server, 'close');
    }
    return ports;
}

// Poll until `condition` gives something true; fails after `deadlineMs`.
async function until(condition, what, deadlineMs = 10000, pauseMs = 10) {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
        const value = await condition();
        if (value) {
            return value;
        }
        if (Date.now() > deadline) {
            throw new Error(`${what}: not within ${deadlineMs} ms`);
        }
        await sleep(pauseMs);
    }
}

// A redis-server of our own on a Unix socket; `args` are further options of its command line.
class Server {
    static async start(args = []) {
        const server = new Server();
        server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-redis-'));
        server.socket = path.join(server.folder, 'redis.sock');
        server.args = args;
        server.clients = [];
        try {
            await server.run();
        } catch (error) {
            await server.stop();
            throw error;
        }
        return server;
    }

    async run() {
        this.process = spawn(
            SERVER,
            [
                '--port',
                '0',
                '--unixsocket',
                this.socket,
                '--dir',
                this.folder,
                '--save',
                '',
                '--logfile',
                path.join(this.folder, 'log'),
                ...this.args,
            ],
            { stdio: 'ignore' },
        );
        this.exited = once(this.process, 'exit');
        await until(() => this.hasEnded() || this.answers(), 'redis-server');
        if (this.hasEnded()) {
            const log = fs.readFileSync(path.join(this.folder, 'log'), 'utf8').trim();
            throw new Error(`redis-server did not start: ${log.split('\n').pop()}`);
        }
    }

    hasEnded() {
        return this.process.exitCode !== null || this.process.signalCode !== null;
    }

    async answers() {
        const link = net.connect(this.socket);
        try {
            await once(link, 'connect');
            return true;
        } catch {
            return false; // not there yet, or not listening yet
        } finally {
            link.destroy();
        }
    }

    async connect() {
        const client = createClient({
            RESP: 2, // as the node speaks
            socket: { path: this.socket, reconnectStrategy: (tries) => (tries > 200 ? false : 20) },
        });
        client.on('error', () => {}); // reconnects by itself; commands report what they met
        await client.connect();
        this.clients.push(client);
        return client;
    }

    // End this server, by its pid, and start it again on the same data.
    async restart(signal = 'SIGKILL') {
        this.process.kill(signal);
        await this.exited;
        fs.rmSync(this.socket, { force: true });
        await this.run();
    }

    async stop() {
        for (const client of this.clients) {
            client.destroy();
        }
        this.process.kill('SIGKILL');
        await this.exited;
        fs.rmSync(this.folder, { recursive: true, force: true });
    }
}

function pairs(flat) {
    const object = {};
    for (let i = 0; i < flat.length; i += 2) {
        object[flat[i]] = flat[i + 1];
    }
    return object;
}

let sequence = 0;

// One caller's view of a pool: the functions of lua/ as methods, on one connection.
class Pool {
    constructor(client, { base = BASE, node = 'n1', boot = '0000000a', version } = {}) {
        Object.assign(this, { client, base, node, boot });
        this.version = version || readLibraries().version;
    }

    static async load(client, options) {
        const pool = new Pool(client, options);
        await pool.loadLibraries();
        return pool;
    }

    async loadLibraries() {
        const { functions, status } = readLibraries();
        await this.redis('FUNCTION', 'LOAD', 'REPLACE', functions);
        await this.redis('FUNCTION', 'LOAD', 'REPLACE', status);
    }

    // The same pool as another node, boot or connection sees it.
    as(options) {
        const { client, base, node, boot, version } = this;
        return new Pool(options.client || client, { base, node, boot, version, ...options });
    }

    id() {
        sequence += 1;
        return `${this.node}.${this.boot}.0-${sequence}`;
    }

    redis(...args) {
        return this.client.sendCommand(args);
    }

    call(verb, ...args) {
        return this.client.sendCommand([
            'FCALL',
            `weir_${verb}_${this.version}`,
            '1',
            this.base,
            ...args.map(String),
        ]);
    }

    async admit({
        id = this.id(),
        client = 'bot',
        model = 'model',
        leaseMs = 15000,
        excluded = '',
    } = {}) {
        const reply = await this.call('admit', id, client, model, leaseMs, excluded);
        if (reply[0] === 'granted') {
            const [, sub, active, max, how] = reply;
            return { granted: true, id, client, model, sub, active: +active, max: +max, how };
        }
        return { granted: false, id, reason: reply[1], retryMs: +reply[2] };
    }

    async settle(grant, used = {}) {
        const {
            status = 200,
            outcome = 'ok',
            cooldownMs = 0,
            reason = '',
            input = 0,
            output = 0,
            cacheRead = 0,
            cacheWrite5m = 0,
            cacheWrite1h = 0,
            durationMs = 0,
        } = used;
        const reply = await this.call(
            'settle',
            grant.id,
            grant.sub,
            grant.client ?? 'bot',
            grant.model ?? 'model',
            status,
            outcome,
            cooldownMs,
            reason,
            input,
            output,
            cacheRead,
            cacheWrite5m,
            cacheWrite1h,
            durationMs,
        );
        return reply[0];
    }

    renew(grants, { leaseMs = 15000, mode = 'renew' } = {}) {
        return this.call(
            'renew',
            leaseMs,
            mode,
            ...grants.map((g) => `${g.id} ${g.sub} ${g.client ?? 'bot'} ${g.model ?? 'model'}`),
        );
    }

    async sweep({ version = '1.0', digest = 'd1', active = 0, leaseMs = 15000 } = {}) {
        const reply = await this.call(
            'sweep',
            this.node,
            this.boot,
            version,
            digest,
            active,
            leaseMs,
        );
        const [alive, expired, conflict, differ, subscriptions] = reply.map(Number);
        return { alive, expired, conflict, differ, subscriptions };
    }

    // subs: { name: { max, priority, enabled, burst } }
    async declare(subs) {
        const args = Object.entries(subs).flatMap(
            ([name, { max = 5, priority = 1, enabled = 1, burst = 0 }]) => [
                name,
                max,
                priority,
                enabled,
                burst,
            ],
        );
        const reply = await this.call(
            'declare',
            this.node,
            this.boot,
            Object.keys(subs).length,
            ...args,
        );
        return { ok: reply[0] === 'ok', dropped: +reply[1] };
    }

    async snapshot() {
        const sections = await this.client.sendCommand([
            'FCALL_RO',
            `weir_snapshot_${this.version}`,
            '1',
            this.base,
        ]);
        const all = (kind) => sections.filter((s) => s[0] === kind).map((s) => pairs(s[1]));
        const byKey = (kind, key) => Object.fromEntries(all(kind).map((s) => [s[key], s]));
        return {
            pool: all('pool')[0],
            total: all('total')[0],
            today: all('today')[0],
            subs: byKey('subscription', 'name'),
            nodes: byKey('node', 'id'),
        };
    }

    status() {
        return this.redis('FCALL_RO', 'weir_status', '1', this.base);
    }

    key(...parts) {
        return [this.base, ...parts].join(':');
    }

    // A hash whose values are lines of key=value, as objects.
    async lines(key) {
        const hash = pairs(await this.redis('HGETALL', key));
        return Object.fromEntries(
            Object.entries(hash).map(([field, line]) => [
                field,
                Object.fromEntries(line.split(' ').map((pair) => pair.split('='))),
            ]),
        );
    }

    // What is held: ids by the order of their expiry.
    leases() {
        return this.redis('ZRANGE', this.key('leases'), '0', '-1');
    }

    async events(what) {
        const entries = await this.redis('XRANGE', this.key('events'), '-', '+');
        return entries.map(([, flat]) => pairs(flat)).filter((e) => !what || e.event === what);
    }

    async active(name) {
        const sub = (await this.lines(this.key('subs')))[name];
        return sub ? +sub.active : undefined;
    }

    async now() {
        const [seconds, micros] = (await this.redis('TIME')).map(Number);
        return seconds * 1000 + Math.floor(micros / 1000);
    }

    // Wait until at least `count` leases have passed their expiry.
    expired(count = 1) {
        return until(
            async () =>
                count <=
                (await this.client.sendCommand([
                    'ZCOUNT',
                    this.key('leases'),
                    '-inf',
                    `${await this.now()}`,
                ])),
            'leases past their expiry',
        );
    }

    // Somebody sweeps, so that the next call finds a pool that is looked after.
    async sweptRecently() {
        await this.sweep({ leaseMs: 50 });
        await until(
            async () => (await this.snapshot()).pool.grace_ms === '0',
            'the end of the grace',
        );
    }

    // Everything that is stored, byte for byte.
    async dump() {
        const keys = (await this.redis('KEYS', '*')).sort();
        const entries = [];
        for (const key of keys) {
            const type = await this.redis('TYPE', key);
            const read = {
                hash: ['HGETALL', key],
                zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
                list: ['LRANGE', key, '0', '-1'],
                stream: ['XRANGE', key, '-', '+'],
                string: ['GET', key],
                set: ['SMEMBERS', key],
            }[type];
            let content = await this.redis(...read);
            if (type === 'hash') {
                // whose order means nothing
                content = Object.entries(pairs(content)).sort();
            }
            entries.push([key, type, await this.redis('PEXPIRETIME', key), content]);
        }
        return JSON.stringify(entries);
    }
}

module.exports = { BASE, Pool, Server, freePorts, pairs, readLibraries, startPool, until };
