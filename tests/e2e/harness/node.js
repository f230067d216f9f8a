// node.js - a weir node: `weir serve` with a config of its own in a directory of its own.
// Its log is read as it comes; what happens inside is waited for as log events. At its end it must
// have exited with 0, without a sanitizer's report, and without a secret in its log.
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Child, run } from './child.js';
import { call } from './http.js';
import { PATHS } from './paths.js';
import { Metrics } from './prometheus.js';
import { freePort } from './redis.js';
import { Arrivals, eventually, pause } from './wait.js';

const SANITIZER = /(Address|Leak|Undefined\w*|Thread)Sanitizer|runtime error:/;

/** What every weir process of a test gets: nothing of the machine's own settings. */
export function environment(dir, env = {}) {
    return {
        PATH: process.env.PATH,
        HOME: dir,
        ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_stack_use_after_return=1',
        UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? 'print_stacktrace=1',
        ...env,
    };
}

/** Runs `weir ARGS` to its end. */
export function weir(args, { dir, env, ms = 20000 } = {}) {
    return run(PATHS.weir, args, { cwd: dir, env: environment(dir, env), ms });
}

/** Fills in what a test does not care about. Sections are merged, `undefined` removes one. */
function completeConfig(config, id) {
    const base = {
        server: { host: '127.0.0.1', port: 0, workers: 1, drain_seconds: 5 },
        node: { id },
        rate_limit: { burst_limit: 100000 },
        retry: { attempts: 1 },
        queue: { max_wait_ms: 0 }, // what is heard when nothing is free is heard at once
        logging: { level: 'debug', format: 'json' },
    };
    const merged = { ...config };
    for (const [section, fields] of Object.entries(base)) {
        merged[section] =
            section in config && config[section] === undefined
                ? undefined
                : { ...fields, ...config[section] };
    }
    return merged;
}

export class Node {
    /**
     * `config` as in docs/config.md; what a test does not care about is filled in. With `text` the
     * file has exactly that; with `args` those are the command's, and there may be no file at all.
     * `files`: how many it may have open. `shell`: a script that becomes it, for what is different
     * about the machine; its log may go elsewhere then. `supervisor`: the options of the
     * weir-supervisor that starts it (tests/supervisor); the child is that one then, and hands
     * signals on.
     */
    constructor(dir, options = {}) {
        const { id = 'n1', config = {}, text, args, env = {}, files, shell, supervisor } = options;
        this.dir = dir;
        this.id = id;
        this.file = join(dir, 'weir.json');
        this.config = completeConfig(config, id);
        this.text = text;
        this.args = args ?? ['serve', '--config', this.file];
        this.env = env;
        this.shell = files ? `ulimit -n ${files}; exec "$@"` : shell;
        this.isHeard = !shell; // its log comes here
        this.supervisor = supervisor;
        this.isEndExpected = true; // false after kill9(): how it ends is the test's affair
        this.secure = undefined; // how to speak to it, where it speaks TLS: options of connect()
        this.lines = [];
        this.secrets = new Set();
    }

    async start({ ms = 20000 } = {}) {
        await mkdir(this.dir, { recursive: true });
        const level = this.env.LOG_LEVEL ?? this.config.logging?.level;
        const isTerse = !this.isHeard || ['warn', 'error'].includes(level);
        if (isTerse && !this.config.server.port) this.config.server.port = await freePort();
        await this.writeConfig();
        this.log = new Arrivals();
        const [command, args] = this.#command();
        this.child = new Child(`node ${this.id}`, command, args, {
            cwd: this.dir,
            env: environment(this.dir, this.env),
            onLine: (line) => this.#readLine(line),
        });
        this.child.ended.then((result) =>
            this.log.close(`node has ended ${JSON.stringify(result)}`),
        );
        this.isEndExpected = true;
        await (isTerse ? this.#answers(ms) : this.#listens(ms));
        return this;
    }

    #command() {
        const plain = [PATHS.weir, ...this.args];
        if (this.supervisor) return [PATHS.supervisor, [...this.supervisor, ...plain]];
        if (this.shell) return ['sh', ['-c', this.shell, 'sh', ...plain]];
        return [PATHS.weir, this.args];
    }

