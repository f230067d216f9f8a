'use strict';
// What every test of the Redis functions needs: the libraries joined exactly as the build joins
// them, and the functions as methods of a Pool.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Server, freePorts, until } = require('./server');

const EMBED = path.join(__dirname, '..', '..', 'scripts', 'embed.cmake');
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

function pairs(flat) {
    const object = {};
    for (let i = 0; i < flat.length; i += 2) {
        object[flat[i]] = flat[i + 1];
    }
    return object;
}

let sequence = 0;

// The parts of a lease's id as people see it.
function partsOf(id) {
    const [, holder, seq] = id.match(/^(.*)-(\d+)$/);
    return { holder, seq };
}

// One caller's view of a pool: the functions of lua/ as methods, on one connection. It is a holder,
// worker 0 of a boot; and every subscription's account is its name, unless a test says otherwise.
class Pool {
    constructor(client, { base = BASE, node = 'n1', boot = '0000000a', version, link = 1 } = {}) {
        Object.assign(this, { client, base, node, boot, link });
        this.known = { epoch: 0 }; // by all that are made of this one
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
        const { client, base, node, boot, version, link } = this;
        const made = { base, node, boot, version, link, ...options };
        const pool = new Pool(options.client || client, made);
        if (pool.base === base) pool.known = this.known;
        return pool;
    }

    get epoch() {
        return this.known.epoch;
    }

    set epoch(epoch) {
        this.known.epoch = epoch;
    }

    // As if nobody had ever used this Redis. (FLUSHALL alone is a loss of data, and noticed.)
    async wipe() {
        await this.redis('FLUSHALL');
        await this.redis('FUNCTION', 'FLUSH');
        await this.loadLibraries();
        this.epoch = 0;
    }

    get holder() {
        return `${this.node}.${this.boot}.0`;
    }

