// The real binary, on a temporary directory and a port of its own, and what the tests ask of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The binary under test: `HOOKGRAPH_BINARY`, or the debug build. */
export const binary = process.env.HOOKGRAPH_BINARY ?? fileURLToPath(new URL('../../target/debug/hookgraph', import.meta.url));

/** The first tenant's signature secret. */
export const SECRET = `whsec_${Buffer.from('hookgraph tests: thirty-two byte').toString('base64')}`;
export const TOKEN = 'hookgraph-tests-token-0123456789abcdef';

/** Starts a server; `test` (a test's or a suite's context with `after`) ends it. */
export async function startServer(settings = {}) {
    assert.ok(existsSync(binary), `no binary at ${binary}: build it, or set HOOKGRAPH_BINARY`);
    const directory = await mkdtemp(join(tmpdir(), 'hookgraph-'));
    const child = spawn(binary, ['serve'], { cwd: directory, env: environment(directory, settings), stdio: ['ignore', 'pipe', 'pipe'] });
    const log = [];
    createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
    createInterface({ input: child.stdout }).on('line', (line) => log.push(line));
    const stop = async () => {
        if (child.exitCode === null && child.signalCode === null) {
            // Not at its exit: what it last wrote to its log is read by then.
            const ended = once(child, 'close');
            child.kill('SIGTERM');
            await ended;
        }
        await rm(directory, { recursive: true, force: true });
    };
    try {
        const url = await listeningUrl(child, log);
        const server = new RunningServer(url, log, stop, child.pid, directory);
        server.tenantId = (await server.ask('{ tenant { get(identifier: "tests") { id } } }')).tenant.get.id;
        return server;
    } catch (error) {
        await stop();
        throw error;
    }
}

/** The environment in which a binary is on that directory. */
export function environment(directory, settings) {
    const ours = {
        listen: '127.0.0.1:0',
        database: `sqlite://${join(directory, 'hookgraph.db')}`,
        key_file: join(directory, 'hookgraph.key'),
        allowed_addresses: '127.0.0.0/8',
        bootstrap_tenant: 'tests',
        bootstrap_token: TOKEN,
        bootstrap_signature_secret: SECRET,
        ...settings,
    };
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('HOOKGRAPH_'));
    const configured = Object.entries(ours).map(([name, value]) => [`HOOKGRAPH_${name.toUpperCase()}`, String(value)]);
    return Object.fromEntries([...inherited, ...configured]);
}

async function listeningUrl(child, log) {
    for await (const line of createInterface({ input: child.stdout })) {
        const url = /^hookgraph listens on (http:\S+)/.exec(line)?.[1];
        if (url) {
            child.stdout.resume();
            return url;
        }
    }
    throw new Error(`the server ended before it listened:\n${log.join('\n')}`);
}

class RunningServer {
    constructor(url, log, stop, pid, directory) {
        Object.assign(this, { url, log, stop, pid, directory });
    }

    /** The headers of an authorised request. */
    get headers() {
        return { authorization: `Bearer ${TOKEN}` };
    }

    /** The WebSocket address of the API. */
    get socketUrl() {
        return `${this.url.replace(/^http/, 'ws')}/graphql`;
    }

    /** What the API answers: `{ data, errors }`. */
    async answer(query, variables, path = '/graphql') {
        const response = await fetch(this.url + path, {
            method: 'POST',
            headers: { ...this.headers, 'content-type': 'application/json' },
            body: JSON.stringify({ query, variables }),
        });
        return response.json();
    }

    /** The data of an answer that has no errors. */
    async ask(query, variables, path) {
        const { data, errors } = await this.answer(query, variables, path);
        assert.equal(errors, undefined, JSON.stringify(errors, null, 2));
        return data;
    }

    /** The text at a path. */
    async text(path) {
        const response = await fetch(this.url + path, { headers: this.headers });
        assert.equal(response.status, 200, `GET ${path}`);
        return response.text();
    }

    /** A new webhook's id. */
    async createWebhook(input) {
        const create = 'mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) { id url } } }';
        const made = await this.ask(create, { input: { tenantId: this.tenantId, name: 'a webhook', ...input } });
        return made.webhook.create;
    }
}
