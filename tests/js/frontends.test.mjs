// What applications are built with works unmodified: Apollo Client, urql, and the official graphql-sse client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { cacheExchange, createClient as createUrql, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient as createSse } from 'graphql-sse';
import { createClient as createWs } from 'graphql-ws';
import WebSocket from 'ws';
import { startServer } from './server.mjs';

const TENANT = 'query ($identifier: String!) { tenant { get(identifier: $identifier) { id identifier } } }';
const CREATE_ORDER = 'mutation ($input: CreateOrderInput!) { order { create(input: $input) { id } } }';
const EVENTS = 'subscription { eventRecorded(concern: "orders", event: "create") { cursor event { concern event } } }';
const WRONG = 'query { tenant { nope } }';

let server;
before(async () => {
    server = await startServer();
});
after(() => server?.stop());

const order = () => ({ input: { tenantId: server.tenantId, cart: [{ name: 'A lamp', quantity: 1 }] } });
const socket = () => createWs({ url: server.socketUrl, webSocketImpl: WebSocket, connectionParams: server.headers, retryAttempts: 0 });

/** Makes orders until what is awaited comes: a subscription tells nobody when it has begun. */
async function whileOrdering(awaited) {
    let done = false;
    awaited = awaited.finally(() => (done = true));
    while (!done) await server.ask(CREATE_ORDER, order());
    return awaited;
}

function apollo() {
    const http = new HttpLink({ uri: `${server.url}/graphql`, headers: server.headers });
    const client = socket();
    const link = ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, new GraphQLWsLink(client), http);
    return { client: new ApolloClient({ link, cache: new InMemoryCache() }), stop: () => client.dispose() };
}

test('Apollo Client queries, changes, watches and is told what is wrong', async () => {
    const { client, stop } = apollo();
    const { data } = await client.query({ query: gql(TENANT), variables: { identifier: 'tests' } });
    assert.deepEqual(data.tenant.get, { __typename: 'Tenant', id: server.tenantId, identifier: 'tests' });
    const changed = await client.mutate({ mutation: gql(CREATE_ORDER), variables: order() });
    assert.ok(changed.data.order.create.id);
    const refused = await client.query({ query: gql(WRONG) }).then(() => undefined, (error) => error);
    assert.ok(refused, 'the query is refused');
    assert.ok(CombinedGraphQLErrors.is(refused), String(refused));
    assert.equal(refused.errors[0].extensions.code, 'BAD_USER_INPUT');
    const first = new Promise((resolve, reject) => client.subscribe({ query: gql(EVENTS) }).subscribe({ next: resolve, error: reject }));
    const watched = await whileOrdering(first);
    assert.equal(watched.data.eventRecorded.event.concern, 'orders');
    await stop();
});

test('urql queries, changes, watches and is told what is wrong', async () => {
    const ws = socket();
    const forward = ({ query, variables }) => ({ subscribe: (sink) => ({ unsubscribe: ws.subscribe({ query, variables }, sink) }) });
    const client = createUrql({
        url: `${server.url}/graphql`,
        exchanges: [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription: forward })],
        fetchOptions: { headers: server.headers },
        // In Node, its abort after an answer that it has read already is a rejection that nobody handles.
        fetch: (url, options) => fetch(url, { ...options, signal: undefined }),
        preferGetMethod: false,
    });
    const asked = await client.query(TENANT, { identifier: 'tests' }).toPromise();
    assert.equal(asked.error?.message, undefined);
    assert.equal(asked.data.tenant.get.id, server.tenantId);
    const changed = await client.mutation(CREATE_ORDER, order()).toPromise();
    assert.ok(changed.data.order.create.id, String(changed.error));
    const refused = await client.query(WRONG, {}).toPromise();
    assert.equal(refused.error.graphQLErrors[0].extensions.code, 'BAD_USER_INPUT');
    const first = new Promise((resolve) => client.subscription(EVENTS, {}).subscribe(resolve));
    const watched = await whileOrdering(first);
    assert.equal(watched.data.eventRecorded.event.event, 'create');
    await ws.dispose();
});

const sse = (options) => createSse({ url: `${server.url}/graphql`, headers: server.headers, retryAttempts: 0, ...options });

test('the graphql-sse client queries and changes', async () => {
    const client = sse();
    const { value } = await client.iterate({ query: TENANT, variables: { identifier: 'tests' } }).next();
    assert.equal(value.data.tenant.get.id, server.tenantId);
    const changed = await client.iterate({ query: CREATE_ORDER, variables: order() }).next();
    assert.ok(changed.value.data.order.create.id);
    client.dispose();
});

test('the graphql-sse client watches, and what it has missed comes after its cursor', async () => {
    const client = sse();
    const events = client.iterate({ query: EVENTS });
    const { value } = await whileOrdering(events.next());
    assert.equal(value.data.eventRecorded.event.concern, 'orders');
    await events.return();
    const after = value.data.eventRecorded.cursor;
    await server.ask(CREATE_ORDER, order());
    const query = 'subscription ($after: String) { eventRecorded(concern: "orders", event: "create", after: $after) { cursor } }';
    const resumed = client.iterate({ query, variables: { after } });
    const next = await resumed.next();
    assert.notEqual(next.value.data.eventRecorded.cursor, after);
    await resumed.return();
    client.dispose();
});

test('the graphql-sse client is told what is wrong as a result, and completes', async () => {
    const client = sse();
    const results = [];
    for await (const result of client.iterate({ query: WRONG })) results.push(result);
    assert.equal(results.length, 1);
    assert.equal(results[0].errors[0].extensions.code, 'BAD_USER_INPUT');
    assert.ok(!('data' in results[0]));
    client.dispose();
});

test('the graphql-sse client without a token is refused with 401', async () => {
    const client = sse({ headers: {} });
    const refused = await client.iterate({ query: EVENTS }).next().then(() => undefined, (error) => error);
    assert.equal(refused.response.status, 401);
    client.dispose();
});
