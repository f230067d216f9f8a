// load.js - clients that ask one after another until they are stopped, and what happened to them.
import { messagesRequest, post } from '../e2e/harness/http.js';
import { eventually, pause } from '../e2e/harness/wait.js';
import { connect } from '../e2e/harness/wire.js';

/** Clients that ask one after another, each request on a connection of its own, until stopped. */
export class Load {
    constructor(port, { clients, script }) {
        this.port = port;
        this.script = script;
        this.answers = 0;
        this.faults = [];
        this.isOver = false;
        this.ended = Promise.all(Array.from({ length: clients }, (_, i) => this.#ask(`bot-${i}`)));
    }

    async #ask(client) {
        while (!this.isOver) {
            try {
                const answer = await post(this.port, {
                    stream: true,
                    headers: { 'x-client-id': client },
                    script: this.script,
                });
                if (answer.status === 529) await pause(20); // all slots are taken: ask again
                else if (answer.status === 200) this.answers++;
                else this.faults.push(`${client}: ${answer.status} ${answer.text}`);
            } catch (error) {
                this.faults.push(`${client}: ${error.message}`);
            }
        }
    }

    async answered(count, ms = 60000) {
        const from = this.answers;
        await eventually(`${count} more answers`, () => this.answers - from >= count, { ms });
    }

    async end() {
        this.isOver = true;
        await this.ended;
    }
}

/** The same, each on one connection for as long as answers allow, or on new ones; all answers are to be whole. */
export class WholeLoad {
    constructor(port, { clients, script, stream = true, pause_ms = 0, keeps = true }) {
        this.port = port;
        this.bytes = messagesRequest({ stream, script });
        this.end_mark = stream ? 'event: message_stop' : '"type":"message"';
        this.pause_ms = pause_ms;
        this.keeps = keeps;
        this.answers = 0;
        this.faults = [];
        this.isOver = false;
        this.ended = Promise.all(Array.from({ length: clients }, () => this.#ask()));
    }

    async #ask() {
        let uses = 0, since = 0;
        for (let wire = null; !this.isOver; await pause(this.pause_ms)) {
            since = Date.now();
            try {
                if (wire === null || wire.end) {
                    wire = await connect(this.port, { ms: 15000 });
                    uses = 0;
                }
                await wire.send(this.bytes);
                const answer = await wire.head({ ms: 40000 });
                await answer.readBody({ ms: 40000 });
                if (answer.status !== 200 || !answer.text.includes(this.end_mark))
                    throw new Error(`${answer.status} ${answer.text.slice(-200)}`);
                this.answers++;
                uses++;
                if (this.keeps && !answer.mustClose) continue;
            } catch (error) {
                const what = error.end ?? error.code ?? error.message;
                this.faults.push(`${new Date().toISOString()} ${what}, after ${uses} answers and ${Date.now() - since} ms`);
            }
            wire?.leave();
            wire = null;
        }
    }

    async end() {
        this.isOver = true;
        await this.ended;
    }
}
