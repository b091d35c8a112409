// Every request is verified by the official libraries, as it came over the wire: all five methods, all kinds of payload.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { after, before, describe, mock, test } from 'node:test';
import { createSignatureVerifier } from '@crystallize/js-api-client';
import { Webhook } from 'standardwebhooks';
import { startReceiver } from './receiver.mjs';
import { SECRET, startServer } from './server.mjs';
import { signedText, simplified, verifyBySecret } from './verifiers.mjs';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const ODD_TEXT = 'Größe "£5" \\ / 🙂👩‍🚀 \u2028\u2029\u007f\t\n日本語 &=+%20?#';
const NUMBERS = [1.0, -0, 0.1, 1e16, 1e21, 123456789012345680000, 1.5e-7, 0.000001, 4.35, 9007199254740991, 5e-324, 1.7976931348623157e308];

const FLAT = 'query ($id: ID!) { number: __typename order { get(id: $id) { id } } }';
const NESTED = `query ($id: ID!) { order { get(id: $id) {
    id additionalInformation
    customer { firstName lastName addresses { type city } }
    total { gross net currency }
    cart { name quantity price { gross net } }
    meta { key value }
} } }`;

let server;
let receiver;
before(async () => {
    [server, receiver] = await Promise.all([startServer(), startReceiver()]);
});
after(() => Promise.all([server?.stop(), receiver?.stop()]));

async function verify(request, webhookUrl, secret = SECRET) {
    return verifyBySecret(request, webhookUrl, secret);
}

