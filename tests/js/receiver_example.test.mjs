// The receiver of `examples/receiver` runs as it stands, and verifies what comes by every method.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startReceiver } from './receiver.mjs';
import { SECRET, startServer } from './server.mjs';

const example = new URL('../../examples/receiver/', import.meta.url);
let server;
let receiver;
before(async () => {
    [server, receiver] = await Promise.all([startServer(), startExample()]);
});
after(() => Promise.all([server?.stop(), receiver?.stop()]));

/** Runs a copy that lies where this package's modules are found, so that the example needs no installation of its own. */
async function startExample(settings = {}) {
    const directory = await mkdtemp(fileURLToPath(new URL('node_modules/.receiver-', import.meta.url)));
    await copyFile(new URL('receiver.mjs', example), join(directory, 'receiver.mjs'));
    const env = { ...process.env, SIGNATURE_SECRET: SECRET, PORT: '0', ...settings };
    const child = spawn(process.execPath, ['receiver.mjs'], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [printed, refused] = [child.stdout, child.stderr].map((input) => createInterface({ input })[Symbol.asyncIterator]());
    const line = async (lines) => (await lines.next()).value;
    const url = /^receiving on (\S+)$/.exec(await line(printed))?.[1];
    assert.ok(url, 'the example says where it receives');
    const stop = async () => {
        const ended = once(child, 'exit');
        child.kill();
        await ended;
        await rm(directory, { recursive: true });
    };
    return { url, stop, printed: () => line(printed), refused: () => line(refused) };
}

const createOrder = async () => {
    const create = `mutation ($input: CreateOrderInput!) { order { create(input: $input) { id } } }`;
    const cart = [{ name: 'A chair 🪑', quantity: 1 }];
    return (await server.ask(create, { input: { tenantId: server.tenantId, cart } })).order.create.id;
};

for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
    for (const graphqlQuery of [undefined, 'query ($id: ID!) { order { get(id: $id) { id cart { name } } } }']) {
        const what = graphqlQuery ? 'a rendered payload' : 'the default payload';
        test(`${what} by ${method} is verified and printed`, async () => {
            const webhook = await server.createWebhook({ concern: 'orders', event: 'create', method, url: receiver.url, graphqlQuery });
            const orderId = await createOrder();
            const printed = await receiver.printed();
            assert.ok(printed.includes(` ${method} {`), printed);
            assert.ok(printed.includes(orderId), printed);
            await server.ask('mutation ($id: ID!) { webhook { delete(id: $id) } }', { id: webhook.id });
        });
    }
}

/** Queries of which that one's signature covers only a part. */
function beside(search) {
    const forged = [search.replace('&id=', '&id=666&id='), search.replace('?shop=1', '?shop=2'), search.replace('?shop=1&', '?'), `${search}&shop=2`];
    assert.equal(new Set([...forged, search]).size, forged.length + 1);
    return forged;
}

for (const method of ['GET', 'POST']) {
    test(`behind a proxy that rewrites the path, ${method} is verified by the URL that the example was told`, async (t) => {
        const outside = await startReceiver();
        t.after(() => outside.stop());
        const url = `${outside.url}/outside/%7Eé?shop=1`;
        const behind = await startExample({ WEBHOOK_URL: url });
        t.after(() => behind.stop());
        const webhook = await server.createWebhook({ concern: 'orders', event: 'create', method, url });
        const orderId = await createOrder();
        const request = await outside.next(new URL(url).pathname);
        await server.ask('mutation ($id: ID!) { webhook { delete(id: $id) } }', { id: webhook.id });
        const ours = Object.entries(request.headers).filter(([name]) => name.startsWith('webhook-') || name === 'x-crystallize-signature');
        const headers = Object.fromEntries(ours);
        const { search } = new URL(request.url);
        const body = method === 'GET' ? undefined : request.body;
        const forged = method === 'GET' ? beside(search) : [];
        for (const query of forged) {
            const refused = await fetch(new URL(`/inside${query}`, behind.url), { headers });
            assert.equal(refused.status, 401, query);
            assert.match(await behind.refused(), /^refused: these are not the parameters that were signed/);
        }
        const response = await fetch(new URL(`/inside${search}`, behind.url), { method, headers, body });
        assert.equal(response.status, 204);
        const printed = await behind.printed();
        assert.ok(printed.includes(` ${method} {`) && printed.includes(orderId), printed);
    });
}

test('a forged request is refused', async () => {
    const response = await fetch(receiver.url, { method: 'POST', body: '{}', headers: { 'x-crystallize-signature': 'forged' } });
    assert.equal(response.status, 401);
    assert.match(await receiver.refused(), /^refused: Invalid signature/);
});

test('the example installs the versions that are tested', async () => {
    const versions = async (url, key) => JSON.parse(await readFile(url, 'utf8'))[key];
    const shown = await versions(new URL('package.json', example), 'dependencies');
    const tested = await versions(new URL('package.json', import.meta.url), 'devDependencies');
    for (const [name, version] of Object.entries(shown)) assert.equal(tested[name], version, name);
});
