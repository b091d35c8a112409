// Random documents of both schemas are judged as graphql-js judges them. With DOCUMENTS_SEED and DOCUMENTS_SECONDS in the environment
// it goes on for so long, from that seed: `make fuzz-documents`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { buildSchema, GraphQLError, parse, validate } from 'graphql';
import { randomFrom } from './random.mjs';
import { randomDocument } from './random_documents.mjs';
import { teachScalars } from './random_values.mjs';
import { binary } from './server.mjs';

const BATCH = 1_000;
const SEED = Number(process.env.DOCUMENTS_SEED ?? 20_261_125);
const SECONDS = Number(process.env.DOCUMENTS_SECONDS ?? 0);
// Rules of our own, beyond the specification's, and one of its September 2025 edition that graphql-js 16 has not: what they
// refuse graphql-js may take.
const OURS = /^(DOCUMENT_TOO_|OPERATION_(NOT_QUERY|AMBIGUOUS|MISSING)|INTROSPECTION_|NOT_EXECUTABLE|SUBSCRIPTION_USES_CONDITIONAL_SELECTION)/;

const filter = join(dirname(binary), 'examples', 'judge_documents');

/** What the server says of each document of the named schema: the codes of its problems. */
function judged(documents, name) {
    const input = documents.map((document) => `${JSON.stringify(document)}\n`).join('');
    const { stdout, status, stderr } = spawnSync(filter, [name], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
    assert.equal(status, 0, stderr);
    return stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

/** What graphql-js says: its first complaint, or undefined. */
function complaint(document, schema) {
    try {
        return validate(schema, parse(document))[0]?.message;
    } catch (error) {
        if (error instanceof GraphQLError) return error.message;
        throw error;
    }
}

/** Judges a batch of that seed; answers how many were valid. */
function agree(seed, schema, name) {
    const random = randomFrom(seed);
    const documents = Array.from({ length: BATCH }, () => randomDocument(schema, random));
    const verdicts = judged(documents, name);
    let valid = 0;
    documents.forEach((document, at) => {
        const [ours, theirs] = [verdicts[at], complaint(document, schema)];
        if (ours.some((code) => OURS.test(code))) return;
        valid += ours.length === 0 ? 1 : 0;
        const said = `seed ${seed}: ${document}\nthe server: ${ours.join(', ') || 'valid'}\ngraphql-js: ${theirs ?? 'valid'}`;
        assert.equal(ours.length === 0, theirs === undefined, said);
    });
    return valid;
}

for (const [name, file] of [['payload', 'payload-schema.graphql'], ['management', 'schema.graphql']]) {
    test(`random documents of the ${name} schema are judged as graphql-js judges them`, () => {
        const schema = teachScalars(buildSchema(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')));
        const until = Date.now() + (SECONDS * 1_000) / 2;
        let [seed, valid] = [SEED, 0];
        for (let batch = 0; batch < 3 || Date.now() < until; batch += 1) valid += agree((seed += 1), schema, name);
        const share = valid / ((seed - SEED) * BATCH);
        console.log(`${(seed - SEED) * BATCH} documents of the ${name} schema, ${valid} of them valid`);
        assert.ok(share > 0.05 && share < 0.95, `a share of ${share} is valid: the documents tell nothing`);
    });
}
