// Documents that are named instead of sent, with the clients and manifests of others' making: Apollo's persisted queries,
// graphql-codegen's persisted-documents.json, graphql-ws and graphql-sse.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { generate } from '@graphql-codegen/cli';
import { createClient as createUrql, createRequest, fetchExchange, makeOperation } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { createClient as createSse } from 'graphql-sse';
import { createClient as createWs } from 'graphql-ws';
import WebSocket from 'ws';
import { startServer } from './server.mjs';

const DOCUMENTS = `
    query Tenant($identifier: String!) { tenant { get(identifier: $identifier) { ...Named } } }
    fragment Named on Tenant { id identifier }
    subscription Events { eventRecorded(concern: "orders", event: "create") { cursor } }
`;
const OTHER = 'query Other { tenant { getMany { id } } }';
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

let folder;
let manifest;
let open;
let closed;
before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hookgraph-documents-'));
    manifest = await persistedDocuments();
    await writeFile(join(folder, 'persisted-documents.json'), JSON.stringify(manifest));
    // What the harness asks every server.
    await writeFile(join(folder, 'harness.json'), JSON.stringify({ harness: '{ tenant { get(identifier: "tests") { id } } }' }));
    [open, closed] = await Promise.all([startServer(), startServer({ trusted_documents: folder, trusted_documents_only: true })]);
});
after(async () => {
    await Promise.all([open?.stop(), closed?.stop()]);
    await rm(folder, { recursive: true, force: true });
});

/** What graphql-codegen's client preset makes of the documents, by SHA-256. */
async function persistedDocuments() {
    const schema = new URL('../../schema.graphql', import.meta.url).pathname;
    const presetConfig = { persistedDocuments: { hashAlgorithm: 'sha256' } };
    const generates = { 'generated/': { preset: 'client', presetConfig } };
    const outputs = await generate({ schema, documents: [DOCUMENTS], generates, silent: true }, false);
    return JSON.parse(outputs.find(({ filename }) => filename.endsWith('persisted-documents.json')).content);
}

/** The identifier of the operation of that name. */
const idOf = (name) => Object.entries(manifest).find(([, text]) => text.includes(` ${name}`))[0];

function apollo(server, generateHash) {
    const asked = [];
    const http = new HttpLink({
        uri: `${server.url}/graphql`,
        headers: server.headers,
        fetch: (url, init) => {
            asked.push(JSON.parse(init.body));
            return fetch(url, init);
        },
    });
    const link = new PersistedQueryLink({ sha256, ...(generateHash ? { generateHash } : {}) }).concat(http);
    return { client: new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: 'no-cache' } } }), asked };
}

test("Apollo's link sends the hash, then the text once, then the hash alone", async () => {
    const { client, asked } = apollo(open);
    const query = gql('query Tenant($identifier: String!) { tenant { get(identifier: $identifier) { id } } }');
    for (let times = 0; times < 3; times += 1) {
        const { data } = await client.query({ query, variables: { identifier: 'tests' } });
        assert.equal(data.tenant.get.id, open.tenantId);
    }
    assert.deepEqual(asked.map((body) => 'query' in body), [false, true, false, false]);
});

function urql(server, options) {
    const asked = [];
    const client = createUrql({
        url: `${server.url}/graphql`,
        exchanges: options ? [persistedExchange({ preferGetForPersistedQueries: false, generateHash: async (text) => sha256(text), ...options }), fetchExchange] : [fetchExchange],
        fetchOptions: { headers: server.headers },
        preferGetMethod: false,
        // In Node, its abort after an answer that it has read already is a rejection that nobody handles.
        fetch: (url, init) => {
            asked.push(init.body ? JSON.parse(init.body) : Object.fromEntries(new URL(url).searchParams));
            return fetch(url, { ...init, signal: undefined });
        },
    });
    return { client, asked };
}

for (const byGet of [false, true]) {
    test(`urql's exchange sends the hash, then the text once, then the hash alone, ${byGet ? 'the hash by GET' : 'all by POST'}`, async () => {
        const { client, asked } = urql(open, { preferGetForPersistedQueries: byGet ? 'force' : false });
        const query = `query Tenant${byGet ? 'ByGet' : ''}($identifier: String!) { tenant { get(identifier: $identifier) { id } } }`;
        for (let times = 0; times < 3; times += 1) {
            const { data, error } = await client.query(query, { identifier: 'tests' }, { requestPolicy: 'network-only' }).toPromise();
            assert.equal(error, undefined);
            assert.equal(data.tenant.get.id, open.tenantId);
        }
        assert.deepEqual(asked.map((parameters) => Boolean(parameters.query)), [false, true, false, false]);
    });
}

