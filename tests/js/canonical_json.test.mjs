// Canonical JSON is what `JSON.stringify(JSON.parse(text))` prints: thousands of seeded texts are given to both.
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { randomFrom } from './random.mjs';
import { binary } from './server.mjs';

const DEPTH_MAX = 128;
const filter = join(dirname(binary), 'examples', 'canonical_json');

test('edge cases print as JavaScript prints them', () => {
    agree([...NUMBERS, ...STRINGS, ...OBJECTS, ...SPACED]);
});

test('texts that JavaScript refuses are refused', () => {
    for (const text of BROKEN) assert.equal(expected(text), null, text);
    agree(BROKEN);
});

test('nesting is taken as deep as the limit, and no deeper', () => {
    const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);
    const [within, beyond, absurd] = canonical([nested(DEPTH_MAX), nested(DEPTH_MAX + 1), '['.repeat(1_000_000)]);
    assert.equal(within, nested(DEPTH_MAX));
    assert.equal(beyond, null);
    assert.equal(absurd, null);
});

test('what fuzzing keeps prints as JavaScript prints it', async () => {
    const folder = new URL('../../fuzz/corpus/canonical_json/', import.meta.url);
    const files = await Promise.all((await readdir(folder)).map((name) => readFile(new URL(name, folder))));
    const texts = files.filter(isUtf8).map((file) => file.toString('utf8'));
    assert.ok(texts.length >= 20, `${texts.length} texts`);
    // What is deeper than the limit is refused though JavaScript takes it: the test above holds that.
    agree(texts.filter((text) => (text.match(/[[{]/g) ?? []).length <= DEPTH_MAX));
});

test('ten thousand seeded texts print as JavaScript prints them', () => {
    const random = randomFrom(20260214);
    agree(Array.from({ length: 10_000 }, () => jsonText(random, 0)));
});

test('fifty thousand seeded doubles print as JavaScript prints them', () => {
    const random = randomFrom(754);
    agree(Array.from({ length: 50_000 }, () => doubleText(random)));
});

function agree(texts) {
    const got = canonical(texts);
    texts.forEach((text, at) => assert.equal(got[at], expected(text), `of ${JSON.stringify(text)}`));
}

function expected(text) {
    try {
        return JSON.stringify(JSON.parse(text));
    } catch {
        return null;
    }
}

function canonical(texts) {
    const input = texts.map((text) => JSON.stringify(text) + '\n').join('');
    const { status, stdout, stderr, error } = spawnSync(filter, { input, encoding: 'utf8', maxBuffer: 2 ** 30 });
    assert.ifError(error);
    assert.equal(status, 0, stderr);
    const lines = stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line));
    assert.equal(lines.length, texts.length);
    return lines;
}

function jsonText(random, depth) {
    const space = random.chance(0.2) ? random.pick([' ', '\n', '\t', '\r\n  ']) : '';
    const value = () => jsonText(random, depth + 1);
    switch (random.below(depth > 4 ? 5 : 8)) {
        case 0: return space + random.pick(['true', 'false', 'null']);
        case 1: return numberText(random) + space;
        case 2: return doubleText(random);
        case 3:
        case 4: return stringText(random);
        case 5: return `[${space}${random.list(6, value).join(`,${space}`)}${space}]`;
        default: return `{${space}${random.list(8, () => `${keyText(random)}${space}:${value()}`).join(',')}${space}}`;
    }
}

function keyText(random) {
    const index = () => String(random.pick([random.below(12), random.below(2 ** 32), 4294967294, 4294967295, 4294967296]));
    const odd = ['__proto__', 'constructor', '', '-0', '-1', '01', '1.0', '1e3', ' 1', 'toString', '\\u0031', '9007199254740993'];
    return random.chance(0.5) ? `"${random.chance(0.6) ? index() : random.pick(odd)}"` : stringText(random);
}

function numberText(random) {
    const digits = (count) => Array.from({ length: count }, () => random.below(10)).join('');
    const whole = random.chance(0.3) ? '0' : String(1 + random.below(9)) + digits(random.below(24));
    const fraction = random.chance(0.5) ? `.${digits(1 + random.below(24))}` : '';
    const exponent = random.chance(0.4) ? random.pick(['e', 'E']) + random.pick(['', '+', '-']) + random.below(340) : '';
    return (random.chance(0.4) ? '-' : '') + whole + fraction + exponent;
}

