// load.js - clients that call again and again, on connections of their own, until told to stop.
import { messagesRequest } from './http.js';
import { Closed, connect } from './wire.js';

const SCRIPTS = [
    { stream: true, script: { events: 5, event_delay_ms: 10 } },
    { stream: false, script: { delay_ms: 20 } },
    { stream: true, script: { text_bytes: 30000 } },
    { stream: false },
];

export class Load {
    #isOver = false;

    /** `lanes` clients, spread over the nodes. */
    constructor(nodes, lanes, { headers } = {}) {
        this.statuses = {}; // how often each was answered
        this.faults = []; // {node, error} of what was not answered, or not to its end
        this.headers = headers;
        this.running = Promise.all(
            Array.from({ length: lanes }, (_, i) => this.#lane(nodes[i % nodes.length], i)),
        );
    }

    async #lane(node, number) {
        let wire = null;
        for (let i = number; !this.#isOver; i++) {
            try {
                wire ??= await connect(node.port);
                await wire.send(
                    messagesRequest({ ...SCRIPTS[i % SCRIPTS.length], headers: this.headers }),
                );
                const answer = await wire.answer({ ms: 20000 });
                this.statuses[answer.status] = (this.statuses[answer.status] ?? 0) + 1;
                const isWhole =
                    answer.status !== 200 || /message_stop|"type":"message"/.test(answer.text);
                if (!isWhole) throw new Error(`not whole: ${answer.text}`);
                if (answer.mustClose) {
                    wire.leave();
                    wire = null;
                }
            } catch (error) {
                if (!node.isRunning) return; // killed under us: its clients may notice
                const ending = error instanceof Closed ? error.end : error.message;
                this.faults.push({ node: node.id, ending });
                wire?.leave();
                wire = null;
            }
        }
        wire?.leave();
    }

    get served() {
        return this.statuses[200] ?? 0;
    }

    /** Lets each client finish what it has under way. */
    async stop() {
        this.#isOver = true;
        await this.running;
        return this;
    }
}
