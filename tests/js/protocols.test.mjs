// The protocols' own texts, sentence by sentence: graphql-transport-ws and graphql-sse (distinct connections mode).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { startServer } from './server.mjs';

const SUBPROTOCOL = 'graphql-transport-ws';
const QUERY = '{ tenant { get(identifier: "tests") { identifier } } }';
const QUIET = 'subscription { eventRecorded(concern: "topics", event: "delete") { cursor } }';
const WRONG = '{ tenant { nope } }';

let server;
before(async () => {
    server = await startServer({ websocket_init_ms_max: 400, websocket_ping_ms: 150, websocket_connections_max: 4, http_body_bytes_max: 20_000 });
});
after(() => server?.stop());

describe('graphql-transport-ws', () => {
    /** A connection that hears message by message; its end is heard as `{ close, reason }`. */
    async function open(protocols = SUBPROTOCOL) {
        const socket = new WebSocket(server.socketUrl, protocols);
        const [heard, waiting] = [[], []];
        const take = (message) => (waiting.length > 0 ? waiting.shift()(message) : heard.push(message));
        socket.on('message', (data) => take(JSON.parse(data)));
        socket.on('close', (code, reason) => take({ close: code, reason: String(reason) }));
        await once(socket, 'open');
        const any = () => (heard.length > 0 ? heard.shift() : new Promise((resolve) => waiting.push(resolve)));
        const hear = async () => {
            const message = await any();
            return message.type === 'ping' ? hear() : message;
        };
        return { socket, any, hear, say: (message) => socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message)) };
    }

    const init = () => ({ type: 'connection_init', payload: server.headers });
    const subscribe = (id, query, more) => ({ id, type: 'subscribe', payload: { query, ...more } });

    async function opened() {
        const connection = await open();
        connection.say(init());
        assert.equal((await connection.hear()).type, 'connection_ack');
        return connection;
    }

    async function ended({ socket }) {
        socket.close();
        if (socket.readyState !== WebSocket.CLOSED) await once(socket, 'close');
    }

    test('of the subprotocols that a client offers this one is chosen', async () => {
        const connection = await open(['graphql-ws', SUBPROTOCOL]);
        assert.equal(connection.socket.protocol, SUBPROTOCOL);
        await ended(connection);
    });

    for (const offered of [undefined, ['graphql-ws'], ['chat']]) {
        test(`a client that offers ${offered ?? 'nothing'} is closed with 4406`, async () => {
            const socket = new WebSocket(server.socketUrl, offered);
            const refused = new Promise((resolve) => {
                socket.on('error', (error) => resolve(error.message));
                socket.on('close', resolve);
            });
            // The library leaves by itself where none of what it has offered is chosen.
            assert.equal(await refused, offered ? 'Server sent no subprotocol' : 4406);
        });
    }

    test('a client that does not initialise in time is closed with 4408', async () => {
        const { hear } = await open();
        assert.deepEqual(await hear(), { close: 4408, reason: 'Connection initialisation timeout' });
    });

    test('a second initialisation is one too many, be the first acknowledged or not', async () => {
        for (const connection of [await open(), await opened()]) {
            connection.say(init());
            if (connection.socket.readyState === WebSocket.OPEN) connection.say(init());
            let heard = await connection.hear();
            if (heard.type === 'connection_ack') heard = await connection.hear();
            assert.deepEqual(heard, { close: 4429, reason: 'Too many initialisation requests' });
        }
    });

    test('an operation before the initialisation is closed with 4401', async () => {
        const { say, hear } = await open();
        say(subscribe('1', QUERY));
        assert.deepEqual(await hear(), { close: 4401, reason: 'Unauthorized' });
    });

    for (const [name, payload] of [['nothing', undefined], ['null', null], ['a wrong token', { authorization: 'Bearer wrong-0123456789' }], ['no text', { authorization: 7 }]]) {
        test(`an initialisation with ${name} to let it in is closed with 4403`, async () => {
            const { say, hear } = await open();
            say({ type: 'connection_init', payload });
            assert.equal((await hear()).close, 4403);
        });
    }

    test('a single result is next and complete, and its id is free then', async () => {
        const connection = await opened();
        for (let times = 0; times < 2; times += 1) {
            connection.say(subscribe('1', QUERY));
            assert.deepEqual(await connection.hear(), { id: '1', type: 'next', payload: { data: { tenant: { get: { identifier: 'tests' } } } } });
            assert.deepEqual(await connection.hear(), { id: '1', type: 'complete' });
        }
        await ended(connection);
    });

    test('a document that is not valid is an error message of a list, without a complete, and its id is free then', async () => {
        const connection = await opened();
        for (const query of [WRONG, '{', '', 'query A { __typename } query B { __typename }']) {
            connection.say(subscribe('1', query));
            const { id, type, payload } = await connection.hear();
            assert.deepEqual([id, type], ['1', 'error']);
            assert.ok(payload.length > 0 && payload.every((error) => typeof error.message === 'string'), query);
            connection.say({ type: 'ping' });
            assert.equal((await connection.hear()).type, 'pong', 'nothing else came');
        }
        await ended(connection);
    });

    test('an execution that fails is next with its errors, and complete', async () => {
        const connection = await opened();
        connection.say(subscribe('1', '{ order { get(id: "x") { id } } event { getMany(first: -1) { nodes { id } } } }'));
        const { type, payload } = await connection.hear();
        assert.equal(type, 'next');
        assert.ok('data' in payload && payload.errors.length > 0);
        assert.equal((await connection.hear()).type, 'complete');
        await ended(connection);
    });

    test('what the client has completed says nothing more, and its id is free', async () => {
        const connection = await opened();
        const query = 'subscription { eventRecorded(concern: "customers", event: "create") { cursor } }';
        connection.say(subscribe('1', query));
        let customers = 0;
        const record = () => {
            const input = { tenantId: server.tenantId, identifier: `p${(customers += 1)}`, firstName: 'A', lastName: 'B' };
            return server.ask('mutation ($input: CreateCustomerInput!) { customer { create(input: $input) { identifier } } }', { input });
        };
        let first;
        connection.hear().then((message) => (first = message));
        while (!first) await record();
        assert.deepEqual([first.id, first.type], ['1', 'next']);
        connection.say({ id: '1', type: 'complete' });
        connection.say(subscribe('1', QUIET));
        connection.say({ type: 'ping' });
        // What was on its way already comes before the answer to what was said after.
        let heard = await connection.hear();
        while (heard.type === 'next') heard = await connection.hear();
        assert.equal(heard.type, 'pong');
        await record();
        connection.say({ type: 'ping' });
        assert.equal((await connection.hear()).type, 'pong');
        await ended(connection);
    });

    test('a second subscriber of one id is closed with 4409', async () => {
        const { say, hear } = await opened();
        say(subscribe('same', QUIET));
        say(subscribe('same', QUIET));
        assert.deepEqual(await hear(), { close: 4409, reason: 'Subscriber for same already exists' });
    });

    test('operations run beside each other, each with its own next and complete', async () => {
        const connection = await opened();
        const ids = Array.from({ length: 20 }, (_, at) => `operation ${at}`);
        connection.say(subscribe('quiet', QUIET));
        ids.forEach((id) => connection.say(subscribe(id, `query ($a: String!) { a: __typename tenant { get(identifier: $a) { identifier } } }`, { variables: { a: 'tests' }, operationName: null })));
        const told = new Map(ids.map((id) => [id, []]));
        for (let messages = 0; messages < 2 * ids.length; messages += 1) {
            const { id, type } = await connection.hear();
            told.get(id).push(type);
        }
        for (const types of told.values()) assert.deepEqual(types, ['next', 'complete']);
        await ended(connection);
    });

    test('pings are answered, with a payload or without, before the initialisation too; the server pings', async () => {
        const connection = await open();
        connection.say({ type: 'ping' });
        assert.equal((await connection.hear()).type, 'pong');
        connection.say(init());
        assert.equal((await connection.hear()).type, 'connection_ack');
        connection.say({ type: 'ping', payload: { at: 1 } });
        assert.equal((await connection.hear()).type, 'pong');
        connection.say({ type: 'pong', payload: { at: 1 } });
        connection.say({ type: 'pong' });
        assert.deepEqual(await connection.any(), { type: 'ping' });
        await ended(connection);
    });

    test('the end of what never ran changes nothing', async () => {
        const connection = await opened();
        connection.say({ id: 'unknown', type: 'complete' });
        connection.say({ type: 'ping' });
        assert.equal((await connection.hear()).type, 'pong');
        await ended(connection);
    });

    const MALFORMED = {
        'no JSON': '{"type":',
        nothing: '',
        'a text': '"ping"',
        'a number': '7',
        null: 'null',
        'a list': '[{"type":"ping"}]',
        'no type': '{}',
        'a type that is no text': '{"type":1}',
        'an unknown type': '{"type":"subscribed"}',
        'a type in other letters': '{"type":"PING"}',
        'a type of the old protocol': '{"id":"1","type":"start","payload":{"query":"{ __typename }"}}',
        'the old end': '{"type":"connection_terminate"}',
        "a server's ack": '{"type":"connection_ack"}',
        "a server's next": '{"id":"1","type":"next","payload":{}}',
        "a server's error": '{"id":"1","type":"error","payload":[]}',
        'a ping whose payload is no object': '{"type":"ping","payload":1}',
        'a complete without an id': '{"type":"complete"}',
        'a complete whose id is no text': '{"id":1,"type":"complete"}',
        'a subscribe without an id': '{"type":"subscribe","payload":{"query":"{ __typename }"}}',
        'a subscribe whose id is no text': '{"id":1,"type":"subscribe","payload":{"query":"{ __typename }"}}',
        'a subscribe whose id is empty': '{"id":"","type":"subscribe","payload":{"query":"{ __typename }"}}',
        'a subscribe without a payload': '{"id":"1","type":"subscribe"}',
        'a subscribe whose payload is a list': '{"id":"1","type":"subscribe","payload":[]}',
        'a subscribe without a query': '{"id":"1","type":"subscribe","payload":{"variables":{}}}',
        'a subscribe whose query is no text': '{"id":"1","type":"subscribe","payload":{"query":1}}',
        'a subscribe whose variables are a list': '{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","variables":[]}}',
        'a subscribe whose operation has no text for a name': '{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","operationName":1}}',
        'a subscribe whose extensions are a text': '{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","extensions":"x"}}',
        'a binary frame': Buffer.from('{"type":"ping"}'),
        'more than a message may hold': JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(2 ** 20) } }),
    };
    for (const [name, message] of Object.entries(MALFORMED)) {
        test(`${name} is closed with 4400 and a reason`, async () => {
            const { say, hear } = await opened();
            say(message);
            const { close, reason } = await hear();
            assert.equal(close, 4400);
            assert.ok(reason.length > 0);
        });
    }

    test('a client that goes leaves its place to others', async () => {
        for (let times = 0; times < 12; times += 1) {
            const connection = await opened();
            connection.say(subscribe('1', QUIET));
            if (times % 2 === 0) await ended(connection);
            else connection.socket.terminate();
            await placesAreFree();
        }
    });
});

