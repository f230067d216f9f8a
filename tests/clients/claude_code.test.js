// Claude Code itself, as a person meets it: started in a terminal for the first time, with the line
// that README says, asked a question, answered through a node. Nothing of this machine counts, and
// the world outside is not reached: what is not for the node goes to a proxy that nobody runs.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { headersOf, key, run, test as worldTest } from '../e2e/harness/index.js';
import { block, recipe } from '../e2e/harness/readme.js';
import { ENTER, Terminal } from '../e2e/harness/terminal.js';
import { answering } from './answer.js';

const folder = join(import.meta.dirname, 'node_modules', '@anthropic-ai', `claude-code-linux-${process.arch}`);
const program = process.env.CLAUDE_BIN ?? join(folder, 'claude');
const skip = existsSync(program) ? false : `no Claude Code: ${program} (scripts/dependencies clients)`;
const test = (name, perform) => worldTest(name, { ms: 120000, skip }, perform);

const QUESTION = 'How deep is the river?';
const ANSWER = 'Three metres and a half, at the old bridge.';

// What it asks on its first day, and what a person takes; null: what is marked.
const DIALOGS = [
    [/Choose the text style/, null],
    [/Security notes[^]*Press Enter to continue/, null],
    [/Yes, I trust this folder/, 'Yes, I trust this folder'],
];
const READY = /^❯[^]*shift\+tab to cycle/m;
// Whoever sees one of these was not let in.
const REFUSALS = /custom API key|Not logged in|Select login method|Please run \/login/i;

/** A person's machine: a home, a project, the program in the PATH, and a node at work. */
async function machine(world) {
    const setting = await world.setting();
    await setting.provider.fault('alpha', answering(ANSWER));
    const home = world.place('home');
    const project = join(home, 'project');
    const programs = join(home, 'bin');
    await mkdir(project, { recursive: true });
    await mkdir(programs);
    await writeFile(join(programs, 'claude'), `#!/bin/sh\nexec '${program}' "$@"\n`, { mode: 0o755 });
    const env = {
        HOME: home,
        PATH: `${programs}:${process.env.PATH}`,
        HTTPS_PROXY: 'http://127.0.0.1:9',
        NO_PROXY: '127.0.0.1',
    };
    return { ...setting, home, project, env };
}

/** Starts it with that line and goes through its questions up to its prompt. */
async function firstStart(line, { project, env }) {
    const terminal = new Terminal(line, { cwd: project, env });
    const any = [READY, REFUSALS, ...DIALOGS.map(([shown]) => shown)].map(({ source }) => source);
    try {
        while (!READY.test((await terminal.shows(new RegExp(any.join('|'), 'im'))).input)) {
            assert.doesNotMatch(terminal.text, REFUSALS);
            const [shown, choice] = DIALOGS.find(([pattern]) => pattern.test(terminal.text));
            if (choice) await terminal.choose(choice);
            else await terminal.press(ENTER, () => !shown.test(terminal.text));
            await terminal.hides(shown);
        }
        return terminal;
    } catch (error) {
        await terminal.end();
        throw error;
    }
}

async function asksAndIsAnswered(line, place) {
    const terminal = await firstStart(line, place);
    try {
        await terminal.type(QUESTION);
        await terminal.shows(/How deep is the river\?/);
        await terminal.type(ENTER);
        await terminal.shows(new RegExp(ANSWER));
        for (const row of terminal.seen) assert.doesNotMatch(row, REFUSALS);
        const asked = (await place.provider.log()).filter(({ target }) => target.startsWith('/v1/messages'));
        assert.ok(asked.length >= 1);
        for (const { credential } of asked) assert.equal(credential, key('alpha'));
        return asked;
    } finally {
        await terminal.end();
    }
}

test('the line of README starts Claude Code without a question about keys, and it is answered', async (world) => {
    const place = await machine(world);
    const asked = await asksAndIsAnswered(recipe('Claude Code', place.node.port), place);
    assert.match(headersOf(asked[0], 'user-agent')[0], /^claude-cli\//);
});

test('the settings.json of docs/clients.md does the same for a bare `claude`', async (world) => {
    const place = await machine(world);
    const settings = block('docs/clients.md', '`~/.claude/settings.json`', place.node.port);
    await mkdir(join(place.home, '.claude'));
    await writeFile(join(place.home, '.claude', 'settings.json'), settings);
    await asksAndIsAnswered('claude', place);
});

test('a name in ANTHROPIC_CUSTOM_HEADERS is the one its tokens are booked under, without a terminal too', async (world) => {
    const place = await machine(world);
    const line = block('docs/clients.md', 'Give it a name', place.node.port);
    const { code, out, err } = await run('sh', ['-c', line], { cwd: place.project, env: place.env, ms: 60000 });
    assert.equal(code, 0, err);
    assert.match(out, new RegExp(ANSWER));
    const { client } = await place.node.event('exchange finished');
    assert.equal(client, 'ada');
});
