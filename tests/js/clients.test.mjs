// Official clients of other people's making work with the API as it is: graphql-codegen and the audits of graphql-http.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { generate } from '@graphql-codegen/cli';
import { buildClientSchema, buildSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema } from 'graphql';
import { auditServer } from 'graphql-http';
import { startServer } from './server.mjs';

const DOCUMENTS = `
    mutation CreateWebhook($input: CreateWebhookInput!) { webhook { create(input: $input) { id name url method } } }
    query ReadWebhook($id: ID!) { webhook { get(id: $id) { concern event headers { name value } lastInvocation { start response { status } } } } }
    query ReadOrder($id: ID!) { order { get(id: $id) { cart { name } payment { ... on StripePayment { paymentMethod } } } } }
    subscription Watch($after: String) { deliveryUpdated(after: $after) { cursor state deliveryId } }
`;
const schemaFile = new URL('../../schema.graphql', import.meta.url);

let server;
before(async () => {
    server = await startServer();
});
after(() => server?.stop());

/** What graphql-codegen makes of a schema: its types, and those of the documents above. */
async function generated(schema) {
    const file = 'types.ts';
    const config = { useTypeImports: true, scalars: { JSON: 'unknown' }, defaultScalarType: 'string' };
    const generates = { [file]: { plugins: ['typescript', 'typescript-operations'], config } };
    const outputs = await generate({ schema, documents: [DOCUMENTS], generates, silent: true }, false);
    return outputs.find((output) => output.filename.endsWith(file)).content;
}

function assertTypes(types) {
    for (const name of ['Webhook', 'Delivery', 'Order', 'CreateWebhookInput', 'Subscription', 'CreateWebhookMutation', 'WatchSubscription']) {
        assert.match(types, new RegExp(`export (type|enum) ${name}\\b`), name);
    }
    assert.doesNotMatch(types, /\bany\b(?=[;,>])/, 'every scalar has a type');
}

test('graphql-codegen generates types from schema.graphql', async () => {
    assertTypes(await generated(await readFile(schemaFile, 'utf8')));
});

test('graphql-codegen generates types from live introspection', async () => {
    assertTypes(await generated([{ [`${server.url}/graphql`]: { headers: server.headers } }]));
});

test('graphql-codegen generates types of payload queries from the payload schema', async () => {
    const schema = [{ [`${server.url}/payload/graphql`]: { headers: server.headers } }];
    const documents = ['query Payload($id: ID!) { order { get(id: $id) { id cart { name quantity } } } }'];
    const outputs = await generate({ schema, documents, generates: { 'types.ts': { plugins: ['typescript', 'typescript-operations'] } }, silent: true }, false);
    assert.match(outputs[0].content, /export type PayloadQuery\b/);
});

for (const [path, file] of [['/graphql', '/schema.graphql'], ['/payload/graphql', '/payload/schema.graphql']]) {
    test(`${path} introspects to what ${file} says`, async () => {
        const introspected = buildClientSchema(await server.ask(getIntrospectionQuery({ directiveIsRepeatable: true }), undefined, path));
        const printed = (schema) => printSchema(lexicographicSortSchema(schema)).replace(/ @specifiedBy\([^)]*\)/g, '');
        assert.equal(printed(introspected), printed(buildSchema(await server.text(file))));
    });

    test(`${path} passes every audit of GraphQL over HTTP`, async () => {
        const fetchFn = (url, init) => fetch(url, { ...init, headers: { ...server.headers, ...init?.headers } });
        const results = await auditServer({ url: server.url + path, fetchFn });
        const failed = results.filter((result) => result.status !== 'ok').map(({ id, name, status, reason }) => `${status} ${id} ${name}: ${reason}`);
        assert.deepEqual(failed, []);
        assert.ok(results.length >= 60, `${results.length} audits`);
    });
}

test('schema.graphql is what the server serves', async () => {
    const [file, served] = await Promise.all([readFile(schemaFile, 'utf8'), server.text('/schema.graphql')]);
    assert.equal(file.trimEnd(), served.trimEnd());
});
