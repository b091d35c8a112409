// What scanners of GraphQL servers send, to a server with the production switch: each is refused, none of it runs, and
// others are answered meanwhile. The first fourteen are the checks of graphql-cop; a name that begins so is one of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './server.mjs';

let server;
let open;
before(async () => {
    [server, open] = await Promise.all([startServer({ production: true }), startServer()]);
});
after(() => Promise.all([server?.stop(), open?.stop()]));

/** One request, with the token of a tenant: strangers get no further than 401. */
async function send(to, { method = 'POST', path = '/graphql', headers = {}, body, query }) {
    const json = query === undefined ? body : JSON.stringify({ query });
    const type = method === 'POST' ? { 'content-type': 'application/json' } : {};
    const response = await fetch(to.url + path, { method, headers: { ...to.headers, ...type, ...headers }, body: json });
    const text = await response.text();
    let answer;
    try {
        answer = JSON.parse(text);
    } catch {
        answer = {};
    }
    return { status: response.status, text, answer, headers: response.headers };
}

const repeat = (count, part) => Array.from({ length: count }, (_, n) => part(n)).join(' ');
const nested = (depth, opening, middle, closing) => opening.repeat(depth) + middle + closing.repeat(depth);
const bomb = (levels) => `query { ...f0 } ${repeat(levels, (n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`)} fragment f${levels} on Query { __typename }`;
const FIELD = 'tenant { get(identifier: "tests") { id } }';

/** Requests that must be refused as a whole: no data, and a code. */
const REFUSED = {
    'graphql-cop: alias overloading': { query: `query { ${repeat(101, (n) => `alias${n}:__typename`)} }` },
    'graphql-cop: field duplication': { query: `query { ${'__typename \n'.repeat(500)} }` },
    'graphql-cop: directive overloading': { query: `query { __typename ${'@aa'.repeat(10)} }` },
    'graphql-cop: circular fragments': { query: 'query { __schema { ...A } } fragment A on __Schema { __typename ...B } fragment B on __Schema { ...A }' },
    'graphql-cop: array-based batch': { body: JSON.stringify(Array.from({ length: 10 }, () => ({ query: 'query { __typename }' }))) },
    'graphql-cop: POST as a form': { body: 'query=query+%7B__typename%7D', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    'graphql-cop: GET query': { method: 'GET', path: '/graphql?query={__typename}' },
    'graphql-cop: GET mutation': { method: 'GET', path: '/graphql?query=mutation%20{__typename}' },
    'aliases of a field that reads': { query: `{ ${repeat(101, (n) => `a${n}: ${FIELD}`)} }` },
    'aliases within a fragment that is spread': { query: `{ ${'...F '.repeat(20)} } fragment F on Query { ${repeat(60, (n) => `a${n}: __typename`)} }` },
    'duplication of a field that reads': { query: `{ ${`${FIELD} `.repeat(500)} }` },
    'known directives in a heap': { query: `{ __typename ${'@include(if: true) '.repeat(1000)} }` },
    'a batch of one': { body: '[{"query":"{ __typename }"}]' },
    'a batch of a thousand': { body: JSON.stringify(Array.from({ length: 1000 }, () => ({ query: `{ ${FIELD} }` }))) },
    'a fragment bomb of 10 levels': { query: bomb(10).replace('__typename', repeat(60, (n) => `a${n}: __typename`)) },
    'a fragment bomb of 300 levels': { query: bomb(300).replace('__typename', repeat(2, (n) => `a${n}: __typename`)) },
    'a fragment that spreads itself': { query: '{ ...F } fragment F on Query { ...F }' },
    'fragments in a circle of fifty': { query: `{ ...f0 } ${repeat(50, (n) => `fragment f${n} on Query { ...f${(n + 1) % 50} }`)}` },
    'a circle of fragments that nothing spreads': { query: '{ __typename } fragment A on Query { ...B } fragment B on Query { ...A }' },
    'deep inline fragments': { query: `{ ${nested(1000, '... { ', '__typename', ' }')} }` },
    'a deep list': { query: `{ tenant { get(identifier: ${nested(10_000, '[', '1', ']')}) { id } } }` },
    'a deep object': { query: `{ tenant { get(identifier: ${nested(5_000, '{a:', '1', '}')}) { id } } }` },
    'deep brackets that never close': { query: '{'.repeat(60_000) },
    'a megabyte string': { query: `{ tenant { get(identifier: "${'x'.repeat(1 << 20)}") { id } } }` },
    'a megabyte of comments': { query: `{ __typename } #${'x'.repeat(1 << 20)}` },
    'a megabyte of commas': { query: `{ __typename ${','.repeat(1 << 20)} }` },
    'a hundred thousand tokens': { query: `{ ${'a '.repeat(50_000)} }` },
    'a thousand operations': { query: repeat(1000, (n) => `query q${n} { ${FIELD} }`) },
    'a thousand variables': { query: `query (${repeat(1000, (n) => `$v${n}: String`)}) { __typename }` },
    'a page of a million': { query: '{ order { getMany(tenantId: "x", first: 1000000) { edges { node { id } } } } }' },
    'pages within pages': { query: '{ order { getMany(tenantId: "x", first: 100) { edges { node { pipelines { pipeline { orders(first: 100) { edges { node { pipelines { pipeline { orders(first: 100) { edges { node { id } } } } } } } } } } } } } } }' },
    'unknown fields by the thousand': { query: `{ ${repeat(1000, (n) => `nope${n}`)} }` },
    'a string that does not end': { query: `{ tenant { get(identifier: "${'\\u0041'.repeat(1000)}` },
    'a mutation by GET with a form\'s type': { method: 'GET', path: '/graphql?query=mutation{tenant{__typename}}', headers: { 'content-type': 'text/plain' } },
    'a body that says it is text': { body: '{"query":"{ __typename }"}', headers: { 'content-type': 'text/plain' } },
    'a body in parts': { body: '--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"query":"{ __typename }"}\r\n--x--', headers: { 'content-type': 'multipart/form-data; boundary=x' } },
    'variables in a deep list': { body: JSON.stringify({ query: 'query ($v: String) { __typename }' }).replace('}"}', `}","variables":{"v":${nested(10_000, '[', '1', ']')}}}`) },
    'a body of 3 MB': { body: JSON.stringify({ query: '{ __typename }', extensions: { a: 'x'.repeat(3 << 20) } }) },
};

