// "Not yours" and "not there" are one answer: wherever the API takes an id, that of another tenant is answered as one that
// was never made, to the byte but for the id itself. The places are read off the schema: a new one without a case fails.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { buildSchema } from 'graphql';
import { daysAgo, documentFor, nameOf, places } from './ids.mjs';
import { binary, environment, startServer } from './server.mjs';

/** Of what an id is, by its last name; that of `id` and `parentId` is told by the namespace. */
const KINDS = {
    tenantId: 'tenant', eventId: 'event', webhookId: 'webhook', itemId: 'item', itemIds: 'item', topicIds: 'topic', topicId: 'topic', flowId: 'flow',
    pipelineId: 'pipeline', pipelineStageId: 'pipelineStage', orderId: 'order', productId: 'product', vatTypeId: 'vatType', subscriptionContractId: 'subscriptionContract',
    replayId: 'replay',
};
const STAGES = { flow: 'flowStage', pipeline: 'pipelineStage', order: 'pipelineStage' };
// What a record only notes down: no record here has such an id, and nothing is looked up by it.
const NOTED = new Set(['productVariantId', 'productSubscriptionId', 'periodId', 'shapeId', 'input.initial.meteredVariables.id']);

// Where even whose it is is told nothing: what a record notes down is looked up when it is read, nothing here has failed, and webhooks
// are listed from behind any id.
const UNTOLD = /itemRelations\.itemIds|rows\.columns\.itemId|cart\.\w+Id|meteredVariables\.id|vatTypeId|vatTypes\.tenantId|topic\.get path|retryMany|webhook\.getMany after/;
// What an earlier call for its owner has ended already, by another of its ids.
const ENDED = new Set(['mutation flow.removeStage stageId', 'mutation order.removePipeline pipelineId', 'mutation product.delete id']);

function kindOf({ namespace, field, path }, at = path) {
    const last = at.at(-1);
    if (NOTED.has(last) || NOTED.has(at.join('.'))) return undefined;
    if (last === 'stageId') return STAGES[namespace];
    if (last === 'parentId') return namespace === 'topic' ? 'topic' : 'folder';
    if (last === 'identifier') return 'customer';
    // A list goes on behind one of its own.
    if (last === 'after') return namespace;
    if (last !== 'id') return KINDS[last] ?? assert.fail(`no case for ${last}`);
    if (namespace === undefined) return field.name === 'replayUpdated' ? 'replay' : assert.fail(`no case for ${field.name}`);
    return at[0] === 'input' && namespace === 'webhook' ? 'webhook' : namespace;
}

/** How long a subscription is listened to that may never say anything, in milliseconds. */
const SILENCE_MS = 300;

let server;
let schema;
let stranger;
let victim;
before(async () => {
    server = await startServer();
    schema = buildSchema(await server.text('/schema.graphql'));
    [stranger, victim] = [await tenant('stranger'), await tenant('victim')];
});
after(() => server?.stop());

/** A tenant with one record of every kind and a token that may everything: `{ token, ids }`. */
async function tenant(identifier) {
    const create = `mutation { tenant { create(input: { identifier: "${identifier}", name: "T", vatTypes: [{ name: "V", percent: 25 }] }) { id vatTypes { id } } } }`;
    const made = (await server.ask(create)).tenant.create;
    const env = environment(server.directory, {});
    const { stdout, stderr } = spawnSync(binary, ['token', 'create', '--tenant', identifier], { env, cwd: server.directory, encoding: 'utf8' });
    assert.match(stdout, /^hgt_/, stderr);
    const ids = { tenant: made.id, vatType: made.vatTypes[0].id };
    const of = { token: stdout.trim(), ids };
    await plant(of);
    return of;
}

const placeOf = (name) => places(schema).find((place) => nameOf(place) === name) ?? assert.fail(name);