function doubleText(random) {
    const bits = new DataView(new ArrayBuffer(8));
    bits.setUint32(0, random.below(2 ** 32));
    bits.setUint32(4, random.chance(0.3) ? random.below(4) : random.below(2 ** 32));
    const number = bits.getFloat64(0);
    return Number.isFinite(number) ? String(number) : '0';
}

function stringText(random) {
    const unit = () => random.pick([
        () => String.fromCharCode(32 + random.below(95)).replace(/["\\]/, '\\$&'),
        () => random.pick(['\\n', '\\t', '\\r', '\\b', '\\f', '\\/', '/', '\\"', '\\\\']),
        () => `\\u${random.below(0x10000).toString(16).padStart(4, '0')}`,
        () => `\\u${(0xd800 + random.below(0x800)).toString(16)}`,
        () => String.fromCodePoint(0xa0 + random.below(0xd000)),
        () => String.fromCodePoint(0x10000 + random.below(0x100000)),
        () => random.pick(['\u2028', '\u2029', '\u007f', '\ufeff', '\uffff', '\\u2028', '\\u007F']),
    ])();
    return `"${random.list(12, unit).join('')}"`;
}

const NUMBERS = [
    '0', '-0', '-0.0', '0e5', '-0e-5', '1', '-1', '1.0', '1.50', '100', '1e0', '1E+2', '1e-2', '0.1', '0.2', '0.30000000000000004',
    '1e16', '1e20', '1e21', '123456789012345680000', '1234567890123456800000', '1e-6', '1e-7', '0.000001', '0.0000001', '1.5e-7',
    '9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740993', '18446744073709551615', '1.7976931348623157e308',
    '1.7976931348623159e308', '1e309', '-1e309', '1e400', '5e-324', '2e-324', '2.4703282292062327e-324', '2.4703282292062328e-324',
    '2.2250738585072014e-308', '2.2250738585072011e-308', '4.35', '0.000035', '8.41e21', '9.5e-7', '1e1000000', '1e-1000000',
    `1${'0'.repeat(400)}`, `0.${'0'.repeat(400)}1`, '179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880',
];
const STRINGS = [
    '""', '"a"', '"\\u0000\\u001f\\u0020\\u007f"', '"\\b\\t\\n\\f\\r\\u000b"', '"\\/"', '"/"', '"\u2028\u2029"', '"\\u2028"', '"🙂"', '"\\ud83d\\ude42"',
    '"\\ud83d"', '"\\ude42"', '"\\ude42\\ud83d"', '"\\ud83dx"', '"\\ud83d\\ud83d\\ude42"', '"\\uD800\\uDC00"', '"\ufeff"', '"\\uFFFF"', '"ü\\u00fc"', '"</script>"',
];
const OBJECTS = [
    '{}', '[]', '{"b":1,"a":2}', '{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"2":"b","1":"a"}', '{"x":1,"10":2,"9":3,"-1":4,"01":5,"1.5":6}',
    '{"4294967294":1,"0":2}', '{"4294967295":1,"0":2}', '{"4294967296":1,"4294967295":2,"4294967294":3}', '{"9007199254740991":1,"1":2}',
    '{"__proto__":1}', '{"__proto__":{"a":1},"a":2}', '{"a":1,"__proto__":{"b":2},"__proto__":3}', '{"constructor":1,"toString":2,"hasOwnProperty":3}',
    '{"":1}', '{"toJSON":1}', '{"length":1,"0":2}', '{"\\u0031":1,"1":2}', '{"b":1,"3":{"2":1,"1":2},"a":[{"1":1,"0":0}]}', '[1,[2,[3,{}]],[]]',
];
const SPACED = [' 1 ', '\n[ 1 , 2 ]\n', '\t{ "a" : 1 , "b" : [ ] }\r\n', '[\n]', '{\t}'];
const BROKEN = [
    '', ' ', '{', '[', ']', '"', '"a', '{"a"}', '{"a":}', '{"a":1,}', '{,}', '[1,]', '[,1]', '[1 2]', '{a:1}', "{'a':1}", "'a'", '01', '-', '+1', '.5', '5.',
    '1e', '1e+', '0x10', 'NaN', 'Infinity', '-Infinity', 'undefined', 'True', 'nul', 'truee', '"\n"', '"\t"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\\"', '\ufeff1', '\u00a01', '\u20281',
    '1 2', '{}{}', '[]]', '{"a":1}}', '/* a */ 1', '// a\n1', '--1', '1_000', '"\u0000"', '\u0000',
];
