// What scanners of GraphQL servers send, to a server with the production switch: each is refused, none of it runs, and
// others are answered meanwhile. The first fourteen are the checks of graphql-cop; a name that begins so is one of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FIELD, LARGEST, REFUSED } from './attacks.mjs';
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
        assert.ok(answer.errors?.length > 0, text.slice(0, 300));
    }
    for (const path of ['/schema.graphql', '/payload/schema.graphql']) {
        assert.equal((await send(server, { method: 'GET', path })).status, 404);
    }
    // Where introspection is on, what circles through lists of the whole schema is bounded all the same.
    const { answer } = await send(open, { query: circle });
    assert.equal(answer.data, undefined);
});

test('graphql-cop: no suggestions', async () => {
    for (const query of ['query { __schema { directive } }', '{ tenan { id } }', '{ tenant { gett { id } } }', '{ tenant { get(identifer: "tests") { id } } }', 'query ($a: Strin) { tenant { get(identifier: $a) { id } } }', 'mutation { webhook { creat } }', '{ tenant { get } }']) {
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

for (const [name, request] of Object.entries(LARGEST)) {
    test(`as large as may be, and answered: ${name}`, async () => {
        const { status, answer, text } = await send(open, request);
        assert.ok(status < 500, text.slice(0, 500));
        assert.ok(answer.errors?.length >= 1 || answer.data, text.slice(0, 500));
        assert.ok((answer.errors ?? []).length <= 100, `${answer.errors?.length} errors`);
    });
}

test('a document that costs too much is refused with its cost and what is allowed', async () => {
    for (const to of [server, open]) {
        const { answer } = await send(to, REFUSED['pages within pages']);
        assert.match(answer.errors[0].message, /complexity is \d+, \d+ are allowed/);
        const aliases = await send(to, REFUSED['graphql-cop: alias overloading']);
        assert.match(aliases.answer.errors[0].message, /number of aliases is 101, 100 are allowed/);
    }
});