    id() {
        sequence += 1;
        return `${this.holder}-${sequence}`;
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

    async join({ waitedMs = 0, policy = 'take' } = {}) {
        const [word, value] = await this.call('join', this.node, this.boot, waitedMs, policy);
        return { word, value };
    }

    leave() {
        return this.call('leave', this.node, this.boot);
    }

    // Learn the pool's epoch, as a node does before it asks for anything.
    async register({ leaseMs = 15000, mode = 'restore' } = {}) {
        const ask = () => this.compare({ leaseMs, mode, count: 0, open: 1000000 });
        let answer = await ask();
        while (answer.word === 'epoch') {
            this.epoch = answer.epoch;
            answer = await ask();
        }
        return answer;
    }

    // A holder's renewal without a list.
    async compare({ leaseMs = 15000, mode = 'renew', count = 0, open = 0, epoch } = {}) {
        const head = [this.holder, this.link, epoch ?? this.epoch, leaseMs, mode, count, open];
        const [word, known, held, ...lost] = await this.call('renew', ...head, 0, 0, 0);
        return { word, epoch: known, held: +held, lost };
    }

    async admit({
        id = this.id(),
        client = 'bot',
        model = 'model',
        leaseMs = 15000,
        excluded = '',
        labels = '',
        link = this.link,
        epoch,
        waitMs = 0,
        queueMax = 1000,
        weight = 1,
    } = {}) {
        const { holder, seq } = partsOf(id);
        if (!this.epoch) await this.register({ leaseMs });
        const ask = () =>
            this.call(
                'admit',
                holder,
                link,
                epoch ?? this.epoch,
                seq,
                client,
                model,
                leaseMs,
                excluded,
                labels,
                waitMs,
                queueMax,
                weight,
            );
        let reply = await ask();
        if (reply[1] === 'epoch' && epoch === undefined) {
            await this.register({ leaseMs });
            reply = await ask();
        }
        if (reply[0] === 'granted') {
            const [, sub, active, max, how] = reply;
            return { granted: true, id, client, model, sub, active: +active, max: +max, how };
        }
        const [word, reason, retryMs, , ...told] = reply;
        return { granted: false, queued: word === 'queued', id, client, model, reason, retryMs: +retryMs, told: pairs(told) };
    }

    async settle(grant, used = {}) {
        const {
            status = 200,
            outcome = 'ok',
            health = 'none',
            cooldownMs = 0,
            cooldownKind = 'given',
            scope = '',
            reason = '',
            input = 0,
            output = 0,
            cacheRead = 0,
            cacheWrite5m = 0,
            cacheWrite1h = 0,
            durationMs = 0,
            outputEstimated = 0,
            windows = '',
            windowsAgeMs = 0,
        } = used;
        const { holder, seq } = partsOf(grant.id);
        const reply = await this.call(
            'settle',
            holder,
            seq,
            grant.model ?? 'model',
            status,
            outcome,
            health,
            cooldownMs,
            cooldownKind,
            scope,
            reason,
            input,
            output,
            cacheRead,
            cacheWrite5m,
            cacheWrite1h,
            durationMs,
            outputEstimated,
            windows,
            windowsAgeMs,
        );
        return reply[0];
    }

    // Say what is held, a list a holder; the ids that are lost.
    async renew(grants, { leaseMs = 15000, mode = 'renew', only = 0 } = {}) {
        const lost = [];
        if (!this.epoch) await this.register({ leaseMs });
        for (const holder of new Set(grants.map((g) => partsOf(g.id).holder))) {
            const rows = grants
                .filter((g) => partsOf(g.id).holder === holder)
                .map((g) => [partsOf(g.id).seq, g.sub, g.client ?? 'bot', g.model ?? 'model']);
            const ask = () =>
                this.call(
                    'renew',
                    ...[holder, this.link, this.epoch, leaseMs, mode, rows.length, 0, only],
                    ...[0, 99999999999999, ...rows.flat()],
                );
            let reply = await ask();
            if (reply[0] === 'epoch') {
                this.epoch = reply[1];
                reply = await ask();
            }
            lost.push(...reply.slice(3).map((seq) => `${holder}-${seq}`));
        }
        return lost;
    }

    async beat({
        version = '1.0',
        digest = 'd1',
        active = 0,
        leaseMs = 15000,
        workers = 1,
        alone = 0,
        epoch = this.epoch,
        reload = [], // asked, result, words
    } = {}) {
        const head = [this.node, this.boot, version, digest, active, leaseMs, workers, alone];
        const found = pairs(await this.call('beat', ...head, epoch, ...reload));
        return Object.fromEntries(Object.entries(found).map(([word, n]) => [word, Number(n)]));
    }

    // A beat that does the chores, whoever has done them a moment ago.
    async sweep(options = {}) {
        const last = Number(await this.redis('HGET', this.key('sweeps'), 'last_ms'));
        const due = Math.min(last || 0, (await this.now()) - 950);
        await this.redis('HSET', this.key('sweeps'), 'last_ms', `${due}`);
        return this.beat(options);
    }

    // subs: { name: { max, priority, enabled, burst, account } }
    async declare(
        subs,
        { editedMs = 1000, alone = 0, strategy = 'headroom', sessionMs = 18000000 } = {},
    ) {
        const rows = Object.entries(subs).flatMap(
            ([
                name,
                {
                    max = 5,
                    priority = 1,
                    enabled = 1,
                    burst = 0,
                    tier = 1,
                    account = name,
                    limits = '',
                },
            ]) => [
                name,
                account,
                max,
                priority,
                enabled,
                burst,
                tier,
                limits,
            ],
        );
        const reply = await this.call(
            'declare',
            this.node,
            this.boot,
            editedMs,
            alone,
            strategy,
            sessionMs,
            ...rows,
        );
        return { ok: reply[0] === 'ok', generation: +reply[1], behind: +reply[2] };
    }

    // What a person calls.
    mend(verb, ...args) {
        return this.redis('FCALL', `weir_${verb}`, '1', this.base, ...args.map(String));
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
            requests: byKey('request', 'for'),
            clients: all('client'),
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

    // What is held: ids, holders by the order of their expiry.
    async leases() {
        const ids = [];
        for (const holder of await this.redis('ZRANGE', this.key('holders'), '0', '-1')) {
            const seqs = await this.redis('HKEYS', this.key('held', holder));
            ids.push(...seqs.filter((seq) => seq !== '@').map((seq) => `${holder}-${seq}`));
        }
        return ids;
    }

    async events(what) {
        const entries = await this.redis('XRANGE', this.key('events'), '-', '+');
        return entries.map(([, flat]) => pairs(flat)).filter((e) => !what || e.event === what);
    }

    async active(name) {
        const sub = (await this.lines(this.key('slots')))[name];
        return sub ? +sub.active : undefined;
    }

    async now() {
        const [seconds, micros] = (await this.redis('TIME')).map(Number);
        return seconds * 1000 + Math.floor(micros / 1000);
    }

    // Until when the holder of a grant need not renew.
    async expiry(grant) {
        return Number(await this.redis('ZSCORE', this.key('holders'), partsOf(grant.id).holder));
    }

    // As if a holder had not renewed for its lease time.
    lapse(pool = this) {
        return this.redis('ZADD', this.key('holders'), '1', pool.holder);
    }

    // Wait until at least `count` holders have passed their expiry.
    expired(count = 1) {
        return until(
            async () =>
                count <=
                (await this.client.sendCommand([
                    'ZCOUNT',
                    this.key('holders'),
                    '-inf',
                    `${await this.now()}`,
                ])),
            'holders past their expiry',
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
