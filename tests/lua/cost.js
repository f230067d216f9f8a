'use strict';
// What an admission and its settlement cost Redis, everything booked: microseconds a pair,
// unpipelined.
//
//   node tests/lua/cost.js [pairs]
//
// "functions" is what INFO commandstats says FCALL took, the sweep of every second included: the
// median over batches, and the best tenth (what it costs when nothing else disturbs the machine).
// "server" is the CPU time of the whole server a pair: with reading, answering and (where it is on)
// the append-only file.

const { Pool, Server } = require('./helper');

const COUNT = Number(process.argv[2] || 10000);
const BATCH = 100;
const HELD = 8; // leases held at any time, as on a busy node
const CLIENTS = 10;

async function readFunctionsUsec(client) {
    const stats = await client.sendCommand(['INFO', 'commandstats']);
    return Number((stats.match(/cmdstat_fcall:calls=\d+,usec=(\d+)/) || [0, 0])[1]);
}

async function readServerUsec(client) {
    const cpu = await client.sendCommand(['INFO', 'cpu']);
    const times = cpu.match(/used_cpu_(?:user|sys):([\d.]+)/g) || [];
    return times.reduce((sum, line) => sum + Number(line.split(':')[1]), 0) * 1e6;
}

class Load {
    constructor(pool) {
        this.pool = pool;
        this.held = [];
        this.sweptAt = 0;
    }

    async runPairs(count) {
        for (let i = 0; i < count; i += 1) {
            const asked = { client: `bot-${i % CLIENTS}`, model: `claude-${i % 3}` };
            this.held.push(await this.pool.admit(asked));
            if (this.held.length > HELD) {
                await this.pool.settle(this.held.shift(), {
                    input: 1200 + (i % 7),
                    output: 300 + (i % 11),
                    cacheRead: 20000,
                    durationMs: 4000 + (i % 13),
                });
            }
        }
        if (Date.now() - this.sweptAt > 1000) {
            await this.pool.sweep();
            this.sweptAt = Date.now();
        }
    }
}

async function measure(subscriptions, burst, args) {
    const server = await Server.start(args);
    try {
        const pool = await Pool.load(await server.connect());
        const names = Array.from({ length: subscriptions }, (_, i) => `subscription-${i}`);
        await pool.declare(Object.fromEntries(names.map((name) => [name, { max: 10, burst }])));
        const load = new Load(pool);
        await load.runPairs(1000);
        const batches = [];
        const before = await readServerUsec(pool.client);
        for (let done = 0; done < COUNT; done += BATCH) {
            const start = await readFunctionsUsec(pool.client);
            await load.runPairs(BATCH);
            batches.push(((await readFunctionsUsec(pool.client)) - start) / BATCH);
        }
        const serverUsec = ((await readServerUsec(pool.client)) - before) / COUNT;
        batches.sort((a, b) => a - b);
        const at = (share) => batches[Math.floor(batches.length * share)];
        return [at(0.5), at(0.1), serverUsec];
    } finally {
        await server.stop();
    }
}

async function main() {
    console.log(`microseconds of Redis per admit + settle, ${COUNT} pairs`);
    console.log('subscriptions  burst limit  append-only  functions: median  best tenth  server');
    const aof = ['--appendonly', 'yes'];
    for (const [subscriptions, burst, args] of [
        [5, 0, []],
        [5, 100000, []],
        [20, 0, []],
        [20, 100000, []],
        [5, 100000, aof],
        [20, 100000, aof],
    ]) {
        const [median, best, serverUsec] = await measure(subscriptions, burst, args);
        const cells = [subscriptions, burst ? 'on' : 'off', args.length ? 'on' : 'off'];
        cells.push(...[median, best, serverUsec].map((usec) => usec.toFixed(1)));
        const widths = [13, 11, 11, 17, 10, 6];
        console.log(cells.map((cell, i) => String(cell).padStart(widths[i])).join('  '));
    }
}

main();
