// What docs/receivers.md shows for a GET, in JavaScript and in Python, and what the example does: all say the same of every query.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { shownCode, signedParameters } from './verifiers.mjs';

const BARE = 'https://receiver.example/hook';
const OWN = `${BARE}?shop=1&x=1&x=2&%C3%BC`;

/** The URL of the webhook, the query that came, and what of it is signed: nothing where it is refused. */
const CASES = [
    [BARE, 'id=5', '{"id":"5"}'],
    [BARE, '', 'null'],
    [BARE, 'b=%22+%5C%0A%E2%80%A8%F0%9F%99%82&a=', JSON.stringify({ b: '" \\\n\u2028🙂', a: '' })],
    [BARE, '9=nine&10=ten&z=1&01=text', '{"9":"nine","10":"ten","z":"1","01":"text"}'],
    [BARE, 'id=5&__proto__=x', '{"id":"5","__proto__":"x"}'],
    [BARE, 'id=5&ID=6', '{"id":"5","ID":"6"}'],
    [OWN, 'shop=1&x=1&x=2&%C3%BC&id=5&n=1', '{"id":"5","n":"1"}'],
    [OWN, 'shop=1&x=1&x=2&%c3%bc=', 'null'],
    [BARE, 'id=666&id=5'],
    [BARE, 'id=5&id=666'],
    [BARE, 'id=5&id=5'],
    [BARE, 'id=666&i%64=5'],
    [OWN, 'shop=1&x=1&x=2&%C3%BC&id=666&id=5'],
    [OWN, 'shop=1&x=1&x=2&%C3%BC&id=5&shop=2'],
    [OWN, 'shop=1&x=1&x=2&%C3%BC&id=5&x=1'],
    [OWN, 'shop=2&shop=1&x=1&x=2&%C3%BC&id=5'],
    [OWN, 'shop=2&x=1&x=2&%C3%BC&id=5'],
    [OWN, 'shop=1&x=2&x=1&%C3%BC&id=5'],
    [OWN, 'id=5&shop=1&x=1&x=2&%C3%BC'],
    [OWN, 'id=5'],
    [OWN, ''],
];

test('the function that is shown takes what is signed and refuses what stands beside it', () => {
    for (const [webhookUrl, query, signed] of CASES) {
        for (const received of [`/behind/a/proxy?${query}`, `http://127.0.0.1:9000/?${query}`, ...(query ? [] : ['/'])]) {
            if (signed) assert.equal(signedParameters(received, webhookUrl), signed, query);
            else assert.throws(() => signedParameters(received, webhookUrl), /not the parameters that were signed/, query);
        }
    }
});

test('the example has that function', async () => {
    const example = await readFile(new URL('../../examples/receiver/receiver.mjs', import.meta.url), 'utf8');
    const shown = shownCode('js', 'function signedParameters(');
    assert.ok(example.includes(shown.slice(shown.indexOf('function '))));
});

test('the lines in Python say the same', (t) => {
    const shown = shownCode('python', 'parse_qsl(query').trimEnd().replace(/^/gm, '        ');
    const script = `import json, sys
from urllib.parse import parse_qsl, urlsplit
for webhook_url, query in json.load(sys.stdin):
    try:
${shown}
        print(json.dumps(body))
    except ValueError:
        print(json.dumps(None))
`;
    const input = JSON.stringify(CASES.map(([webhookUrl, query]) => [webhookUrl, query]));
    const python = spawnSync('python3', ['-c', script], { input, encoding: 'utf8' });
    if (python.error?.code === 'ENOENT') return t.skip('there is no python3');
    assert.equal(python.status, 0, python.stderr);
    const said = python.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(said, CASES.map(([, , signed]) => signed ?? null));
});
