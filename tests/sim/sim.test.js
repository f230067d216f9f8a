'use strict';
// The simulation: its Redis against a real one, what it promises of itself, and a while of worlds.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { readLibraries } = require('../lua/helper');
const { Server } = require('../lua/server');
const { newFolder, run, sim } = require('./helper');

const SECONDS = Number(process.env.WEIR_SIM_SECONDS || 40);
const COMPARED_CALLS = 20000;

let folder;
before(() => {
    folder = newFolder();
});
after(() => fs.rmSync(folder, { recursive: true }));

// --- a real Redis ----------------------------------------------------------------------------------

// The shipped library with a clock and a server's name that can be set, and an order for pairs():
// all that a function may see of chance.
function underControl(source) {
    const [head, ...body] = source.split('\n');
    return `${head}
local function real() return redis end
local redis = (function()
    local door = { register_function = real().register_function }
    function door.error_reply(text) return real().error_reply(text) end
    local function answer(how, name, ...)
        if name == "TIME" then
            local ms = tonumber(real().call("GET", "weir:{main}-now"))
            return { string.format("%.0f", math.floor(ms / 1000)), string.format("%.0f", ms % 1000 * 1000) }
        elseif name == "INFO" then
            return "run_id:" .. real().call("GET", "weir:{main}-run") .. "\\r\\n"
        end
        return how(name, ...)
    end
    function door.call(...) return answer(real().call, ...) end
    function door.pcall(...) return answer(real().pcall, ...) end
    return door
end)()
local function pairs(map)
    local function order_of(key) return type(key) == "table" and key.name or key end
    local keys, i = {}, 0
    for key in next, map do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return order_of(a) < order_of(b) end)
    return function()
        i = i + 1
        return keys[i], map[keys[i]]
    end
end
${body.join('\n')}`;
}

const READ = {
    hash: async (redis, key) => {
        const flat = await redis.sendCommand(['HGETALL', key]);
        const list = [];
        for (let i = 0; i < flat.length; i += 2) list.push([flat[i], flat[i + 1]]);
        return list.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    },
    zset: async (redis, key) => {
        const flat = await redis.sendCommand(['ZRANGE', key, '0', '-1', 'WITHSCORES']);
        const list = [];
        for (let i = 0; i < flat.length; i += 2) list.push([flat[i], flat[i + 1]]);
        return list;
    },
    list: (redis, key) => redis.sendCommand(['LRANGE', key, '0', '-1']),
    set: async (redis, key) => (await redis.sendCommand(['SMEMBERS', key])).sort(),
    stream: async (redis, key) =>
        (await redis.sendCommand(['XRANGE', key, '-', '+'])).map(([, fields]) => fields),
    string: (redis, key) => redis.sendCommand(['GET', key]),
};

// What a real server holds, as compare.lua says it of the stand-in.
async function stateOf(redis) {
    const state = [];
    const keys = (await redis.sendCommand(['KEYS', 'weir:{main}:*'])).sort();
    for (const key of keys) {
        const kind = await redis.sendCommand(['TYPE', key]);
        const expires = (await redis.sendCommand(['PTTL', key])) > 0 ? 1 : 0;
        state.push([key, kind, expires, await READ[kind](redis, key)]);
    }
    return state;
}

async function askReal(redis, source, [kind, ...rest]) {
    if (kind === 'begin') {
        await redis.sendCommand(['FLUSHALL']);
        await redis.sendCommand(['FUNCTION', 'FLUSH']);
        await redis.sendCommand(['FUNCTION', 'LOAD', source]);
        return null;
    } else if (kind === 'call') {
        const [now, name, args] = rest;
        await redis.sendCommand(['SET', 'weir:{main}-now', now]);
        try {
            return [await redis.sendCommand(['FCALL', name, '1', 'weir:{main}', ...args]), ''];
        } catch (error) {
            return ['', error.message.replace(/ script: weir_\w+, on @user_function:\d+\.$/, '')];
        }
    } else if (kind === 'hand') {
        await redis.sendCommand(rest[0].map(String)).catch(() => null);
        return null;
    }
    return stateOf(redis);
}

test('the stand-in answers as the real server does, and stores the same', async () => {
    const { version, functions } = readLibraries();
    const library = path.join(folder, 'functions.lua');
    fs.writeFileSync(library, functions);
    const lines = execFileSync(
        'luajit',
        [path.join(__dirname, 'compare.lua'), library, '7', String(COMPARED_CALLS)],
        { maxBuffer: 1024 * 1024 * 1024 },
    );
    const server = await Server.start([
        ...['--hash-max-listpack-entries', '1000000', '--hash-max-listpack-value', '1000000'],
        ...['--stream-node-max-bytes', '0', '--stream-node-max-entries', '100'],
    ]);
    const source = underControl(functions);
    let calls = 0;
    let runId = '';
    try {
        const redis = await server.connect();
        for (const text of lines.toString().trimEnd().split('\n')) {
            const line = JSON.parse(text);
            if (line[0] === 'begin') runId = line[1];
            const answer = await askReal(redis, source, line);
            if (line[0] === 'begin' || line[0] === 'hand') {
                await redis.sendCommand(['SET', 'weir:{main}-run', runId]);
            } else if (line[0] === 'call') {
                calls += 1;
                const where = `call ${calls}: ${line[2]} ${line[3].join(' ')} at ${line[1]}`;
                assert.deepEqual(answer, [line[4], line[5]], where);
            } else {
                assert.deepEqual(answer, line[1], `what is stored after ${calls} calls`);
            }
        }
    } finally {
        await server.stop();
    }
    assert.ok(calls >= COMPARED_CALLS, `${calls} calls of ${version}`);
});

// --- itself ----------------------------------------------------------------------------------------

test('a seed tells one world, whenever it is run', async () => {
    const trace = () => sim('--seed', '5', '--worlds', '1', '--trace', '1000');
    const [first, again] = [await trace(), await trace()];
    const calls = ({ stdout }) => stdout.split('\n').filter((line) => line.includes(' => '));
    assert.ok(calls(first).length > 1000);
    assert.deepEqual(calls(first), calls(again));
    const other = await sim('--seed', '6', '--worlds', '1', '--trace', '1000');
    assert.notDeepEqual(calls(first), calls(other));
});

test('wrong options are refused', async () => {
    assert.equal((await sim('--seed', 'x')).code, 2);
    assert.equal((await sim('--what')).code, 2);
});

// --- the library -----------------------------------------------------------------------------------

test(`worlds of trouble break no promise for ${SECONDS} s`, async (t) => {
    const seed = 1 + Math.floor(Math.random() * 1e8); // every run sees new ones; it prints them
    const library = path.join(folder, 'shipped.lua');
    fs.writeFileSync(library, readLibraries().functions);
    const args = ['-Omaxtrace=20000', '-Omaxmcode=40960', path.join(__dirname, 'main.lua')];
    const options = ['--library', library, '--seed', String(seed), '--seconds', String(SECONDS)];
    try {
        const { stdout } = await run('luajit', [...args, ...options, '--quiet']);
        t.diagnostic(`from seed ${seed}: ${stdout.trimEnd().split('\n').at(-1)}`);
    } catch (error) {
        assert.fail(`from seed ${seed}:\n${error.stdout}${error.stderr}`);
    }
});
