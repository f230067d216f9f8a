// child.js - a process we started: its lines, its end, and that it does end.
// Every child is known by its pid until it has been reaped; whatever happens to the test process,
// none outlives it.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { Arrivals, within } from './wait.js';

const running = new Set();
const places = new Set(); // directories of tests under way

function kill(pid) {
    try {
        process.kill(pid, 'SIGKILL');
    } catch {
        // gone by itself
    }
}

function commandOf(pid) {
    try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
        return '';
    }
}

/** From now on until forgetPlace(): what works in that directory does not outlive this process. */
export function rememberPlace(dir) {
    places.add(dir);
}

/**
 * Ends what still works there: the Redis of a node that was killed is nobody's child. Returns the
 * commands that it ended.
 */
export function forgetPlace(dir) {
    places.delete(dir);
    const isThere = (pid) => /^\d+$/.test(pid) && commandOf(pid).includes(dir);
    const strays = readdirSync('/proc').filter(isThere).map(Number);
    const commands = strays.map((pid) => commandOf(pid).replaceAll('\0', ' '));
    strays.forEach(kill);
    return commands;
}

function killAll() {
    for (const child of running) kill(child.pid);
    for (const dir of places) {
        forgetPlace(dir);
        rmSync(dir, { recursive: true, force: true });
    }
}
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
        killAll();
        process.exit(1);
    });
}

function splitLines(stream, onLine) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop();
        for (const line of lines) onLine(line);
    });
    stream.on('end', () => {
        if (rest !== '') onLine(rest);
    });
}

export class Child {
    /** `name` is for messages. The environment is only what is given here. */
    constructor(name, command, args, { env = {}, cwd, onLine = () => {} } = {}) {
        this.name = name;
        this.out = new Arrivals();
        this.err = new Arrivals();
        this.result = null; // {code, signal} once it has ended
        this.process = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
        this.pid = this.process.pid;
        if (this.pid !== undefined) running.add(this);
        splitLines(this.process.stdout, (line) => this.out.push(line));
        splitLines(this.process.stderr, (line) => {
            this.err.push(line);
            onLine(line);
        });
        this.ended = new Promise((resolve) => {
            this.process.once('error', (error) => this.#over({ error: error.message }, resolve));
            this.process.once('close', (code, signal) => this.#over({ code, signal }, resolve));
        });
    }

    #over(result, resolve) {
        running.delete(this);
        this.result ??= result;
        const text = `${this.name} has ended: ${JSON.stringify(result)}`;
        this.out.close(text);
        this.err.close(text);
        resolve(this.result);
    }

    get isRunning() {
        return this.result === null;
    }

    signal(name) {
        if (this.isRunning) process.kill(this.pid, name);
    }

    /** Waits for its own end. */
    async wait(ms = 10000) {
        const what = () => `the end of ${this.name}; it last said: ${this.tail(5)}`;
        return within(ms, what, this.ended);
    }

    /** Asks it to end, insists after `ms`; returns how it ended. Fine if it has ended. */
    async end({ signal = 'SIGTERM', ms = 10000 } = {}) {
        if (!this.isRunning) return this.result;
        this.signal('SIGCONT');
        this.signal(signal);
        try {
            return await this.wait(ms);
        } catch (error) {
            this.signal('SIGKILL');
            await this.ended;
            throw error;
        }
    }

    tail(count = 40) {
        return this.err.items.slice(-count).join('\n');
    }
}

/** Runs a program to its end: {code, signal, out, err}. */
export async function run(command, args, { ms = 20000, ...options } = {}) {
    const child = new Child(command, command, args, options);
    try {
        const result = await child.wait(ms);
        return { ...result, out: child.out.items.join('\n'), err: child.err.items.join('\n') };
    } finally {
        await child.end({ signal: 'SIGKILL' });
    }
}
