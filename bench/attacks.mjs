// What each attack costs the server: CPU time of its process per request, of a release build on a machine that is quiet.
// `make attacks`; it fails where one costs more than CPU_MS_MAX. Not a test of CI: times are no facts there.
import { readFile, readdir } from 'node:fs/promises';
import { LARGEST, REFUSED } from '../tests/js/attacks.mjs';
import { startServer } from '../tests/js/server.mjs';

const CPU_MS_MAX = 50;
const REPEATS = Number(process.env.REPEATS ?? 12);
// Those whose names hold this text; all where it is empty.
const CASE = process.env.CASE ?? '';

/** CPU time that the process has used so far, in milliseconds: of all of its threads, in nanoseconds each. */
async function cpuMs(pid) {
    const threads = await readdir(`/proc/${pid}/task`);
    const times = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0')));
    return times.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e6;
}

/** The same request, but a text that the server has not seen: what it remembers must not make it look cheap. */
function unseen({ query, body, method, path, headers }, number) {
    const seal = (text) => `${text}\n#${number}`;
    if (query !== undefined) return { headers, body: JSON.stringify({ query: seal(query) }) };
    if (method === 'GET') return { method, path, headers };
    try {
        const parsed = JSON.parse(body);
        if (typeof parsed.query === 'string') return { headers, body: JSON.stringify({ ...parsed, query: seal(parsed.query) }) };
    } catch {
        // It is not meant to be JSON.
    }
    return { headers, body };
}

async function send(server, { method = 'POST', path = '/graphql', headers = {}, body }) {
    const type = method === 'POST' ? { 'content-type': 'application/json' } : {};
    try {
        const answer = await fetch(server.url + path, { method, body, headers: { ...server.headers, ...type, ...headers } });
        await answer.arrayBuffer();
        return answer.status;
    } catch {
        return 'cut off'; // refused before the whole of it was sent
    }
}

/** The cost of one request of that kind, in milliseconds: the mean over some that differ. */
async function cost(server, request, name) {
    let status = await send(server, unseen(request, `${name} first`));
    const before = await cpuMs(server.pid);
    for (let number = 0; number < REPEATS; number += 1) status = await send(server, unseen(request, `${name} ${number}`));
    return { ms: ((await cpuMs(server.pid)) - before) / REPEATS, status };
}

const rows = [];
for (const production of [false, true]) {
    const server = await startServer({ production });
    try {
        const idle = await cost(server, { query: '{ __typename }' }, 'nothing');
        rows.push({ name: 'a request that asks for nothing', production, ...idle });
        const chosen = Object.entries({ ...REFUSED, ...LARGEST }).filter(([name]) => name.includes(CASE));
        for (const [name, request] of chosen) {
            const row = { name, production, ...(await cost(server, request, name)) };
            rows.push(row);
            if (row.ms > CPU_MS_MAX) console.error(`${row.ms.toFixed(0)} ms: ${name}`);
        }
    } finally {
        await server.stop();
    }
}
rows.sort((one, other) => other.ms - one.ms);
console.log('| CPU ms | status | production | request |\n|---:|---:|---|---|');
for (const { name, production, ms, status } of rows) console.log(`| ${ms.toFixed(2)} | ${status} | ${production ? 'yes' : 'no'} | ${name} |`);
const dear = rows.filter(({ ms }) => ms > CPU_MS_MAX);
if (dear.length > 0) {
    console.error(`${dear.length} cost more than ${CPU_MS_MAX} ms of CPU`);
    process.exitCode = 1;
}
