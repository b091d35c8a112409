// Planted secrets are looked for wherever the server writes: its log at the most talkative level, traces, metrics, errors,
// the audit log, the log of attempts, and both databases, in the clear and in every encoding that is as good as that.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { TOKEN, binary, startServer } from './server.mjs';

const run = promisify(execFile);
const postgres = process.env.HOOKGRAPH_TEST_POSTGRES;
const planted = (name) => `planted-${name}-${randomBytes(12).toString('hex')}`;

/** An HTTP server that keeps what it is sent, and answers with the headers that it got, as a talkative receiver does. */
async function startEcho() {
    const bodies = [];
    const waiting = [];
    const server = createServer(async (request, response) => {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        bodies.push({ url: request.url, bytes: Buffer.concat(chunks), headers: request.headers });
        waiting.splice(0).forEach((resolve) => resolve());
        const echo = { 'x-echo': request.headers.authorization ?? 'none' };
        response.writeHead(request.url.startsWith('/v1/') ? 200 : 400, echo).end(JSON.stringify(request.headers));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const until = async (isThere) => {
        while (!bodies.some(isThere)) await new Promise((resolve) => waiting.push(resolve));
    };
    const stop = async () => {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
    };
    return { url: `http://127.0.0.1:${server.address().port}`, bodies, until, stop };
}

/** The forms in which a secret is as good as in the clear. */
function forms(secret) {
    const raw = Buffer.from(secret);
    const found = [raw, raw.toString('hex'), raw.toString('base64').replace(/.{2}=*$/, ''), raw.toString('base64url').replace(/.{2}$/, '')];
    if (secret.startsWith('whsec_')) {
        const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64');
        found.push(bytes, bytes.toString('hex'), secret.slice('whsec_'.length), bytes.toString('base64url'));
    }
    return found.map((form) => Buffer.from(form));
}

function assertHoldsNone(where, text, secrets) {
    const bytes = Buffer.from(text);
    for (const [name, secret] of Object.entries(secrets)) {
        for (const form of forms(secret)) {
            const at = bytes.indexOf(form);
            assert.equal(at, -1, `${where} has the ${name}: …${bytes.subarray(Math.max(0, at - 200), at + 40)}…`);
        }
    }
}

/** A database of its own, whose URL bears a password. */
async function newDatabase(password) {
    const name = `leaks_${randomBytes(6).toString('hex')}`;
    await run('psql', ['-q', postgres, '-c', `CREATE DATABASE ${name}`]);
    const url = new URL(postgres);
    url.pathname = `/${name}`;
    url.password = password;
    return url.href;
}

const KINDS = [
    { what: 'SQLite, JSON lines', log_format: 'json' },
    { what: 'SQLite, text lines', log_format: 'text' },
    { what: 'PostgreSQL, JSON lines', log_format: 'json', isPostgres: true },
];

for (const { what, log_format, isPostgres } of KINDS) {
    describe(what, { skip: isPostgres && !postgres && 'HOOKGRAPH_TEST_POSTGRES is not set' }, () => {
        const marker = planted('marker');
        const secrets = {
            'first token': TOKEN,
            'signature secret': `whsec_${randomBytes(32).toString('base64')}`,
            'secret header': planted('secret-header'),
            'plain header': planted('plain-header'),
            'refused header': planted('refused-header'),
            'wrong token': planted('wrong-token'),
        };
        const written = {};

        before(async () => {
            const password = planted('password');
            const echo = await startEcho();
            const database = isPostgres ? { database: await newDatabase(password) } : {};
            if (isPostgres) secrets['database password'] = password;
            const server = await startServer({
                ...database,
                log: 'trace',
                log_format,
                metrics: 'open',
                otlp_endpoint: `${echo.url}/v1/traces`,
                bootstrap_signature_secret: secrets['signature secret'],
            });
            try {
                await live(server, echo);
                written.metrics = await server.text('/metrics');
                written.database = isPostgres ? (await run('pg_dump', [database.database], { maxBuffer: 1 << 28 })).stdout : await files(server.directory);
            } finally {
                await server.stop();
                await echo.stop();
            }
            written.log = server.log.join('\n');
            written.traces = Buffer.concat(echo.bodies.filter(({ url }) => url.startsWith('/v1/')).map(({ bytes }) => bytes));
        });

        /** All that touches secrets. */
        async function live(server, echo) {
            const headers = [
                { name: 'authorization', value: `Bearer ${secrets['secret header']}`, secret: true },
                { name: 'x-plain', value: secrets['plain header'] },
            ];
            const webhook = await server.createWebhook({ name: marker, concern: 'orders', event: 'create', method: 'POST', url: `${echo.url}/hook`, headers });
            const { id } = webhook;
            const regenerate = 'mutation ($id: ID!) { webhook { regenerateSecrets(id: $id) { signatureSecret } } }';
            secrets["webhook's secret"] = (await server.ask(regenerate, { id })).webhook.regenerateSecrets.signatureSecret;
            secrets["webhook's next secret"] = (await server.ask(regenerate, { id })).webhook.regenerateSecrets.signatureSecret;
            const ofTenant = 'mutation ($id: ID!) { tenant { regenerateSecrets(tenantId: $id) { signatureSecret } } }';
            secrets["tenant's next secret"] = (await server.ask(ofTenant, { id: server.tenantId })).tenant.regenerateSecrets.signatureSecret;
            const made = await server.ask('mutation { accessToken { create(input: { name: "leaks", permissions: [WEBHOOKS_READ] }) { token } } }');
            secrets['made token'] = made.accessToken.create.token;
            const update = 'mutation ($id: ID!, $input: UpdateWebhookInput!) { webhook { update(id: $id, input: $input) { id } } }';
            await server.ask(update, { id, input: { signing: 'BOTH', timeoutMs: 5000 } });
            const refused = [{ name: 'x-refused', value: `${secrets['refused header']}\n`, secret: true }];
            const refusal = await server.answer(update, { id, input: { headers: refused } });
            assert.equal(refusal.errors[0].extensions.problems[0].code, 'HEADER_VALUE_INVALID');
            const mistyped = await server.answer(update, { id, input: { timeoutMs: 'x', headers: [{ name: 'x', value: secrets['secret header'] }] } });
            assert.ok(mistyped.errors);
            const wrong = await fetch(`${server.url}/graphql`, { method: 'POST', headers: { authorization: `Bearer ${secrets['wrong token']}` } });
            written.errors = JSON.stringify([refusal, await wrong.text()]);
            await socket(server, TOKEN);
            await socket(server, secrets['wrong token']);

            const tls = { clientCertificate: await pem('client.cert'), clientKey: await pem('client.key') };
            const secure = await server.createWebhook({ concern: 'orders', event: 'create', method: 'POST', url: 'https://127.0.0.1:1/', tls });
            await server.ask('mutation ($id: ID!) { webhook { test(id: $id) { id } } }', { id: secure.id });
            secrets['client key'] = tls.clientKey.split('\n')[1];

            await server.ask('mutation ($id: ID!) { webhook { test(id: $id) { id } } }', { id });
            await echo.until(({ url }) => url === '/hook');
            const sent = echo.bodies.find(({ url }) => url === '/hook');
            assert.equal(sent.headers.authorization, `Bearer ${secrets['secret header']}`);
            const attempts = '{ delivery { getMany { nodes { id state attempts { detail request { url headers { name value } body } response { status headers { name value } body } } } } } }';
            do {
                written.attempts = JSON.stringify(await server.ask(attempts));
            } while (!written.attempts.includes('"status":400'));
            await echo.until(({ url, bytes }) => url.startsWith('/v1/') && bytes.includes(sent.headers['webhook-id']));
            written.delivery = sent.headers['webhook-id'];
            written.audit = JSON.stringify(await server.ask('{ audit { getMany(first: 100) { nodes { action before after } } } }'));
            written.preview = JSON.stringify(await server.ask('query ($id: ID!) { webhook { get(id: $id) { headers { name value secret } } previewPayload(input: { id: $id }) { request { headers { name value } } } } }', { id }));
        }

        const without = (...names) => Object.fromEntries(Object.entries(secrets).filter(([name]) => !names.includes(name)));

        test('the log', () => {
            assert.ok(written.log.includes(written.delivery) && /debug/i.test(written.log), 'it is talkative');
            assertHoldsNone('the log', written.log, secrets);
        });
        test('traces', () => {
            assert.ok(written.traces.includes(written.delivery));
            assertHoldsNone('the traces', written.traces, secrets);
        });
        test('metrics', () => {
            assert.ok(written.metrics.includes('hookgraph_attempts_total'));
            assertHoldsNone('the metrics', written.metrics, secrets);
        });
        test('errors', () => assertHoldsNone('an error', written.errors, secrets));
        test('the audit log', () => {
            assert.ok(written.audit.includes('webhook.regenerateSecrets'));
            assertHoldsNone('the audit log', written.audit, secrets);
        });
        test('the log of attempts, whatever a receiver answers', () => {
            assert.ok(written.attempts.includes('[redacted]'));
            assertHoldsNone('an attempt', written.attempts, without('plain header'));
        });
        test('previews and webhooks', () => {
            assert.ok(written.preview.includes('[redacted]'));
            assertHoldsNone('a preview', written.preview, without('plain header'));
        });
        test('the database', () => {
            assert.ok(written.database.includes(marker));
            assertHoldsNone('the database', written.database, without('plain header'));
        });
    });
}

/** A file of the transport's tests. */
function pem(name) {
    return readFile(new URL(`../../crates/dispatcher/src/transport/tests/mutual_tls/${name}.pem`, import.meta.url), 'utf8');
}

/** The files of the database; the key file is none of them. */
async function files(directory) {
    const names = (await readdir(directory)).filter((name) => name.startsWith('hookgraph.db'));
    return Buffer.concat(await Promise.all(names.map((name) => readFile(join(directory, name)))));
}

/** A WebSocket connection that shows a token. */
async function socket(server, token) {
    const socket = new WebSocket(server.socketUrl, 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}`, Authorization: `Bearer ${token}` } }));
    await Promise.race([once(socket, 'message'), once(socket, 'close')]);
    socket.terminate();
}

/** What a server that does not start says. */
async function lastWords(settings) {
    const env = { PATH: process.env.PATH, ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`HOOKGRAPH_${name.toUpperCase()}`, value])) };
    const child = spawn(binary, ['serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const output of [child.stdout, child.stderr]) output.on('data', (chunk) => (said += chunk));
    const [code] = await once(child, 'close');
    assert.notEqual(code, 0, said);
    return said;
}

test('a server that does not start does not say why with a secret', async () => {
    const secret = planted('password');
    const nowhere = { listen: '127.0.0.1:0', log: 'trace', database: `postgres://hookgraph:${secret}@127.0.0.1:1/none` };
    const memory = { listen: '127.0.0.1:0', log: 'trace', database: 'sqlite::memory:', key_file: '/nonexistent/key' };
    for (const settings of [
        nowhere,
        { ...nowhere, database: `postgres://hookgraph:${secret}@127.0.0.1:port/none` },
        { ...nowhere, database: `mysql://hookgraph:${secret}@127.0.0.1/none` },
        { ...memory, egress_proxy: `http://hookgraph:${secret}@127.0.0.1:port` },
        { ...memory, egress_proxy: `socks4://hookgraph:${secret}@127.0.0.1:1` },
        { ...memory, bootstrap_tenant: 'a', bootstrap_signature_secret: secret },
        { ...memory, bootstrap_tenant: 'a', bootstrap_token: secret.slice(0, 20) },
    ]) {
        assertHoldsNone(JSON.stringify(settings), await lastWords(settings), { secret: secret.slice(0, 20) });
    }
});

test('the password of an egress proxy is in no log and no attempt', async () => {
    const password = planted('password');
    const echo = await startEcho();
    const refused = createServer((_, response) => response.writeHead(407).end());
    refused.listen(0, '127.0.0.1');
    await once(refused, 'listening');
    const proxies = [`http://hookgraph:${password}@127.0.0.1:${refused.address().port}`, `http://hookgraph:${password}@127.0.0.1:1`];
    for (const egress_proxy of proxies) {
        const server = await startServer({ log: 'trace', egress_proxy });
        try {
            const { id } = await server.createWebhook({ concern: 'orders', event: 'create', method: 'POST', url: `${echo.url}/hook` });
            await server.ask('mutation ($id: ID!) { webhook { test(id: $id) { id } } }', { id });
            const query = '{ delivery { getMany { nodes { state attempts { outcome detail request { headers { name value } } } } } } }';
            let deliveries;
            do {
                deliveries = (await server.ask(query)).delivery.getMany.nodes;
            } while (['PENDING', 'IN_FLIGHT'].includes(deliveries[0].state) && deliveries[0].attempts.length === 0 && !server.log.some((line) => line.includes('egress proxy')));
            assertHoldsNone('an attempt', JSON.stringify(deliveries), { password });
            const shown = await run(binary, ['config'], { env: { PATH: process.env.PATH, HOOKGRAPH_EGRESS_PROXY: egress_proxy } });
            assertHoldsNone('hookgraph config', shown.stdout, { password });
        } finally {
            await server.stop();
        }
        assertHoldsNone('the log', server.log.join('\n'), { password });
    }
    refused.close();
    await echo.stop();
});