async function plant({ token, ids }) {
    const ask = async (document) => {
        const { body } = await asked(token, document);
        assert.equal(body.errors, undefined, `${document}: ${JSON.stringify(body.errors)}`);
        return Object.values(Object.values(body.data)[0])[0];
    };
    const t = `tenantId: "${ids.tenant}"`;
    const webhook = `mutation { webhook { create(input: { ${t}, name: "W", concern: "customers", event: "create", method: POST, url: "http://127.0.0.1:9/" }) { id } } }`;
    ids.webhook = (await ask(webhook)).id;
    ids.topic = (await ask(`mutation { topic { create(language: "en", input: { ${t}, name: "T" }) { id } } }`)).id;
    ids.folder = (await ask(`mutation { folder { create(language: "en", input: { ${t}, name: "F", shapeIdentifier: "s" }) { id } } }`)).id;
    ids.document = (await ask(`mutation { document { create(language: "en", input: { ${t}, name: "D", shapeIdentifier: "s" }) { id } } }`)).id;
    ids.product = (await ask(`mutation { product { create(language: "en", input: { ${t}, name: "P", shapeIdentifier: "s", vatTypeId: "${ids.vatType}", variants: [{ isDefault: true, sku: "${ids.tenant}" }] }) { id } } }`)).id;
    ids.item = ids.product;
    ids.grid = (await ask(`mutation { grid { create(language: "en", input: { ${t}, name: "G", rows: [] }) { id } } }`)).id;
    const stages = 'stages: [{ name: "S" }]';
    const pipeline = await ask(`mutation { pipeline { create(input: { ${t}, name: "P", ${stages} }) { id stages { id } } } }`);
    [ids.pipeline, ids.pipelineStage] = [pipeline.id, pipeline.stages[0].id];
    const flow = await ask(`mutation { flow { create(input: { ${t}, name: "F", ${stages} }) { id stages { id } } } }`);
    [ids.flow, ids.flowStage] = [flow.id, flow.stages[0].id];
    ids.order = (await ask(`mutation { order { create(input: { ${t}, cart: [{ name: "L", quantity: 1 }] }) { id } } }`)).id;
    ids.customer = `c-${ids.tenant}`;
    await ask(`mutation { order { setPipelineStage(orderId: "${ids.order}", pipelineId: "${ids.pipeline}", stageId: "${ids.pipelineStage}") { id } } }`);
    for (const kind of ['market', 'priceList']) await ask(documentFor(placeOf(`mutation ${kind}.create input.tenantId`), ids.tenant, () => 'x'));
    await ask(`mutation { customer { create(input: { ${t}, identifier: "${ids.customer}", firstName: "A", lastName: "B" }) { identifier } } }`);
    ids.subscriptionContract = (await ask(documentFor(placeOf('mutation subscriptionContract.create input.tenantId'), ids.tenant, () => 'x').replace('customerIdentifier: "x"', `customerIdentifier: "${ids.customer}"`))).id;
    ids.accessToken = (await ask('mutation { accessToken { create(input: { name: "T", permissions: [ORDERS_READ] }) { accessToken { id } } } }')).accessToken.id;
    ids.event = (await ask('{ event { getMany(concern: "customers") { nodes { id } } } }')).nodes[0].id;
    ids.delivery = (await ask('{ delivery { getMany { nodes { id } } } }')).nodes[0].id;
    ids.replay = (await ask(`mutation { webhook { replay(input: { webhookId: "${ids.webhook}", from: "${daysAgo(1)}", to: "${daysAgo(-1)}" }) { id } } }`)).id;
}

/** One request with a token: `{ status, body }`. What a subscription says first, or that it is silent, is its body. */
async function asked(token, query, address = '/graphql') {
    const isWatching = query.startsWith('subscription');
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: isWatching ? 'text/event-stream' : 'application/graphql-response+json' };
    const response = await fetch(server.url + address, { method: 'POST', headers, body: JSON.stringify({ query }) });
    return { status: response.status, body: isWatching ? await firstEvent(response.body.getReader()) : await response.json() };
}

async function firstEvent(reader) {
    let timer;
    const silence = new Promise((resolve) => (timer = setTimeout(resolve, SILENCE_MS, 'silence')));
    const spoken = reader.read().then(({ value }) => new TextDecoder().decode(value));
    const first = await Promise.race([spoken, silence]);
    clearTimeout(timer);
    await reader.cancel();
    return first;
}

/** An id of the form of another that nothing has. */
const neverMade = (id) => id.slice(0, -8) + randomBytes(4).toString('hex');

/** An answer without what differs from one request to the next: the id that was asked for, other ids, and times. */
function told({ status, body }, id) {
    const text = JSON.stringify(body).replaceAll(id, '<asked>').replace(/sku-\d+/g, '<sku>');
    return `${status} ${text.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<id>').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')}`;
}

/** What is answered at a place to an id, of whatever tenant; the other ids that it needs are the asker's own. */
async function answerAt(place, { token, ids }, id, address) {
    const own = (path) => ids[kindOf(place, path)] ?? 'x';
    const document = documentFor(place, id, own);
    // A preview with an event is one of a webhook.
    return told(await asked(token, document.replace('input: { eventId:', `input: { id: "${ids.webhook}", eventId:`), address), id);
}

for (const [address, file] of [['/graphql', '/schema.graphql'], ['/payload/graphql', '/payload/schema.graphql']]) {
    test(`another tenant's id is answered as one that was never made, wherever ${address} takes an id`, async () => {
        let count = 0;
        for (const place of places(buildSchema(await server.text(file)))) {
            const kind = kindOf(place);
            if (kind === undefined) continue;
            const theirs = victim.ids[kind] ?? assert.fail(`no ${kind} to ask for: ${nameOf(place)}`);
            const [before, found, after] = [
                await answerAt(place, stranger, neverMade(theirs), address),
                await answerAt(place, stranger, theirs, address),
                await answerAt(place, stranger, neverMade(theirs), address),
            ];
            // What a first call has made may stand in the way of the second: then it stands in that of the third as well.
            assert.ok(found === before || found === after, `${nameOf(place)}\ntheirs: ${found}\nnever made: ${before}`);
            count += 1;
        }
        assert.ok(count > 20, `${count} places`);
    });
}

test('the ids are real: whose they are is answered otherwise', async () => {
    // What ends a record comes last, and the tenant at the very end.
    const rank = ({ operation, namespace, field }) => [operation !== 'query', /^(delete|remove|revoke|cancel)/.test(field.name), /^delete/.test(field.name), namespace === 'tenant' && field.name === 'delete'].filter(Boolean).length;
    const asked = places(schema).filter((place) => kindOf(place) !== undefined).sort((one, other) => rank(one) - rank(other));
    const same = [];
    for (const place of asked) {
        const mine = victim.ids[kindOf(place)];
        const [never, found] = [await answerAt(place, victim, neverMade(mine)), await answerAt(place, victim, mine)];
        if (never === found && !UNTOLD.test(nameOf(place)) && !ENDED.has(nameOf(place))) same.push(`${nameOf(place)}: ${found}`);
    }
    assert.deepEqual(same, []);
});
