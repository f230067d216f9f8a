// prometheus.js - reads the text exposition format, strictly: what a scraper would refuse throws.

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?,?\\})? (\\S+)$`);

function readLabels(text = '') {
    const labels = {};
    for (const [, name, value] of text.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)) {
        if (name in labels) throw new Error(`label ${name} twice in {${text}}`);
        labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    }
    return labels;
}

function readNumber(text, line) {
    const words = { '+Inf': Infinity, '-Inf': -Infinity, NaN: NaN };
    if (text in words) return words[text];
    if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text))
        throw new Error(`no number: ${line}`);
    return Number(text);
}

const familyOf = (name, types) => {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    return types.get(base) === 'histogram' || types.get(base) === 'summary' ? base : name;
};

export class Metrics {
    constructor(text) {
        this.types = new Map(); // family -> type
        this.samples = []; // {name, labels, value}
        if (!text.endsWith('\n')) throw new Error('the last line has no end');
        const helped = new Set();
        const closed = new Set();
        let current = null;
        for (const line of text.slice(0, -1).split('\n')) {
            const about = new RegExp(`^# (HELP|TYPE) (${NAME})(?: (.*))?$`).exec(line);
            if (about) this.#readAbout(about, helped);
            else if (line !== '' && !line.startsWith('#')) this.#readSample(line);
            else continue;
            const family = about ? about[2] : familyOf(this.samples.at(-1).name, this.types);
            if (family !== current && closed.has(family))
                throw new Error(`${family} in two places`);
            if (current !== null && family !== current) closed.add(current);
            current = family;
        }
        this.#checkHistograms();
    }

    #readAbout([line, kind, name, rest], helped) {
        if (kind === 'HELP') {
            if (helped.has(name)) throw new Error(`second HELP: ${line}`);
            helped.add(name);
            return;
        }
        if (this.types.has(name)) throw new Error(`second TYPE: ${line}`);
        if (!['counter', 'gauge', 'histogram', 'summary', 'untyped'].includes(rest)) {
            throw new Error(`unknown type: ${line}`);
        }
        this.types.set(name, rest);
    }

    #readSample(line) {
        const sample = SAMPLE.exec(line);
        if (!sample) throw new Error(`not a sample: ${line}`);
        const [, name, labels, value] = sample;
        if (!this.types.has(familyOf(name, this.types))) throw new Error(`no TYPE for: ${line}`);
        const entry = { name, labels: readLabels(labels), value: readNumber(value, line) };
        const key = (s) => s.name + JSON.stringify(Object.entries(s.labels).sort());
        if (this.samples.some((s) => s.name === name && key(s) === key(entry))) {
            throw new Error(`the same sample twice: ${line}`);
        }
        this.samples.push(entry);
    }

    #checkHistograms() {
        for (const [family, type] of this.types) {
            if (type !== 'histogram') continue;
            for (const count of this.all(`${family}_count`)) {
                const buckets = this.all(`${family}_bucket`, count.labels);
                const values = buckets.map((bucket) => bucket.value);
                const bounds = buckets.map((bucket) => readNumber(bucket.labels.le, family));
                const rises = (list) => list.every((n, i) => i === 0 || n >= list[i - 1]);
                if (!rises(values) || !rises(bounds)) throw new Error(`${family}: not cumulative`);
                if (bounds.at(-1) !== Infinity) throw new Error(`${family}: no +Inf bucket`);
                if (values.at(-1) !== count.value) throw new Error(`${family}: +Inf is not _count`);
            }
        }
    }

    /** All samples of that name which have these labels (and maybe more). */
    all(name, labels = {}) {
        const fits = (s) => Object.entries(labels).every(([k, v]) => s.labels[k] === `${v}`);
        return this.samples.filter((s) => s.name === name && fits(s));
    }

    /** The sum over them; throws if there are none. */
    value(name, labels = {}) {
        const found = this.all(name, labels);
        if (found.length === 0) throw new Error(`no sample ${name}${JSON.stringify(labels)}`);
        return found.reduce((sum, s) => sum + s.value, 0);
    }
}