    /** It says where it listens, once it is ready. */
    async #listens(ms) {
        const isReady = (line) => line.event === 'listening' || /\blistening\b/.test(line.line);
        const ready = await this.log.find('the node to listen', isReady, { ms }).catch((error) => {
            throw new Error(`${error.message}\n${this.child.tail()}`);
        });
        this.port = Number(ready.port ?? /127\.0\.0\.1:(\d+)/.exec(ready.line)[1]);
    }

    /** A node of which nothing is heard while all is well: it answers, once it is ready. */
    async #answers(ms) {
        this.port = Number(this.env.PORT ?? this.config.server.port);
        await eventually(
            'the node to answer',
            async () => {
                if (!this.isRunning) throw new Error(this.child.tail());
                return (await this.get('/ready')).status > 0;
            },
            { ms },
        );
    }

    /** Writes the config file anew; `config`, if given, replaces what was there. */
    async writeConfig(config) {
        if (config) this.config = completeConfig(config, this.id);
        for (const { api_key: key } of this.config.subscriptions ?? [])
            if (key) this.secrets.add(key);
        if (this.config.admin?.token) this.secrets.add(this.config.admin.token);
        const text = this.text ?? JSON.stringify(this.config, null, 2);
        await writeFile(`${this.file}.new`, text, { mode: 0o600 });
        await rename(`${this.file}.new`, this.file); // who watches it never sees half of it
    }

    #readLine(line) {
        this.lines.push(line);
        try {
            this.log.push(JSON.parse(line));
        } catch {
            this.log.push({ event: 'text', line });
        }
    }

    get pid() {
        return this.child.pid;
    }

    get isRunning() {
        return this.child?.isRunning ?? false;
    }

    /** Where the log is now; events can be waited for from there. */
    mark() {
        return this.log.items.length;
    }

    /** The first log line with that event for which `wanted` is true, since `from` or to come. */
    event(name, wanted = () => true, { from = 0, ms = 10000 } = {}) {
        const fits = (line) => line.event === name && wanted(line);
        return this.log.find(`event "${name}" of node ${this.id}`, fits, { from, ms });
    }

    /** All log lines with that event so far. */
    events(name, wanted = () => true) {
        return this.log.items.filter((line) => line.event === name && wanted(line));
    }

    /** The log line of an exchange, by its answer (x-weir-request-id). */
    finished(answer, options) {
        const id = answer.header('x-weir-request-id');
        return this.event('exchange finished', (line) => line.id === id, options);
    }

    async get(path, options) {
        return call(this.port, 'GET', path, { secure: this.secure, ...options });
    }

    /** /status as of now or later: a look is shared for a second, so it may take that long. */
    async status(options) {
        const asked = Date.now();
        for (;;) {
            const answer = await this.get('/status', options);
            if (answer.status !== 200) throw new Error(`/status: ${answer.status} ${answer.text}`);
            if (Date.parse(answer.json.timestamp) >= asked) return answer.json;
            await pause(20);
        }
    }

    async metrics(options) {
        const answer = await this.get('/metrics', options);
        if (answer.status !== 200) throw new Error(`/metrics: ${answer.status} ${answer.text}`);
        return new Metrics(answer.text);
    }

    /** Waits until /status shows `count` slots taken, in the whole pool. */
    async activeReaches(count, options) {
        await eventually(
            `node ${this.id} to show ${count} active`,
            async () => {
                const status = await this.status();
                if (status.total_active !== count) throw new Error(JSON.stringify(status));
                return true;
            },
            options,
        );
    }

    /** SIGHUP with a new config; the log line that tells how it went. */
    async reload(config) {
        if (config) await this.writeConfig(config);
        const from = this.mark();
        this.child.signal('SIGHUP');
        const isAbout = (line) => /^(reloaded|reload refused)/.test(line.event);
        return this.log.find('the reload', isAbout, { from });
    }

    /** The reader of its log stands still: what it says stays in the pipe. */
    stopReading() {
        this.child.process.stderr.pause();
    }

    readOn() {
        this.child.process.stderr.resume();
    }

    suspend() {
        this.child.signal('SIGSTOP');
    }

    resume() {
        this.child.signal('SIGCONT');
    }

    /** Asks it to leave, as at a terminal (no notice to balancers first); checks its end. */
    async stop({ ms = 20000 } = {}) {
        if (!this.child) return;
        await this.child.end({ signal: 'SIGINT', ms }).catch((error) => {
            throw new Error(`${error.message}\n${this.child.tail()}`);
        });
        this.check();
    }

    /** Its process is gone at once, in the middle of whatever it does. */
    async kill9() {
        this.isEndExpected = false;
        await this.child.end({ signal: 'SIGKILL' });
    }

    /** Throws for a wrong exit, a sanitizer's report, or a secret in the log. */
    check() {
        const { code, signal } = this.child.result;
        const report = this.lines.findIndex((line) => SANITIZER.test(line));
        if (report >= 0) {
            throw new Error(`node ${this.id}: ${this.lines.slice(report, report + 60).join('\n')}`);
        }
        if (this.isEndExpected && code !== 0) {
            throw new Error(`node ${this.id} ended with ${code ?? signal}: ${this.child.tail(10)}`);
        }
        for (const secret of this.secrets) {
            const line = this.lines.find((text) => text.includes(secret));
            if (line) throw new Error(`node ${this.id} logged a secret: ${line}`);
        }
    }

    /** Memory in KiB, from the kernel: VmRSS (now), VmHWM (the most so far). */
    async memory(field = 'VmRSS') {
        const text = await readFile(`/proc/${this.pid}/status`, 'utf8');
        return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)[1]);
    }

    /** Makes VmHWM start again from what is in use now. */
    async forgetPeak() {
        await writeFile(`/proc/${this.pid}/clear_refs`, '5');
    }

    /** From now on it may have so many files and sockets open. Gives what it was before. */
    async limitFiles(count) {
        const limits = await readFile(`/proc/${this.pid}/limits`, 'utf8');
        await run('prlimit', ['--pid', `${this.pid}`, `--nofile=${count}:`]);
        return Number(/^Max open files\s+(\d+)/m.exec(limits)[1]);
    }

    /** How many files and sockets it has open. */
    async openFiles() {
        return (await readdir(`/proc/${this.pid}/fd`)).length;
    }
}
