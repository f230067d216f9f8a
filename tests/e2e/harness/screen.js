// screen.js - what a person sees on a terminal: the bytes of a program in, rows of text out.
// Knows what programs of our days send: cursor, erasing, scrolling. Colours and modes are passed
// over; every character is one cell wide.

const ESCAPE = '\x1b';
// One sequence whole: CSI, a string of the operating system's (OSC, DCS, APC, PM), or a short one.
const SEQUENCE =
    /^\x1b(?:\[([<=>?]?)([0-9;:]*)[ -/]*([@-~])|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\`-~])/;

export class Screen {
    constructor(columns, rows) {
        Object.assign(this, { columns, rows, row: 0, column: 0, saved: [0, 0] });
        this.rest = '';
        this.#clear();
    }

    #clear() {
        this.cells = Array.from({ length: this.rows }, () => this.#blank());
    }

    #blank() {
        return new Array(this.columns).fill(' ');
    }

    /** All that is to be seen, rows without their trailing space. */
    get text() {
        return this.cells.map((row) => row.join('').trimEnd()).join('\n');
    }

    write(text) {
        let rest = this.rest + text;
        while (rest !== '') {
            if (rest[0] === ESCAPE) {
                const found = SEQUENCE.exec(rest);
                if (!found) {
                    if (rest.length > 4096) rest = rest.slice(1); // no sequence is that long
                    else break; // the rest of it is to come
                } else {
                    rest = rest.slice(found[0].length);
                    this.#sequence(found);
                }
                continue;
            }
            const [character] = rest;
            rest = rest.slice(character.length);
            this.#character(character);
        }
        this.rest = rest;
    }

    #character(c) {
        if (c === '\r') this.column = 0;
        else if (c === '\n') this.#lineFeed();
        else if (c === '\b') this.column = Math.max(0, this.column - 1);
        else if (c === '\t') this.column = Math.min(this.columns - 1, (this.column | 7) + 1);
        else if (c >= ' ' && c !== '\x7f') this.#put(c);
    }

    #put(c) {
        if (this.column >= this.columns) {
            this.column = 0;
            this.#lineFeed();
        }
        this.cells[this.row][this.column++] = c;
    }

    #lineFeed() {
        if (this.row < this.rows - 1) this.row++;
        else this.#scroll(1);
    }

    #scroll(count) {
        for (let i = 0; i < Math.min(count, this.rows); i++) {
            this.cells.shift();
            this.cells.push(this.#blank());
        }
    }

    #moveTo(row, column) {
        this.row = Math.min(this.rows - 1, Math.max(0, row));
        this.column = Math.min(this.columns - 1, Math.max(0, column));
    }

    #sequence([whole, mark, numbers, final]) {
        if (whole === '\x1b7') this.saved = [this.row, this.column];
        else if (whole === '\x1b8') this.#moveTo(...this.saved);
        else if (mark === '?' && /1049/.test(numbers)) this.#clear(); // the other screen
        else if (mark === '' && final) this.#control(final, numbers.split(/[;:]/).map(Number));
    }

    #control(final, [first, second = 0]) {
        const count = Math.max(1, first);
        const { row, column } = this;
        const actions = {
            A: () => this.#moveTo(row - count, column),
            B: () => this.#moveTo(row + count, column),
            C: () => this.#moveTo(row, column + count),
            D: () => this.#moveTo(row, column - count),
            E: () => this.#moveTo(row + count, 0),
            F: () => this.#moveTo(row - count, 0),
            G: () => this.#moveTo(row, count - 1),
            d: () => this.#moveTo(count - 1, column),
            H: () => this.#moveTo(count - 1, Math.max(1, second) - 1),
            f: () => this.#moveTo(count - 1, Math.max(1, second) - 1),
            s: () => (this.saved = [row, column]),
            u: () => this.#moveTo(...this.saved),
            K: () => this.#erase(first, row * this.columns, (row + 1) * this.columns),
            J: () => this.#erase(first, 0, this.rows * this.columns),
            X: () => this.#fill(row * this.columns + column, row * this.columns + column + count),
            S: () => this.#scroll(count),
        };
        actions[final]?.();
    }

    /** mode 0: from the cursor to the end; 1: from the start to the cursor; else all of it. */
    #erase(mode, start, end) {
        const at = this.row * this.columns + Math.min(this.column, this.columns - 1);
        if (mode === 0) this.#fill(at, end);
        else if (mode === 1) this.#fill(start, at + 1);
        else this.#fill(start, end);
    }

    #fill(from, to) {
        for (let at = from; at < Math.min(to, this.rows * this.columns); at++)
            this.cells[Math.floor(at / this.columns)][at % this.columns] = ' ';
    }
}
