// What README.md and docs/ show can be pasted as it stands: every GraphQL block fits the schema that it is for.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { buildSchema, parse, validate } from 'graphql';
import { startServer } from './server.mjs';

const root = new URL('../../', import.meta.url);
const pages = ['README.md', ...(await readdir(new URL('docs/', root))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
const schema = buildSchema(await readFile(new URL('schema.graphql', root), 'utf8'));

/** The GraphQL blocks of a page, with the event type that a payload query among them is for. */
async function blocks(page) {
    const text = await readFile(new URL(page, root), 'utf8');
    return [...text.matchAll(/^( *)```graphql ?(\S*)\n([\s\S]*?)^ *```$/gm)].map(([, , eventType, block]) => ({ eventType, block }));
}

const all = (await Promise.all(pages.map(async (page) => (await blocks(page)).map((block) => ({ page, ...block }))))).flat();
const payloadQueries = all.filter(({ eventType }) => eventType);
const operations = all.filter(({ eventType }) => !eventType);

let server;
before(async () => {
    server = await startServer();
});
after(() => server?.stop());

test('the pages show operations and payload queries', () => {
    assert.ok(operations.length >= 4 && payloadQueries.length >= 1, `${operations.length}, ${payloadQueries.length}`);
});

for (const { page, block } of operations) {
    test(`${page} shows an operation that fits: ${block.trim().split('\n')[0]}`, () => {
        assert.deepEqual(validate(schema, parse(block)).map(({ message }) => message), []);
    });
}

for (const { page, block, eventType } of payloadQueries) {
    test(`${page} shows a payload query that can be saved for ${eventType}`, async () => {
        const [concern, event] = eventType.split('/');
        const webhook = await server.createWebhook({ concern, event, method: 'POST', url: 'https://example.com/', graphqlQuery: block });
        assert.ok(webhook.id);
    });
}