for (const [name, request] of Object.entries(REFUSED)) {
    test(`refused: ${name}`, async () => {
        for (const to of [server, open]) {
            if (to === open && name === 'graphql-cop: GET query') continue; // only production switches it off
            const { status, answer, text } = await send(to, request);
            assert.equal(answer.data, undefined, text.slice(0, 500));
            assert.ok(answer.errors?.length >= 1, `${status} ${text.slice(0, 500)}`);
            assert.equal(answer.errors[0].extensions.code, 'BAD_USER_INPUT', text.slice(0, 500));
            assert.ok(text.length < 50_000, `${text.length} bytes are answered`);
            assert.doesNotMatch(text, /stack|panicked|exception|\.rs\b/i);
        }
    });
}

test('graphql-cop: directives in a heap are one error, not one each', async () => {
    const { answer } = await send(server, REFUSED['graphql-cop: directive overloading']);
    assert.equal(answer.errors.length, 1);
});

test('graphql-cop: introspection, in a circle too', async () => {
    const circle = 'query { __schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } } } }';
    for (const query of ['{ __schema { queryType { name } } }', '{ __type(name: "Query") { name } }', circle]) {
        const { answer, text } = await send(server, { query });
        assert.ok(!answer.data?.__schema && !answer.data?.__type, text.slice(0, 300));
    }
    for (const path of ['/schema.graphql', '/payload/schema.graphql']) {
        assert.equal((await send(server, { method: 'GET', path })).status, 404);
    }
    // Where introspection is on, what circles through lists of the whole schema is bounded all the same.
    const { answer } = await send(open, { query: circle });
    assert.equal(answer.data, undefined);
});

test('graphql-cop: no suggestions', async () => {
    for (const query of ['query { __schema { directive } }', '{ tenan { id } }', '{ tenant { gett { id } } }', '{ tenant { get(identifer: "tests") { id } } }', 'query ($a: Strin) { tenant { get(identifier: $a) { id } } }', 'mutation { webhook { creat } }']) {
        const { text } = await send(server, { query });
        assert.doesNotMatch(text, /did you mean/i, query);
    }
});

test('graphql-cop: no GraphiQL', async () => {
    for (const path of ['/', '/graphql', '/payload/graphql', '/graphiql', '/playground', '/console', '/altair']) {
        const { text } = await send(server, { method: 'GET', path, headers: { accept: 'text/html' } });
        assert.doesNotMatch(text, /graphiql|playground|<script/i, path);
    }
});

test('graphql-cop: no tracing, and no exceptions in errors', async () => {
    const { answer } = await send(server, { query: 'query { __typename }', headers: { 'x-apollo-tracing': '1', 'apollo-federation-include-trace': 'ftv1' } });
    assert.deepEqual(answer, { data: { __typename: 'Query' } });
    const unhandled = await send(server, { query: 'qwerty cop { abc }' });
    assert.deepEqual(Object.keys(unhandled.answer.errors[0].extensions), ['code']);
});

test('a stranger learns nothing but that a token is needed', async () => {
    for (const request of Object.values(REFUSED)) {
        const { status, text } = await send(server, { ...request, headers: { ...request.headers, authorization: '' } });
        assert.equal(status, 401, text.slice(0, 300));
    }
});

test('others are answered while all of it comes at once', async () => {
    const attacks = Promise.all(Object.values(REFUSED).flatMap((request) => [send(server, request), send(server, request)]));
    for (let asked = 0; asked < 20; asked += 1) {
        assert.equal((await server.ask(`{ ${FIELD} }`)).tenant.get.id, server.tenantId);
    }
    const statuses = (await attacks).map(({ status }) => status);
    assert.ok(statuses.every((status) => status < 500), statuses.join(' '));
});
