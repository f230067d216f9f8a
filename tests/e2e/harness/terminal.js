// terminal.js - a program on a pseudo-terminal, and a person before it: who looks at the screen,
// chooses, types. The terminal is made by `script` (util-linux).
import { spawn } from 'node:child_process';
import { eventually } from './wait.js';
import { Screen } from './screen.js';

const COLUMNS = 110, ROWS = 45;
const STILL_MS = 300;
export const ENTER = '\r', DOWN = '\x1b[B';

export class Terminal {
    /** `command`: a line for the shell. The environment is only what is given here. */
    constructor(command, { cwd, env }) {
        const line = `stty cols ${COLUMNS} rows ${ROWS}; ${command}`;
        this.screen = new Screen(COLUMNS, ROWS);
        this.seen = new Set(); // every line that was ever to be seen
        this.drawn = Date.now();
        this.result = null;
        this.process = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
            cwd,
            env: { TERM: 'xterm-256color', SHELL: '/bin/sh', LANG: 'C.UTF-8', ...env },
            detached: true, // a group, which ends as one
            stdio: ['pipe', 'pipe', 'pipe'],
        });
        this.process.stdin.on('error', () => {}); // it has ended: that is told by what is waited for
        this.process.stdout.setEncoding('utf8').on('data', (text) => {
            this.screen.write(text);
            this.drawn = Date.now();
            for (const row of this.text.split('\n')) this.seen.add(row);
        });
        this.process.stderr.setEncoding('utf8').on('data', (text) => this.screen.write(text));
        this.ended = new Promise((resolve) => {
            this.process.once('error', (error) => resolve({ error: error.message }));
            this.process.once('close', (code, signal) => resolve({ code, signal }));
        }).then((result) => (this.result = result));
    }

    get text() {
        return this.screen.text;
    }

    /** Looks first, as a person does: programs disbelieve what is pressed while they draw. */
    async type(keys) {
        await eventually('the screen to stand still', () => Date.now() - this.drawn > STILL_MS);
        this.process.stdin.write(keys);
    }

    /** Waits until the screen shows that; gives what was found. */
    async shows(pattern, options) {
        return this.becomes(`${pattern} on the screen`, () => pattern.exec(this.text), options);
    }

    /** Waits until the screen shows that no more. */
    async hides(pattern, options) {
        return this.becomes(`${pattern} to go`, () => !pattern.test(this.text), options);
    }

    /** Waits until that is so. */
    async becomes(what, probe, { ms = 30000 } = {}) {
        let isOver = false;
        try {
            return await eventually(what, () => probe() || (isOver = this.result !== null), { ms });
        } catch (error) {
            throw new Error(`${error.message}; it shows:\n${this.#rows()}`);
        } finally {
            if (isOver) throw new Error(`no ${what}, it has ended: ${JSON.stringify(this.result)}\n${this.#rows()}`);
        }
    }

    #rows() {
        return this.text.replace(/\n\n+/g, '\n');
    }

    /** Presses a key until `isDone`, again if it was not heard. */
    async press(key, isDone) {
        for (let tries = 10; !isDone() && this.result === null && tries > 0; tries--) {
            await this.type(key);
            await eventually('the key to do something', () => isDone() || this.result, { ms: 3000 }).catch(() => {});
        }
    }

    /** Moves the mark of a list to the line that says that, and takes it. */
    async choose(label) {
        const mark = () => /^ *❯.*/m.exec(this.text)?.[0];
        for (let i = 0; i < 8 && !mark()?.includes(label); i++) {
            const before = mark();
            await this.press(DOWN, () => mark() !== undefined && mark() !== before);
        }
        await this.press(ENTER, () => !mark()?.includes(label));
    }

    async end() {
        if (this.result) return;
        try {
            process.kill(-this.process.pid, 'SIGKILL'); // with it the terminal hangs up
        } catch {
            // it was faster
        }
        await this.ended;
    }
}
