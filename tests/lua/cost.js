'use strict';
// What an admission and its settlement cost Redis, everything booked and the sweep of every second
// included, beside what they cost before the guard (tests/lua/cost/): microseconds a pair.
//
//   node tests/lua/cost.js [rounds]
//
// Both are measured in the same run, A B A B, each in a server of its own; what counts is the ratio.
// "one": one call at a time. "busy": 16 connections at once. "functions" is what INFO commandstats
// says FCALL took; "server" is the CPU time of the whole server.

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { Pool, Server } = require('./helper');

const ROUNDS = Number(process.argv[2] || 5);
const HELD = 8; // leases held at any time, as on a busy node
const CLIENTS = 10;
const FORMER_ORDER = 'pool subscription book lease admit settle renew sweep declare snapshot functions';

function formerLibrary() {
    const read = (stem) => fs.readFileSync(path.join(__dirname, 'cost', `${stem}.lua`), 'utf8');
    const body = FORMER_ORDER.split(' ')
        .map((stem) => `local ${stem} = (function()\n${read(stem)}end)()\n`)
        .join('');
    const version = crypto.createHash('sha1').update(body).digest('hex').slice(0, 8);
    return { version, source: `#!lua name=weir_${version}\nlocal VERSION = "${version}"\n${body}` };
}

// The calls of before, under the names of today.
class FormerPool extends Pool {
    static async make(client) {
        const { version, source } = formerLibrary();
        await client.sendCommand(['FUNCTION', 'LOAD', 'REPLACE', source]);
        return new FormerPool(client, { version });
    }

    declare(subs) {
        const rows = Object.entries(subs).flatMap(([name, s]) => [name, s.max, 1, 1, s.burst]);
        return this.call('declare', this.node, this.boot, Object.keys(subs).length, ...rows);
    }

    async admit({ client, model }) {
        const id = this.id();
        const [, sub] = await this.call('admit', id, client, model, 15000, '');
        return { id, sub, client, model };
    }

    settle(grant, used) {
        const head = [grant.id, grant.sub, grant.client, grant.model, 200, 'ok', 0, ''];
        const { input, output, cacheRead, durationMs } = used;
        return this.call('settle', ...head, input, output, cacheRead, 0, 0, durationMs);
    }

    sweep() {
        return this.call('sweep', this.node, this.boot, '1', 'd', 0, 15000);
    }
}

async function readUsec(client) {
    const stats = await client.sendCommand(['INFO', 'commandstats']);
    const cpu = await client.sendCommand(['INFO', 'cpu']);
    const times = cpu.match(/used_cpu_(?:user|sys):([\d.]+)/g) || [];
    return {
        functions: Number((stats.match(/cmdstat_fcall:calls=\d+,usec=(\d+)/) || [0, 0])[1]),
        server: times.reduce((sum, line) => sum + Number(line.split(':')[1]), 0) * 1e6,
    };
}

class Contestant {
    static async start(isFormer, subscriptions, burst) {
        const c = new Contestant();
        c.server = await Server.start();
        const client = await c.server.connect();
        c.pool = isFormer ? await FormerPool.make(client) : await Pool.load(client);
        const names = Array.from({ length: subscriptions }, (_, i) => `subscription-${i}`);
        const subs = names.map((name) => [name, { max: 40, burst, account: `account-${name.slice(13)}` }]);
        await c.pool.declare(Object.fromEntries(subs));
        c.lanes = [c.pool];
        for (let i = 1; i < 16; i += 1) {
            const lane = Object.assign(Object.create(c.pool), { client: await c.server.connect() });
            c.lanes.push(lane);
        }
        return c;
    }

    async play(lane, pairs) {
        const held = [];
        for (let i = 0; i < pairs + HELD; i += 1) {
            const asked = { client: `bot-${i % CLIENTS}`, model: `claude-${i % 3}` };
            if (i < pairs) held.push(await lane.admit(asked));
            if (held.length > HELD || i >= pairs) {
                const used = { input: 1200 + (i % 7), output: 300 + (i % 11), cacheRead: 20000 };
                await lane.settle(held.shift(), { ...used, durationMs: 4000 + (i % 13) });
            }
        }
    }

    // Microseconds a pair.
    async measure(lanes, pairs) {
        const before = await readUsec(this.pool.client);
        await this.pool.sweep();
        await Promise.all(this.lanes.slice(0, lanes).map((lane) => this.play(lane, pairs / lanes)));
        const after = await readUsec(this.pool.client);
        return {
            functions: (after.functions - before.functions) / pairs,
            server: (after.server - before.server) / pairs,
        };
    }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function compare(subscriptions, burst) {
    const both = [
        await Contestant.start(true, subscriptions, burst),
        await Contestant.start(false, subscriptions, burst),
    ];
    try {
        for (const [way, lanes] of [
            ['one', 1],
            ['busy', 16],
        ]) {
            const seen = [[], []];
            for (const c of both) await c.measure(lanes, 800);
            for (let round = 0; round < ROUNDS; round += 1) {
                for (const [i, c] of both.entries()) seen[i].push(await c.measure(lanes, 1600));
            }
            const ratio = (what) => median(seen[1].map((now, i) => now[what] / seen[0][i][what]));
            const figure = (i, what) => median(seen[i].map((all) => all[what])).toFixed(1);
            const cells = [subscriptions, burst ? 'on' : 'off', way];
            for (const what of ['functions', 'server']) {
                cells.push(figure(0, what), figure(1, what), ratio(what).toFixed(2));
            }
            console.log(`| ${cells.join(' | ')} |`);
        }
    } finally {
        for (const c of both) await c.server.stop();
    }
}

async function main() {
    console.log('microseconds of Redis per admission and settlement, medians of %d rounds', ROUNDS);
    console.log('| subscriptions | burst | calls | functions before | now | ratio | server before | now | ratio |');
    console.log('|---|---|---|---|---|---|---|---|---|');
    for (const subscriptions of (process.argv[3] || "5,20,500").split(",").map(Number)) {
        for (const burst of [0, 100000]) await compare(subscriptions, burst);
    }
}

main();