test("urql's exchange runs what is trusted by its hash, and is told what is not", async () => {
    const trusted = idOf('Tenant');
    const { client, asked } = urql(closed, { enforcePersistedQueries: true, generateHash: async (text) => (text.includes('Tenant') ? sha256(manifest[trusted]) : sha256('unknown')) });
    const { data, error } = await client.query('query Tenant($identifier: String!) { tenant { get(identifier: $identifier) { id } } }', { identifier: 'tests' }).toPromise();
    assert.equal(error, undefined);
    assert.equal(data.tenant.get.id, closed.tenantId);
    assert.ok(!asked[0].query);
    const refused = await client.query(OTHER, {}).toPromise();
    assert.equal(refused.error.graphQLErrors[0].extensions.code, 'PERSISTED_QUERY_NOT_FOUND');
});

test('urql runs a document by its documentId', async () => {
    const { client, asked } = urql(closed);
    const id = idOf('Tenant');
    const request = createRequest({ documentId: id, kind: 'Document', definitions: [] }, { identifier: 'tests' });
    const operation = makeOperation('query', request, { url: `${closed.url}/graphql`, fetchOptions: { headers: closed.headers }, requestPolicy: 'network-only', preferGetMethod: false, fetch: client.createRequestOperation('query', createRequest('{ __typename }', {})).context.fetch });
    const { data, error } = await new Promise((resolve) => client.executeRequestOperation(operation).subscribe(resolve));
    assert.equal(error, undefined);
    assert.equal(data.tenant.get.id, closed.tenantId);
    assert.equal(asked[0].documentId, id);
    assert.ok(!asked[0].query);
});

test("Apollo's link with the identifiers of a manifest runs what is trusted, and is told what is not", async () => {
    const { client, asked } = apollo(closed, (document) => {
        const name = document.definitions.find(({ kind }) => kind === 'OperationDefinition').name.value;
        return name === 'Tenant' ? idOf('Tenant') : sha256('unknown');
    });
    const { data } = await client.query({ query: gql(DOCUMENTS.split('subscription')[0]), variables: { identifier: 'tests' } });
    assert.equal(data.tenant.get.id, closed.tenantId);
    assert.ok(!('query' in asked[0]));
    const refused = await client.query({ query: gql(OTHER) }).then(() => undefined, (error) => error);
    assert.ok(CombinedGraphQLErrors.is(refused), String(refused));
});

test("graphql-codegen's manifest is trusted as it is, by its keys and by sha256:", async () => {
    for (const documentId of [idOf('Tenant'), `sha256:${sha256(manifest[idOf('Tenant')])}`]) {
        const answer = await post({ documentId, variables: { identifier: 'tests' } });
        assert.equal(answer.data.tenant.get.identifier, 'tests', JSON.stringify(answer));
    }
    assert.equal((await post({ query: OTHER })).errors[0].extensions.code, 'FORBIDDEN');
    assert.equal((await post({ documentId: 'unknown' })).errors[0].extensions.code, 'PERSISTED_QUERY_NOT_FOUND');
});

async function post(body) {
    const headers = { ...closed.headers, 'content-type': 'application/json' };
    return (await fetch(`${closed.url}/graphql`, { method: 'POST', headers, body: JSON.stringify(body) })).json();
}

test('graphql-ws and graphql-sse run what is trusted by its identifier', async () => {
    const ws = createWs({ url: closed.socketUrl, webSocketImpl: WebSocket, connectionParams: closed.headers, retryAttempts: 0 });
    // The clients want a text: an empty one is none.
    const payload = { query: '', documentId: idOf('Tenant'), variables: { identifier: 'tests' } };
    const { value } = await ws.iterate(payload).next();
    assert.equal(value.data.tenant.get.id, closed.tenantId);
    await assert.rejects(ws.iterate({ query: OTHER }).next(), (errors) => errors[0].extensions.code === 'FORBIDDEN');
    await ws.dispose();
    const sse = createSse({ url: `${closed.url}/graphql`, headers: closed.headers, retryAttempts: 0 });
    const { value: streamed } = await sse.iterate(payload).next();
    assert.equal(streamed.data.tenant.get.id, closed.tenantId);
    sse.dispose();
});