/** The same by nothing but `node:crypto` and the words of the specification. */
function assertSignedAsSpecified(request, webhookUrl, claims) {
    const { headers, method } = request;
    const signed = signedText(request, webhookUrl);
    const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
    const v1 = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${signed}`).digest('base64');
    assert.equal(headers['webhook-signature'], `v1,${v1}`);
    const hashed = `{"url":${JSON.stringify(webhookUrl)},"method":"${method}","body":${signed}}`;
    assert.equal(claims.hmac, createHash('sha256').update(hashed, 'utf8').digest('hex'));
    assert.deepEqual([claims.aud, claims.sub, claims.iss], ['webhook', 'signature', 'crystallize']);
    assert.equal(claims.tenantId, server.tenantId);
    assert.equal(claims.tenantIdentifier, 'tests');
    assert.equal(claims.exp - claims.iat, 60);
    assert.equal(String(claims.iat), headers['webhook-timestamp']);
}

let orders = 0;
/** An order whose every text and number is odd. */
function oddOrder() {
    orders += 1;
    return {
        tenantId: server.tenantId,
        additionalInformation: `${ODD_TEXT} ${orders}`,
        customer: { firstName: '🙂', lastName: 'Ωμέγα \u2028 </script>', addresses: [{ type: 'delivery', city: '東京' }] },
        total: { currency: 'EUR', gross: 1e21, net: 0.1 },
        cart: NUMBERS.map((gross, at) => ({ name: `line ${at}`, quantity: at, price: { currency: 'EUR', gross, net: -gross } })),
        meta: [{ key: '10', value: ODD_TEXT }, { key: '9', value: null }],
    };
}

async function createOrder() {
    const create = 'mutation ($input: CreateOrderInput!) { order { create(input: $input) { id } } }';
    return (await server.ask(create, { input: oddOrder() })).order.create.id;
}

let paths = 0;
/** A webhook of its own path, the order that it is called for, and the request that it makes. */
async function delivered(input, path = `/webhook-${(paths += 1)}`) {
    const url = receiver.url + path;
    const webhook = await server.createWebhook({ concern: 'orders', event: 'create', url, ...input });
    const orderId = await createOrder();
    const request = await receiver.next(new URL(url).pathname);
    await server.ask('mutation ($id: ID!) { webhook { delete(id: $id) } }', { id: webhook.id });
    return { request, webhook, orderId };
}

async function assertVerified({ request, webhook }, method) {
    assert.equal(request.method, method);
    assertSignedAsSpecified(request, webhook.url, await verify(request, webhook.url));
    if (method === 'GET') {
        assert.equal(request.body, '');
        return;
    }
    assert.equal(request.url, webhook.url);
    assert.equal(request.headers['content-type'], 'application/json');
    assert.equal(request.body, JSON.stringify(JSON.parse(request.body)), 'the body is canonical');
    assert.equal(Number(request.headers['content-length']), request.bytes.length);
}

/** The payload that came: the body's, or the parameters that a GET appended. */
function payloadOf({ request, webhook }) {
    return JSON.parse(signedText(request, webhook.url));
}

for (const method of METHODS) {
    describe(`by ${method}`, () => {
        test('without a payload query, the default payload is delivered and verifies', async () => {
            const sent = await delivered({ method });
            await assertVerified(sent, method);
            const { orderId, webhook } = sent;
            const payload = payloadOf(sent);
            assert.equal(payload.id, orderId);
            assert.equal(payload.tenantId, server.tenantId);
            assert.equal(payload.webhookId, webhook.id);
            assert.deepEqual(Object.keys(payload).filter((name) => name !== 'userId'), ['id', 'tenantId', 'webhookId']);
        });

        test('an empty payload query is none', async () => {
            const sent = await delivered({ method, graphqlQuery: '' });
            await assertVerified(sent, method);
            assert.equal(payloadOf(sent).id, sent.orderId);
        });

        test('a flat payload verifies', async () => {
            const sent = await delivered({ method, graphqlQuery: FLAT });
            await assertVerified(sent, method);
            const payload = payloadOf(sent);
            assert.equal(payload.number, 'Query');
            assert.deepEqual(method === 'GET' ? JSON.parse(payload.order) : payload.order, { get: { id: sent.orderId } });
        });

        test('a nested payload with odd numbers and texts verifies', async () => {
            const sent = await delivered({ method, graphqlQuery: NESTED });
            await assertVerified(sent, method);
            const payload = payloadOf(sent);
            const order = (method === 'GET' ? JSON.parse(payload.order) : payload.order).get;
            assert.ok(order.additionalInformation.startsWith(ODD_TEXT));
            assert.equal(order.customer.firstName, '🙂');
            assert.deepEqual(order.total, { gross: 1e21, net: 0.1, currency: 'EUR' });
            const positive = (number) => (Object.is(number, -0) ? 0 : number); // JSON as JavaScript prints it has no -0
            assert.deepEqual(order.cart.map((line) => line.price.gross), NUMBERS.map(positive));
            assert.deepEqual(order.meta, [{ key: '10', value: ODD_TEXT }, { key: '9', value: null }]);
        });

        test('preserveDefaultPayload puts the default payload first, and the query wins', async () => {
            const graphqlQuery = 'query { tenantId: __typename order { __typename } }';
            const sent = await delivered({ method, graphqlQuery, preserveDefaultPayload: true });
            await assertVerified(sent, method);
            const payload = payloadOf(sent);
            assert.deepEqual(Object.keys(payload).filter((name) => name !== 'userId'), ['id', 'tenantId', 'webhookId', 'order']);
            assert.equal(payload.id, sent.orderId);
            assert.equal(payload.tenantId, 'Query');
        });

        test('a URL with a query of its own and odd characters verifies as normalised', async () => {
            const path = `/odd-${method}/%7Euser/ü?id=kept&x=1&x=2&empty`;
            const sent = await delivered({ method }, path);
            assert.equal(sent.webhook.url, new URL(receiver.url + path).href);
            await assertVerified(sent, method);
            const parameters = new URL(sent.request.url).searchParams;
            assert.deepEqual(parameters.getAll('id'), ['kept']);
            assert.deepEqual(parameters.getAll('x'), ['1', '2']);
            assert.equal(parameters.get('webhookId'), method === 'GET' ? sent.webhook.id : null);
        });

        test('what was tampered with is refused', async () => {
            const sent = await delivered({ method, graphqlQuery: NESTED });
            const { request, webhook } = sent;
            await assertTamperingIsRefused(request, webhook.url);
        });
    });
}

async function assertTamperingIsRefused(request, webhookUrl) {
    const isGet = request.method === 'GET';
    const jwt = request.headers['x-crystallize-signature'];
    const withHeader = (name, value) => ({ ...request, headers: { ...request.headers, [name]: value } });
    const refusedByBoth = isGet
        ? { parameters: { ...request, url: request.url.replace('order=', 'order=%20') }, 'one more parameter': { ...request, url: `${request.url}&more=1` } }
        : { body: { ...request, body: request.body.replace('EUR', 'USD') }, 'no body': { ...request, body: '' } };
    for (const [what, tampered] of Object.entries(refusedByBoth)) {
        await refusedByJwt(tampered, webhookUrl, what);
        refusedByStandard(tampered, webhookUrl, what);
    }
    if (isGet) {
        const twice = { ...request, url: request.url.replace('?order=', '?order=1&order=') };
        await assert.rejects(verify(twice, webhookUrl), /not the parameters that were signed/);
    }
    const other = METHODS[(METHODS.indexOf(request.method) + 2) % METHODS.length];
    await refusedByJwt({ ...request, method: other }, webhookUrl, 'method');
    await refusedByJwt({ ...request, url: request.url.replace('/webhook', '/other') }, webhookUrl.replace('/webhook', '/other'), 'url');
    await refusedByJwt({ ...request, url: request.url.replace('127.0.0.1', 'localhost') }, webhookUrl.replace('127.0.0.1', 'localhost'), 'host');
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    await refusedByJwt(request, webhookUrl, 'secret', secret);
    refusedByStandard(request, webhookUrl, 'secret', secret);
    await refusedByJwt(withHeader('x-crystallize-signature', unsigned(jwt)), webhookUrl, 'a JWT without a signature');
    await refusedByJwt(withHeader('x-crystallize-signature', `${jwt.slice(0, -4)}AAAA`), webhookUrl, 'another signature');
    refusedByStandard(withHeader('webhook-id', 'another'), webhookUrl, 'id');
    refusedByStandard(withHeader('webhook-timestamp', String(Number(request.headers['webhook-timestamp']) + 1)), webhookUrl, 'timestamp');
    const sentAt = Number(request.headers['webhook-timestamp']) * 1000;
    await at(sentAt + 59_000, () => verify(request, webhookUrl));
    await at(sentAt + 60_000, () => refusedByJwt(request, webhookUrl, 'a minute later'));
    await at(sentAt + 301_000, () => refusedByStandard(request, webhookUrl, 'five minutes later'));
}

function unsigned(jwt) {
    const header = Buffer.from('{"alg":"none"}').toString('base64url');
    return `${header}.${jwt.split('.')[1]}.`;
}

async function refusedByJwt(request, webhookUrl, what, secret = SECRET) {
    const verifier = createSignatureVerifier({ secret });
    await assert.rejects(verifier(request.headers['x-crystallize-signature'], simplified(request, webhookUrl)), /Invalid signature/, what);
}

function refusedByStandard(request, webhookUrl, what, secret = SECRET) {
    assert.throws(() => new Webhook(secret).verify(signedText(request, webhookUrl), request.headers), { name: 'WebhookVerificationError' }, what);
}

async function at(now, act) {
    mock.timers.enable({ apis: ['Date'], now });
    try {
        await act();
    } finally {
        mock.timers.reset();
    }
}

test('JSON of the customer with integer-like keys is delivered as JavaScript orders it, and verifies', async () => {
    const url = `${receiver.url}/documents`;
    const graphqlQuery = `query ($id: ID!, $language: String!) { document { get(id: $id, language: $language) {
        components { componentId content { ... on RichTextContent { json } } } } } }`;
    const webhook = await server.createWebhook({ concern: 'items', event: 'create', method: 'POST', url, graphqlQuery });
    const json = [{ z: 1, 10: 'ten', 9: 'nine', '01': 'text', nested: { 2: [1.0, 1e21, -0], 1: null, '\u2028': '🙂' } }];
    const create = `mutation ($input: CreateDocumentInput!) { document { create(input: $input, language: "en") { id } } }`;
    const components = [{ componentId: 'story', richText: { json } }];
    await server.ask(create, { input: { tenantId: server.tenantId, name: 'A story', shapeIdentifier: 'story', components } });
    const request = await receiver.next('/documents');
    await assertVerified({ request, webhook }, 'POST');
    assert.ok(request.body.includes('"json":[{"9":"nine","10":"ten","z":1,"01":"text"'), request.body);
});

test('headers of the webhook are sent in lower case beside ours', async () => {
    const headers = [{ name: 'Hello-Test', value: 'one' }, { name: 'X-Two', value: 'a, b' }];
    const sent = await delivered({ method: 'POST', headers });
    await assertVerified(sent, 'POST');
    assert.equal(sent.request.headers['x-two'], 'a, b');
    assert.ok(sent.request.rawHeaders.includes('hello-test'));
});
