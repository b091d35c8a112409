// The watcher of `examples/watcher` runs as it stands, and goes on after its server was away.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
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
