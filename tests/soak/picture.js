// picture.js - a soak as a picture: plain SVG, a panel a measure, all above one axis of time, and
// below them a mark for each trouble. It stands on light and on dark ground.

const WIDTH = 960;
const LEFT = 76;
const RIGHT = 16;
const PANEL = 96; // height of one
const GAP = 34;
const ROW = 16; // of a kind of trouble
const POINTS_MAX = 320;
const COLORS = ['a', 'b', 'c', 'd'];

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-weight: 600; fill: #24292f }
  .grid { stroke: #8c959f; stroke-opacity: .3 }
  .quiet { fill: #8c959f; fill-opacity: .15 }
  polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round }
  .a { stroke: #0969da } .b { stroke: #bc4c00 } .c { stroke: #8250df } .d { stroke: #1a7f37 }
  text.a { fill: #0969da } text.b { fill: #bc4c00 } text.c { fill: #8250df }
  text.d { fill: #1a7f37 } text.a, text.b, text.c, text.d { stroke: none }
  .mark { stroke: #cf222e; stroke-opacity: .7 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title { fill: #f0f6fc }
    .a { stroke: #4493f8 } .b { stroke: #f0883e } .c { stroke: #ab7df8 } .d { stroke: #3fb950 }
    text.a { fill: #4493f8 } text.b { fill: #f0883e } text.c { fill: #ab7df8 }
    text.d { fill: #3fb950 }
    .mark { stroke: #f85149 }
  }`;

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const place = (number) => Number(number.toFixed(1));

/** Of each stretch of time the value that is farthest from zero: no peak is lost. */
function thin(points) {
    const step = Math.ceil(points.length / POINTS_MAX);
    const kept = [];
    for (let i = 0; i < points.length; i += step) {
        const some = points.slice(i, i + step).filter(([, value]) => Number.isFinite(value));
        if (some.length > 0)
            kept.push(some.reduce((a, b) => (Math.abs(b[1]) > Math.abs(a[1]) ? b : a)));
    }
    return kept;
}

/** A round number at or above it: 1, 2 or 5 with zeros. */
function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
    return [1, 2, 5, 10].map((factor) => factor * power).find((number) => number >= value);
}

class Picture {
    #parts = [];
    #y = 40;

    constructor(seconds) {
        this.seconds = Math.max(seconds, 1);
    }

    x(second) {
        return LEFT + ((WIDTH - LEFT - RIGHT) * second) / this.seconds;
    }

    add(part) {
        this.#parts.push(part);
    }

    text(x, y, text, how = '') {
        this.add(`<text x="${place(x)}" y="${place(y)}" ${how}>${escape(text)}</text>`);
    }

    /** A panel: `lines` are [name, [[second, value], ...]]. */
    panel(title, lines) {
        const top = this.#y;
        const thinned = lines.map(([name, points]) => [name, thin(points)]);
        const values = thinned.flatMap(([, points]) => points.map(([, value]) => value));
        const most = roundUp(Math.max(1, ...values));
        const least = Math.min(0, ...values) < 0 ? -roundUp(-Math.min(...values)) : 0;
        const y = (value) => top + PANEL - (PANEL * (value - least)) / (most - least);
        this.text(LEFT, top - 8, title, 'class="title"');
        for (const value of new Set([least, 0, most])) {
            const at = place(y(value));
            const ends = `x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"`;
            this.add(`<line class="grid" ${ends}/>`);
            this.text(LEFT - 8, at + 4, `${value}`, 'text-anchor="end"');
        }
        for (const [i, [name, points]] of thinned.entries()) {
            const path = points.map(([second, value]) => [this.x(second), y(value)].map(place));
            this.add(`<polyline class="${COLORS[i]}" points="${path.join(' ')}"/>`);
            const x = WIDTH - RIGHT - 110 * (lines.length - 1 - i);
            this.text(x, top - 8, name, `class="${COLORS[i]}" text-anchor="end"`);
        }
        this.#y += PANEL + GAP;
    }

    /** `rows`: [kind, [second, ...]]. */
    marks(title, rows) {
        this.text(LEFT, this.#y - 8, title, 'class="title"');
        for (const [kind, seconds] of rows) {
            const [top, bottom] = [this.#y + 2, this.#y + ROW - 2];
            const path = seconds.map((second) => `M${place(this.x(second))} ${top}V${bottom}`);
            this.add(`<path class="mark" d="${path.join('')}"/>`);
            this.text(LEFT - 8, this.#y + 12, kind, 'text-anchor="end" font-size="10"');
            this.#y += ROW;
        }
    }

    axis() {
        const unit = this.seconds > 180 ? ['min', 60] : ['s', 1];
        const step = roundUp(this.seconds / unit[1] / 10);
        for (let at = 0; at * unit[1] <= this.seconds; at += step) {
            const x = this.x(at * unit[1]);
            this.text(x, this.#y + 18, `${place(at)} ${unit[0]}`, 'text-anchor="middle"');
        }
        this.#y += 28;
    }

    /** The stretches of [from, to] in which nobody asked, behind all else. */
    quiet(stretches) {
        const boxes = stretches.map(([from, to]) => {
            const width = Math.max(1, this.x(to) - this.x(from));
            const box = `x="${place(this.x(from))}" width="${place(width)}"`;
            return `<rect class="quiet" ${box} y="24" height="${this.#y - 52}"/>`;
        });
        this.#parts.unshift(...boxes);
    }

    toString() {
        const box = `viewBox="0 0 ${WIDTH} ${this.#y}" width="${WIDTH}" height="${this.#y}"`;
        const head = `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img">`;
        return `${head}\n<style>${STYLE}\n</style>\n${this.#parts.join('\n')}\n</svg>\n`;
    }
}

function quietStretches(rows) {
    const stretches = [];
    for (const { t_s: t, phase } of rows) {
        if (phase !== 'rest') continue;
        const last = stretches.at(-1);
        if (last && t - last[1] < 2.5) last[1] = t;
        else stretches.push([t, t]);
    }
    return stretches;
}

/** How fast a count grows, each second. */
const rate = (rows, name) =>
    rows.slice(1).map((row, i) => {
        const span = row.t_s - rows[i].t_s;
        return [row.t_s, span > 0 ? (row[name] - rows[i][name]) / span : NaN];
    });

/** The rows of a Sampler as SVG text; `nodes`: their ids. */
export function draw(rows, nodes) {
    const numbers = (name, scale = 1) =>
        rows.map((row) => [row.t_s, row[name] === '' ? NaN : row[name] / scale]);
    const shown = nodes.slice(0, COLORS.length);
    const picture = new Picture(rows.at(-1)?.t_s ?? 1);
    picture.panel('memory (RSS), MiB', shown.map((id) => [id, numbers(`${id}_rss_kib`, 1024)]));
    picture.panel('descriptors', shown.map((id) => [id, numbers(`${id}_descriptors`)]));
    picture.panel('leases and slots in Redis', [
        ['leases', numbers('leases')],
        ['slots in use', numbers('slots')],
    ]);
    picture.panel('requests a second', [
        ['done', rate(rows, 'done')],
        ['failed', rate(rows, 'failed')],
    ]);
    picture.panel('booked less ended at the provider', [['requests', numbers('drift')]]);
    const kinds = ['kill', 'roll', 'reload', 'redis-restart', 'redis-pause', 'provider'];
    const seconds = (kind) =>
        rows.filter(({ events }) => events.includes(kind)).map(({ t_s: t }) => t);
    picture.marks('trouble', kinds.map((kind) => [kind.replace('redis-', 'R. '), seconds(kind)]));
    picture.axis();
    picture.quiet(quietStretches(rows));
    return picture.toString();
}
