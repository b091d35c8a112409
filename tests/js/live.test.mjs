// Live status with the official graphql-ws client: as it happens, and over cut connections without a gap or a repetition.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { startReceiver } from './receiver.mjs';
import { startServer } from './server.mjs';

const DELIVERIES = `subscription ($webhookId: ID, $states: [DeliveryState!], $after: String) {
    deliveryUpdated(webhookId: $webhookId, states: $states, after: $after) {
        cursor at deliveryId webhookId eventId state attemptCount delivery { id state }
    }
}`;
const EVENTS = `subscription ($concern: String, $event: String, $after: String) {
    eventRecorded(concern: $concern, event: $event, after: $after) { cursor eventId event { id concern event } }
}`;

let server;
let receiver;
before(async () => {
    [server, receiver] = await Promise.all([startServer(), startReceiver()]);
});
after(() => Promise.all([server?.stop(), receiver?.stop()]));

async function createOrder() {
    const create = 'mutation ($input: CreateOrderInput!) { order { create(input: $input) { id } } }';
    const cart = [{ name: 'A lamp', quantity: 1 }];
    return (await server.ask(create, { input: { tenantId: server.tenantId, cart } })).order.create.id;
}

function createOrderWebhook(path) {
    return server.createWebhook({ concern: 'orders', event: 'create', method: 'POST', url: receiver.url + path });
}

/** One connection of the official client; `cut` tears it down as a broken network does. */
function connect() {
    let socket;
    class Kept extends WebSocket {
        constructor(...args) {
            super(...args);
            socket = this;
        }
    }
    const client = createClient({
        url: server.socketUrl,
        webSocketImpl: Kept,
        connectionParams: server.headers,
        retryAttempts: 0,
    });
    return { client, cut: () => socket.terminate() };
}

/** The entries of a subscription, one by one; it ends when the connection is cut. */
async function* entries(client, query, variables) {
    try {
        for await (const { data, errors } of client.iterate({ query, variables })) {
            assert.equal(errors, undefined, JSON.stringify(errors));
            yield Object.values(data)[0];
        }
    } catch (closed) {
        if (closed.code !== 1006) throw closed;
    }
}

/** A cursor from which on nothing is missed: that of an event which the subscription is seen to have got. */
async function someCursor(query, variables) {
    const { client } = connect();
    const first = entries(client, query, variables).next();
    let entry;
    first.then(({ value }) => (entry = value));
    while (!entry) await createOrder(); // until the subscription has begun
    await client.dispose();
    return entry.cursor;
}

/** Reads from a cursor until `isDone`, and cuts the connection after every `cutEvery` entries. */
async function readAll(query, variables, isDone, cutEvery = Infinity) {
    const read = [];
    let [after, cuts] = [variables.after, 0];
    while (true) {
        const { client, cut } = connect();
        let sinceCut = 0;
        for await (const entry of entries(client, query, { ...variables, after })) {
            read.push(entry);
            after = entry.cursor;
            sinceCut += 1;
            if (isDone(read)) {
                await client.dispose();
                return { read, cuts };
            }
            if (sinceCut === cutEvery) {
                cuts += 1;
                cut();
                break;
            }
        }
    }
}

test('a delivery is watched from its event to its receipt', async () => {
    const webhook = await createOrderWebhook('/watched');
    const after = await someCursor(DELIVERIES, { webhookId: webhook.id });
    await createOrder();
    let mine;
    await readAll(DELIVERIES, { webhookId: webhook.id, after }, (read) => {
        mine = read.filter((entry) => entry.deliveryId === read.at(-1).deliveryId);
        return mine[0].state === 'PENDING' && mine.at(-1).state === 'DELIVERED';
    });
    assert.ok(mine.every((entry) => entry.webhookId === webhook.id && entry.eventId === mine[0].eventId));
    assert.equal(mine.at(-1).attemptCount, 1);
    assert.equal(mine.at(-1).delivery.id, mine[0].deliveryId);
});

test('only the asked-for states come', async () => {
    const webhook = await createOrderWebhook('/states');
    const after = await someCursor(DELIVERIES, { webhookId: webhook.id, states: ['DELIVERED'] });
    await Promise.all([createOrder(), createOrder(), createOrder()]);
    const { read } = await readAll(DELIVERIES, { webhookId: webhook.id, states: ['DELIVERED'], after }, (entries) => entries.length >= 3);
    assert.deepEqual(read.map((entry) => entry.state), ['DELIVERED', 'DELIVERED', 'DELIVERED']);
});

for (const cutEvery of [1, 3, 7]) {
    test(`deliveries watched over a connection cut after every ${cutEvery}: nothing missing, nothing twice`, async () => {
        const webhook = await createOrderWebhook(`/cut-${cutEvery}`);
        const after = await someCursor(DELIVERIES, { webhookId: webhook.id });
        const making = Array.from({ length: 12 }, createOrder);
        const isDone = (read) => deliveredSince(read) >= 12 && settled(read);
        const cutUp = readAll(DELIVERIES, { webhookId: webhook.id, after }, isDone, cutEvery);
        await Promise.all(making);
        const { read, cuts } = await cutUp;
        const whole = await readAll(DELIVERIES, { webhookId: webhook.id, after }, (entries) => entries.length === read.length);
        assert.deepEqual(read.map((entry) => entry.cursor), whole.read.map((entry) => entry.cursor));
        assert.equal(new Set(read.map((entry) => entry.cursor)).size, read.length, 'nothing twice');
        assert.ok(cuts >= 3, `${cuts} cuts`);
    });
}

function deliveredSince(read) {
    return new Set(read.filter((entry) => entry.state === 'DELIVERED').map((entry) => entry.deliveryId)).size;
}

/** Whether every delivery that was seen was seen to its end. */
function settled(read) {
    const last = new Map(read.map((entry) => [entry.deliveryId, entry.state]));
    return [...last.values()].every((state) => state === 'DELIVERED');
}

test('events watched over a cut connection: nothing missing, nothing twice, in the order of their recording', async () => {
    const after = await someCursor(EVENTS, { concern: 'orders', event: 'create' });
    const variables = { concern: 'orders', event: 'create', after };
    const orders = 25;
    const making = Promise.all(Array.from({ length: orders }, createOrder));
    const { read, cuts } = await readAll(EVENTS, variables, (entries) => entries.length >= orders, 2);
    await making;
    const whole = await readAll(EVENTS, variables, (entries) => entries.length === read.length);
    assert.deepEqual(read.map((entry) => entry.eventId), whole.read.map((entry) => entry.eventId));
    assert.equal(new Set(read.map((entry) => entry.eventId)).size, orders);
    assert.ok(read.every((entry) => entry.event.concern === 'orders' && entry.event.event === 'create'));
    assert.ok(cuts >= 10, `${cuts} cuts`);
});

test('a client without a token is closed as forbidden', async () => {
    const client = createClient({ url: server.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
    await assert.rejects(client.iterate({ query: EVENTS }).next(), { code: 4403 });
});

test('a cursor that was never given is refused', async () => {
    const { client } = connect();
    const refused = client.iterate({ query: EVENTS, variables: { after: 'nothing' } }).next();
    const errors = await refused.then(({ value }) => value?.errors, (thrown) => thrown);
    assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT');
    assert.equal(errors[0].extensions.problems[0].path, 'after');
    await client.dispose();
});

test('queries and mutations run over the same connection', async () => {
    const { client } = connect();
    const { value } = await client.iterate({ query: '{ tenant { get(identifier: "tests") { id } } }' }).next();
    assert.equal(value.data.tenant.get.id, server.tenantId);
    await client.dispose();
});
