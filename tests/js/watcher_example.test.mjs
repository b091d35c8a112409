// The watcher of `examples/watcher` runs as it stands, and goes on after its server was away.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from './server.mjs';

const example = new URL('../../examples/watcher/', import.meta.url);

test('the watcher prints every change from its cursor on, and ends with a clear error on a wrong token', async (t) => {
    const server = await startServer();
    t.after(() => server.stop());
    const directory = await mkdtemp(fileURLToPath(new URL('node_modules/.watcher-', import.meta.url)));
    t.after(() => rm(directory, { recursive: true }));
    await copyFile(new URL('watcher.mjs', example), join(directory, 'watcher.mjs'));

    const { feedCursor } = (await server.ask('{ delivery { feedCursor } }')).delivery;
    await server.createWebhook({ concern: 'orders', event: 'create', method: 'POST', url: 'http://127.0.0.1:1/' });
    const create = 'mutation ($input: CreateOrderInput!) { order { create(input: $input) { id } } }';
    await server.ask(create, { input: { tenantId: server.tenantId, cart: [{ name: 'A lamp', quantity: 1 }] } });

    const run = (token) => {
        const env = { ...process.env, HOOKGRAPH_URL: server.socketUrl, ACCESS_TOKEN: token, AFTER: feedCursor };
        return spawn(process.execPath, ['watcher.mjs'], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
    };
    const watcher = run(server.headers.authorization.replace('Bearer ', ''));
    const lines = createInterface({ input: watcher.stdout })[Symbol.asyncIterator]();
    for (const state of ['PENDING', 'IN_FLIGHT', 'RETRYING']) {
        assert.match((await lines.next()).value, new RegExp(` ${state}, attempts: `));
    }
    const ended = once(watcher, 'exit');
    watcher.kill();
    await ended;

    const refused = run('hgt_wrong');
    let told = '';
    refused.stderr.on('data', (data) => (told += data));
    const [code] = await once(refused, 'exit');
    assert.notEqual(code, 0);
    assert.match(told, /not valid/);
    assert.ok(told.split('\n').length < 20, told);
});

test('the watcher says why it has no connection, and gives up where the URL is no WebSocket', async (t) => {
    const directory = await mkdtemp(fileURLToPath(new URL('node_modules/.watcher-', import.meta.url)));
    t.after(() => rm(directory, { recursive: true }));
    await copyFile(new URL('watcher.mjs', example), join(directory, 'watcher.mjs'));
    const answers = [503, 429, 404];
    const elsewhere = createServer().on('upgrade', (_, socket) => socket.end(`HTTP/1.1 ${answers.shift()} No\r\ncontent-length: 0\r\n\r\n`));
    elsewhere.listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    t.after(() => elsewhere.close());

    const run = (url) => spawn(process.execPath, ['watcher.mjs'], { cwd: directory, env: { ...process.env, HOOKGRAPH_URL: url, ACCESS_TOKEN: 'hgt_any' }, stdio: ['ignore', 'ignore', 'pipe'] });
    const url = `ws://127.0.0.1:${elsewhere.address().port}/nothing`;
    const refused = run(url);
    let told = '';
    refused.stderr.on('data', (data) => (told += data));
    const [code] = await once(refused, 'close');
    assert.notEqual(code, 0);
    const lines = told.split('\n');
    assert.deepEqual(lines.slice(0, 2), [503, 429].map((status) => `the connection was lost, once more in a second: ${url} answered ${status}`));
    assert.match(told, new RegExp(`Error: ${url} answered 404: is that the URL of the API\\?`));

    const nobody = run('ws://127.0.0.1:1/graphql');
    const [line] = await once(createInterface({ input: nobody.stderr }), 'line');
    nobody.kill();
    assert.match(line, /once more in a second: connect ECONNREFUSED 127\.0\.0\.1:1/);
});
