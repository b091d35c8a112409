// Signatures by secrets and by keys, of a tenant and of a webhook: accepted before, during and after a rotation by whoever
// holds the right one, refused by everyone else, and refused when anything was tampered with.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, mock, test } from 'node:test';
import { startReceiver } from './receiver.mjs';
import { SECRET, binary, startServer } from './server.mjs';
import { verifyAsymmetricJwt, verifySymmetricJwt, verifyV1, verifyV1a } from './verifiers.mjs';

const STRANGER = { secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}`, key: 'whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=' };

let server;
let receiver;
let tenantSecret = SECRET;
before(async () => {
    [server, receiver] = await Promise.all([startServer(), startReceiver()]);
});
after(() => Promise.all([server?.stop(), receiver?.stop()]));

let paths = 0;
async function webhookWith(input) {
    const url = `${receiver.url}/rotating-${(paths += 1)}`;
    const webhook = await server.createWebhook({ concern: 'orders', event: 'create', url, method: 'POST', ...input });
    return { ...webhook, keySetUrl: `${server.url}/tenants/${server.tenantId}/webhooks/${webhook.id}/.well-known/jwks.json` };
}

async function requestTo(webhook) {
    await server.ask('mutation ($id: ID!) { webhook { test(id: $id) { id } } }', { id: webhook.id });
    const request = await receiver.next(new URL(webhook.url).pathname);
    assert.equal(request.headers['webhook-test'], 'true');
    return request;
}

/** Who owns the secrets: how they are made anew, and read. */
const OWNERS = {
    tenant: {
        async current() {
            const { tenant } = await server.ask('{ tenant { get { signatureSecret signatureKeys { publicKey } } } }');
            assert.equal(tenant.get.signatureSecret, '', 'shown once');
            return { secret: tenantSecret, key: tenant.get.signatureKeys[0].publicKey };
        },
        async rotate(webhook, overlapS) {
            const regenerate = `mutation ($tenantId: ID!, $input: RegenerateSecretsInput) { tenant {
                regenerateSecrets(tenantId: $tenantId, input: $input) { signatureSecret signatureKeys { publicKey } } } }`;
            const made = (await server.ask(regenerate, { tenantId: server.tenantId, input: { overlapS } })).tenant.regenerateSecrets;
            tenantSecret = made.signatureSecret;
            return { secret: made.signatureSecret, key: made.signatureKeys[0].publicKey };
        },
    },
    webhook: {
        async current(webhook) {
            return this.rotate(webhook, 0);
        },
        async rotate({ id }, overlapS) {
            const regenerate = `mutation ($id: ID!, $input: RegenerateWebhookSecretsInput) { webhook {
                regenerateSecrets(id: $id, input: $input) { signatureSecret webhook { hasOwnSecrets signatureKeys { publicKey } } } } }`;
            const made = (await server.ask(regenerate, { id, input: { overlapS } })).webhook.regenerateSecrets;
            assert.ok(made.webhook.hasOwnSecrets);
            return { secret: made.signatureSecret, key: made.webhook.signatureKeys[0].publicKey };
        },
    },
};

/** The verifiers that a way of signing has, each of a request and credentials. */
function verifiers(signing, webhook) {
    const symmetric = {
        jwt: (request, { secret }, url = webhook.url) => verifySymmetricJwt(request, url, secret),
        v1: async (request, { secret }, url = webhook.url) => verifyV1(request, url, secret),
    };
    const v1a = async (request, { key }, url = webhook.url) => verifyV1a(request, url, key);
    const keySet = (request, credentials, url = webhook.url) => verifyAsymmetricJwt(request, url, webhook.keySetUrl);
    return { SYMMETRIC: symmetric, ASYMMETRIC: { keySet, v1a }, BOTH: { ...symmetric, v1a } }[signing];
}

const coversUrl = (name) => name === 'jwt' || name === 'keySet';

async function assertAccepted(request, credentials, webhook, signing, names) {
    for (const [name, verify] of Object.entries(verifiers(signing, webhook))) {
        if (!names || names.includes(name)) await verify(request, credentials);
    }
}

async function assertRefused(request, credentials, webhook, signing, names) {
    for (const [name, verify] of Object.entries(verifiers(signing, webhook))) {
        // A key set is the server's own: there are no other credentials to it.
        if (name !== 'keySet' && (!names || names.includes(name))) await assert.rejects(verify(request, credentials), name);
    }
}

async function assertTamperingIsRefused(request, credentials, webhook, signing) {
    const withHeaders = (headers) => ({ ...request, headers: { ...request.headers, ...headers } });
    const body = { ...request, body: request.body.replace('"tenantId"', '"tenantID"') };
    assert.notEqual(body.body, request.body);
    const later = String(Number(request.headers['webhook-timestamp']) + 1);
    for (const [name, verify] of Object.entries(verifiers(signing, webhook))) {
        await assert.rejects(verify(body, credentials), `${name}: body`);
        if (coversUrl(name)) {
            await assert.rejects(verify({ ...request, method: 'PUT' }, credentials), `${name}: method`);
            const elsewhere = webhook.url.replace('/rotating', '/other');
            await assert.rejects(verify({ ...request, url: elsewhere }, credentials, elsewhere), `${name}: url`);
            const jwt = request.headers['x-crystallize-signature'];
            const claims = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url')), exp: 4102444800 }));
            const longer = [jwt.split('.')[0], claims.toString('base64url'), jwt.split('.')[2]].join('.');
            await assert.rejects(verify(withHeaders({ 'x-crystallize-signature': longer }), credentials), `${name}: time`);
        } else {
            await assert.rejects(verify(withHeaders({ 'webhook-timestamp': later }), credentials), `${name}: time`);
            await assert.rejects(verify(withHeaders({ 'webhook-id': 'another' }), credentials), `${name}: id`);
        }
    }
    await assertRefused(request, STRANGER, webhook, signing);
    await at(Number(request.headers['webhook-timestamp']) * 1000 + 301_000, async () => {
        for (const [name, verify] of Object.entries(verifiers(signing, webhook))) await assert.rejects(verify(request, credentials), `${name}: too late`);
    });
}

async function at(now, act) {
    mock.timers.enable({ apis: ['Date'], now });
    try {
        await act();
    } finally {
        mock.timers.reset();
    }
}

for (const signing of ['SYMMETRIC', 'ASYMMETRIC', 'BOTH']) {
    for (const [name, owner] of Object.entries(OWNERS)) {
        describe(`${signing} by the secrets of the ${name}`, () => {
            test('verifies before, during and after a rotation, and not when it was tampered with', async () => {
                const webhook = await webhookWith({ signing });
                const first = await owner.current(webhook);
                const before = await requestTo(webhook);
                await assertAccepted(before, first, webhook, signing);
                await assertTamperingIsRefused(before, first, webhook, signing);

                const second = await owner.rotate(webhook, 3600);
                await assertRefused(before, second, webhook, signing);
                const during = await requestTo(webhook);
                await assertAccepted(during, first, webhook, signing);
                await assertAccepted(during, second, webhook, signing, ['v1', 'v1a', 'keySet']);
                await assertRefused(during, second, webhook, signing, ['jwt']);
                await assertTamperingIsRefused(during, first, webhook, signing);

                const third = await owner.rotate(webhook, 0);
                const after = await requestTo(webhook);
                await assertAccepted(after, third, webhook, signing);
                await assertRefused(after, first, webhook, signing);
                await assertRefused(after, second, webhook, signing);
                await assertTamperingIsRefused(after, third, webhook, signing);
            });
        });
    }
}

test('what a webhook signs with its own is not verified by the secret of its tenant, and is again once they are removed', async () => {
    const webhook = await webhookWith({ signing: 'BOTH' });
    const own = await OWNERS.webhook.rotate(webhook, 0);
    const tenant = await OWNERS.tenant.current();
    await assertRefused(await requestTo(webhook), tenant, webhook, 'BOTH');
    const remove = 'mutation ($id: ID!, $overlapS: Int) { webhook { removeSecrets(id: $id, overlapS: $overlapS) { hasOwnSecrets } } }';
    await server.ask(remove, { id: webhook.id, overlapS: 3600 });
    const leaving = await requestTo(webhook);
    await assertAccepted(leaving, own, webhook, 'BOTH');
    await assertAccepted(leaving, tenant, webhook, 'BOTH', ['v1', 'v1a']);
    await server.ask(remove, { id: webhook.id, overlapS: 0 });
    const gone = await requestTo(webhook);
    await assertAccepted(gone, tenant, webhook, 'BOTH');
    await assertRefused(gone, own, webhook, 'BOTH');
});

test('a second rotation within an overlap silences none of the secrets before', async () => {
    const webhook = await webhookWith({ signing: 'BOTH' });
    const first = await OWNERS.webhook.current(webhook);
    const later = [await OWNERS.webhook.rotate(webhook, 3600), await OWNERS.webhook.rotate(webhook, 3600)];
    const request = await requestTo(webhook);
    await assertAccepted(request, first, webhook, 'BOTH');
    for (const credentials of later) {
        await assertAccepted(request, credentials, webhook, 'BOTH', ['v1', 'v1a']);
        await assertRefused(request, credentials, webhook, 'BOTH', ['jwt']);
    }
});

test('what a tenant ends at once signs no more for a webhook whose own take over from it', async () => {
    const webhook = await webhookWith({ signing: 'BOTH' });
    const leaked = await OWNERS.tenant.current();
    const own = await OWNERS.webhook.rotate(webhook, 3600);
    await assertAccepted(await requestTo(webhook), leaked, webhook, 'BOTH');
    const tenant = await OWNERS.tenant.rotate(webhook, 0);
    const request = await requestTo(webhook);
    await assertRefused(request, leaked, webhook, 'BOTH');
    await assertAccepted(request, tenant, webhook, 'BOTH');
    await assertAccepted(request, own, webhook, 'BOTH', ['v1', 'v1a']);
});

test('key sets are public, may be kept for a while, and bear both keys during a rotation', async () => {
    const of = async (path) => fetch(`${server.url}/tenants/${path}/.well-known/jwks.json`);
    await OWNERS.tenant.rotate(undefined, 3600);
    const answer = await of(server.tenantId);
    assert.equal(answer.headers.get('cache-control'), 'public, max-age=300');
    const { keys } = await answer.json();
    const query = '{ tenant { get { signatureKeys { id publicKey jwk signsUntil } } } }';
    const shown = (await server.ask(query)).tenant.get.signatureKeys;
    assert.deepEqual(keys, shown.map(({ jwk }) => jwk));
    assert.deepEqual(keys.map(({ kid }) => kid), shown.map(({ id }) => id));
    assert.deepEqual(shown.map(({ signsUntil }) => signsUntil === null), [true, false]);
    for (const { kty, crv, alg, use, x, ...rest } of keys) {
        assert.deepEqual([kty, crv, alg, use, Object.keys(rest)], ['OKP', 'Ed25519', 'EdDSA', 'sig', ['kid']]);
    }
    const webhook = await webhookWith({ signing: 'ASYMMETRIC' });
    assert.deepEqual(await (await of(`${server.tenantId}/webhooks/${webhook.id}`)).json(), { keys });
    const nobodys = '0198c0de-0000-7000-8000-000000000000';
    for (const path of [nobodys, 'tests', `${server.tenantId}/webhooks/${nobodys}`, `${nobodys}/webhooks/${webhook.id}`]) {
        assert.equal((await of(path)).status, 404, path);
    }
});

test('hookgraph verify judges by a public key', async () => {
    const webhook = await webhookWith({ signing: 'ASYMMETRIC' });
    const { key } = await OWNERS.webhook.current(webhook);
    const { url, method, headers, body } = await requestTo(webhook);
    const verdict = async (publicKey, saved) => {
        const child = spawn(binary, ['verify', '-', '--public-key', publicKey], { stdio: ['pipe', 'ignore', 'inherit'] });
        child.stdin.end(JSON.stringify({ url, method, headers, body, ...saved }));
        return (await once(child, 'exit'))[0];
    };
    assert.equal(await verdict(key, {}), 0);
    assert.equal(await verdict(STRANGER.key, {}), 1);
    assert.equal(await verdict(key, { body: body.replace('"tenantId"', '"tenantID"') }), 1);
    assert.equal(await verdict(key, { method: 'PUT' }), 1);
});
