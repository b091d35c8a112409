// What the server says of a payload document when it is saved agrees with graphql-js on the payload SDL, and with our own
// rules beyond it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { buildSchema } from 'graphql';
import { documents, isRefusedByItsRule, verdict } from './corpus.mjs';
import { startServer } from './server.mjs';

const DOCUMENTS_MIN = 300;
const AT_A_TIME = 8;
const all = documents();

let server;
let schema;
let answers;
before(async () => {
    server = await startServer();
    schema = buildSchema(await server.text('/payload/schema.graphql'));
    answers = await answered(all);
});
after(() => server?.stop());

/** The server's answer to each document, asked for a few at a time. */
async function answered(asked) {
    const found = new Map();
    const left = [...asked];
    const work = async () => {
        for (let document = left.shift(); document; document = left.shift()) found.set(document, await save(document));
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    return found;
}

/** Saves the document as a webhook's query and deletes the webhook again: null, or the problems that refused it. */
async function save(document) {
    const [query, input] = [document.query, webhookWith(document)];
    const { data, errors } = await server.answer('mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) { id } } }', { input });
    if (!errors) {
        await server.ask('mutation ($id: ID!) { webhook { delete(id: $id) } }', { id: data.webhook.create.id });
        return null;
    }
    assert.equal(errors.length, 1, query);
    assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT', `${errors[0].message}\n${query}`);
    return errors[0].extensions.problems;
}

function webhookWith({ event: key, query }) {
    const [concern, event] = key.split('/');
    return { tenantId: server.tenantId, name: 'a document', concern, event, method: 'POST', url: 'https://example.com/', graphqlQuery: query };
}

test('the corpus is large, and each document is in it once', () => {
    assert.ok(all.length >= DOCUMENTS_MIN, `${all.length} documents`);
    const seen = new Set(all.map(({ event, query }) => `${event} ${query}`));
    assert.ok(all.length - seen.size <= 20, 'few documents stand under two rules');
});

test('a preview of a draft refuses what saving refuses, for the same reasons', async () => {
    const preview = 'query ($input: PreviewPayloadInput!) { webhook { previewPayload(input: $input) { payload } } }';
    for (const document of all.filter((each, at) => each.kind !== 'valid' && at % 10 === 0)) {
        const { errors } = await server.answer(preview, { input: { webhook: webhookWith(document) } });
        const problems = answers.get(document).map((problem) => ({ ...problem, path: 'input.webhook.graphqlQuery' }));
        assert.deepEqual(errors?.[0].extensions.problems, problems, document.query);
    }
});

for (const kind of ['valid', 'invalid', 'refused']) {
    for (const file of new Set(all.filter((document) => document.kind === kind).map((document) => document.file))) {
        describe(`${file}, ${kind}`, () => {
            for (const document of all.filter((each) => each.kind === kind && each.file === file)) {
                test(`${document.rule ?? document.code}: ${document.name}`, () => check[kind](document));
            }
        });
    }
}

const check = {
    valid(document) {
        assert.deepEqual(verdict(schema, document), [], 'graphql-js accepts it');
        assert.equal(answers.get(document), null, 'the server accepts it');
    },
    invalid(document) {
        const errors = verdict(schema, document);
        assert.notEqual(errors.length, 0, 'graphql-js refuses it');
        if (document.rule !== 'Syntax') assert.ok(isRefusedByItsRule(schema, document), JSON.stringify(errors));
        const problems = assertProblems(document);
        assertPlaced(document, problems, errors);
        assertNotMisleading(document, problems);
    },
    refused(document) {
        const codes = assertProblems(document).map((problem) => problem.code);
        assert.ok(codes.includes(document.code), codes.join(', '));
    },
};

function assertProblems(document) {
    const problems = answers.get(document);
    assert.ok(problems?.length > 0, 'the server refuses it');
    if (isBlank(document.query)) return problems;
    const lines = document.query.split(/\r\n|\n|\r/);
    for (const problem of problems) {
        assert.equal(problem.path, 'input.graphqlQuery');
        assert.match(problem.code, /^[A-Z][A-Z0-9_]*$/);
        assert.ok(problem.message.length > 10, problem.message);
        assert.equal(problem.line === undefined, problem.column === undefined);
        if (problem.line === undefined) continue;
        assert.ok(problem.line >= 1 && problem.line <= lines.length, `line ${problem.line}`);
        assert.ok(problem.column >= 1 && problem.column <= [...lines[problem.line - 1]].length + 1, `column ${problem.column}`);
    }
    return problems;
}

/** A problem does not bring along others that would not be there without it. */
function assertNotMisleading(document, problems) {
    const codes = problems.map((problem) => problem.code);
    if (document.rule === 'Syntax') assert.deepEqual(codes, ['SYNTAX']);
    if (document.rule !== 'ScalarLeafsRule') assert.ok(!codes.includes('MISSING_SUBSELECTION'), codes.join(', '));
    if (document.rule !== 'NoUnusedVariablesRule') assert.ok(!codes.includes('UNUSED_VARIABLE'), codes.join(', '));
}

/** Whether there is nothing in it that a problem could stand at. */
function isBlank(query) {
    return query.replace(/#[^\n]*/g, '').replace(/[\s,]/g, '') === '';
}

/** One of the problems stands on a line on which graphql-js sees one. */
function assertPlaced(document, problems, errors) {
    const placed = problems.filter((problem) => problem.line !== undefined);
    if (isBlank(document.query)) return;
    assert.notEqual(placed.length, 0, 'a problem has a place');
    const lines = errors.flatMap((error) => error.places.map((place) => place.line));
    assert.ok(placed.some((problem) => lines.includes(problem.line)), JSON.stringify({ problems, errors }));
}