/** Waits until as many connections may be made as there may be. */
async function placesAreFree() {
    for (;;) {
        const sockets = Array.from({ length: 4 }, () => new WebSocket(server.socketUrl, SUBPROTOCOL));
        const opened = await Promise.all(sockets.map((socket) => once(socket, 'open').then(() => true, () => false)));
        await Promise.all(sockets.map(async (socket, at) => {
            if (!opened[at]) return;
            socket.close();
            await once(socket, 'close');
        }));
        if (opened.every(Boolean)) return;
    }
}

describe('graphql-sse, distinct connections', () => {
    const headers = (more) => ({ ...server.headers, accept: 'text/event-stream', ...more });
    const post = (body, more, path = '/graphql') => fetch(server.url + path, { method: 'POST', headers: headers({ 'content-type': 'application/json', ...more }), body: typeof body === 'string' ? body : JSON.stringify(body) });
    const get = (parameters, more) => fetch(`${server.url}/graphql?${new URLSearchParams(parameters)}`, { headers: headers(more) });

    /** The events of a stream that ends: `[name, data]`. */
    async function events(response) {
        assert.equal(response.status, 200);
        assert.match(response.headers.get('content-type'), /^text\/event-stream\b/);
        return (await response.text()).split('\n\n').filter((block) => /^event:/m.test(block)).map((block) => [/^event: ?(.*)$/m.exec(block)[1], /^data: ?(.+)$/m.exec(block)?.[1]]);
    }

    for (const [how, ask] of [['POST', (query) => post({ query })], ['GET', (query) => get({ query })]]) {
        test(`by ${how} a result is a next event, and complete is the last`, async () => {
            const [[first, data], [last], ...more] = await events(await ask(QUERY));
            assert.deepEqual([first, last, more], ['next', 'complete', []]);
            assert.deepEqual(JSON.parse(data), { data: { tenant: { get: { identifier: 'tests' } } } });
        });

        test(`by ${how} what is wrong with a document is told by a next event without data, and complete`, async () => {
            for (const query of [WRONG, '{', 'query ($a: Int!) { __typename @include(if: $a) }', 'query A { __typename } query B { __typename }']) {
                const [[first, data], [last]] = await events(await ask(query));
                assert.deepEqual([first, last], ['next', 'complete']);
                assert.ok(JSON.parse(data).errors.length > 0 && !('data' in JSON.parse(data)), query);
            }
        });
    }

    test('a subscription by POST or GET streams until its client goes, and its place is free then', async () => {
        for (let times = 0; times < 8; times += 1) {
            const leaving = new AbortController();
            const url = times % 2 === 0 ? `${server.url}/graphql` : `${server.url}/graphql?${new URLSearchParams({ query: QUIET })}`;
            const request = times % 2 === 0 ? { method: 'POST', headers: headers({ 'content-type': 'application/json' }), body: JSON.stringify({ query: QUIET }) } : { headers: headers() };
            const response = await fetch(url, { ...request, signal: leaving.signal });
            assert.equal(response.status, 200);
            leaving.abort();
            await placesAreFree();
        }
    });

    test('a stream that is quiet is kept alive with comments', async () => {
        const leaving = new AbortController();
        const response = await fetch(`${server.url}/graphql?${new URLSearchParams({ query: QUIET })}`, { headers: headers(), signal: leaving.signal });
        const { value } = await response.body.getReader().read();
        assert.match(new TextDecoder().decode(value), /^:/);
        leaving.abort();
    });

    test('a mutation runs by POST, and by GET it is refused', async () => {
        const create = `mutation { customer { create(input: { tenantId: "${server.tenantId}", identifier: "sse", firstName: "A", lastName: "B" }) { identifier } } }`;
        const refused = await get({ query: create });
        assert.equal(refused.status, 405);
        assert.equal(refused.headers.get('allow'), 'POST');
        const [[, data]] = await events(await post({ query: create }));
        assert.equal(JSON.parse(data).data.customer.create.identifier, 'sse');
    });

    for (const [accept, type] of [
        ['text/event-stream', 'text/event-stream'],
        ['text/event-stream, application/json;q=0.5', 'text/event-stream'],
        ['application/json;q=0.5, text/event-stream;q=0.6', 'text/event-stream'],
        ['TEXT/EVENT-STREAM', 'text/event-stream'],
        ['application/json, text/event-stream;q=0.9', 'application/json'],
        ['*/*', 'application/json'],
        ['text/event-stream;q=0, application/json', 'application/json'],
    ]) {
        test(`who accepts ${accept} gets ${type}`, async () => {
            const response = await post({ query: QUERY }, { accept });
            assert.equal(response.headers.get('content-type').split(';')[0], type);
            await response.text();
        });
    }

    for (const accept of ['text/event-stream;q=0', 'image/png', 'text/html']) {
        test(`who accepts ${accept} alone is told with 406`, async () => {
            assert.equal((await post({ query: QUERY }, { accept })).status, 406);
        });
    }

    test('what is no request is refused by its status, and never a stream', async () => {
        for (const [status, response] of [
            [400, await post('{"query":')],
            [400, await post('')],
            [400, await post('[]')],
            [400, await post({ variables: {} })],
            [400, await post({ query: 1 })],
            [400, await post({ query: QUERY, variables: [] })],
            [413, await post({ query: QUERY, variables: { a: 'x'.repeat(30_000) } })],
            [415, await post({ query: QUERY }, { 'content-type': 'text/plain' })],
            [401, await post({ query: QUERY }, { authorization: '' })],
            [401, await post({ query: QUERY }, { authorization: 'Bearer wrong-0123456789' })],
            [400, await get({})],
            [405, await fetch(`${server.url}/graphql`, { method: 'PUT', headers: headers({ 'content-type': 'application/json' }), body: JSON.stringify({ query: QUERY }) })],
        ]) {
            assert.equal(response.status, status, await response.text());
            assert.match(response.headers.get('content-type'), /json/);
        }
    });

    test('a subscription without a stream is refused in words', async () => {
        const { errors, data } = await (await post({ query: QUIET }, { accept: 'application/json' })).json();
        assert.equal(data ?? null, null);
        assert.match(errors[0].message, /WebSocket, or with the header `accept: text\/event-stream`/);
        assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT');
    });

    test('an idempotency key is said once: as a header, in the extensions, or alike in both', async () => {
        const query = 'mutation { event { publish(input: { concern: "topics", event: "delete", variables: { id: "t1", language: "en" } }) { id } } }';
        const ids = [];
        for (const [header, extension] of [['k1', undefined], ['k1', null], ['k1', 'k1'], [undefined, 'k1']]) {
            const answer = await (await post({ query, extensions: { idempotencyKey: extension } }, { accept: 'application/json', ...(header && { 'idempotency-key': header }) })).json();
            ids.push(answer.data?.event.publish.id ?? answer);
        }
        assert.deepEqual(ids, Array(4).fill(ids[0]));
        const refused = await post({ query, extensions: { idempotencyKey: 'k2' } }, { accept: 'application/json', 'idempotency-key': 'k1' });
        assert.equal(refused.status, 400);
        assert.match((await refused.json()).errors[0].message, /two idempotency keys/);
    });

    test('payload queries, which never stream, are not streamed', async () => {
        assert.equal((await post({ query: '{ __typename }' }, {}, '/payload/graphql')).status, 406);
    });
});
