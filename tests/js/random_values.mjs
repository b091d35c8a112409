// Random values as a document writes them: what a type takes, at its edges, and what it does not.
import { getNamedType, getNullableType, isEnumType, isInputObjectType, isListType, isNonNullType, isScalarType, Kind } from 'graphql';

const ID = '"0198c5f0-0000-7000-8000-000000000000"';
const STRINGS = ['""', '"x"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u00e9\\uD83D\\uDE00"', '"\u{1f600}é\u2028\u{feff}"', '"# , {"', '""""""', '"""block"""', '"""\n    a\n      "b"\n    \\""" \\u00e9\n"""', '"""\\\\ """', '"null"', '"\\u0000"', '"\\u{1F600}"'];
const WRONG = ['1', '-1', '1.5', '"x"', 'true', 'null', 'NOPE', 'nullable', 'trueish', 'falsehood', '[]', '[1, "a"]', '{}', '{ a: 1 }', '{ a: $nope }', '3000000000', '-2147483649', '"""block"""', '[[1]]', '1e3', '-0', '0.0', '$nope', '""'];
// Of whole numbers for an ID those with more than 64 bits are refused, which the specification has not.
const SCALARS = {
    Int: ['3', '0', '-0', '2147483647', '-2147483648', '1'],
    Float: ['1.5', '0', '-0', '-0.0', '1e3', '1E-3', '123e+2', '9007199254740993', '1.7976931348623157e308', '3'],
    Boolean: ['true', 'false'],
    ID: [ID, ID, ID, '7', '-0', '9223372036854775807', '"\\u{61}"', '""'],
    String: STRINGS,
    JSON: ['1', '"x"', '{ a: [1, null, { b: "c" }] }', 'null', '[]', 'WORD', '-1.5e3'],
    Date: ['"2026-01-01"'],
    DateTime: ['"2026-01-01T00:00:00Z"', '"2026-01-01T00:00:00.123+02:00"'],
    EmailAddress: ['"ada@example.com"'],
    NonNegativeInt: ['0', '7', '2147483647'],
    PositiveInt: ['1', '2147483647'],
};

/** Makes graphql-js judge literals of our own scalars, as far as random documents hold them. */
export function teachScalars(schema) {
    const text = (pattern) => ({ kind, value }) => kind === Kind.STRING && pattern.test(value);
    const int = (min) => ({ kind, value }) => kind === Kind.INT && Number(value) >= min && Number(value) < 2 ** 31;
    const rules = {
        Date: text(/^\d{4}-\d\d-\d\d$/),
        DateTime: text(/^\d{4}-\d\d-\d\dT/),
        EmailAddress: text(/^\w+@/),
        NonNegativeInt: int(0),
        PositiveInt: int(1),
    };
    for (const [name, isRight] of Object.entries(rules)) {
        const type = schema.getType(name);
        if (!type) continue;
        type.parseLiteral = (node) => {
            if (!isRight(node)) throw new TypeError(`no ${name}`);
            return node.value;
        };
    }
    return schema;
}

/** A string literal. */
export const randomString = (random) => random.pick(STRINGS);

/** A value for a place of that type; `variable` makes one that is given. */
export function randomValue(type, random, variable, depth = 0) {
    const value = (inner) => randomValue(inner, random, variable, depth + 1);
    if (variable && random.chance(0.25)) return variable(type);
    if (random.slip(0.03)) return random.pick(WRONG);
    const nullable = getNullableType(type);
    if (nullable === type && random.chance(0.03)) return 'null';
    if (isListType(nullable)) return random.chance(0.2) ? value(nullable.ofType) : `[${random.list(2, () => value(nullable.ofType)).join(', ')}]`;
    if (isEnumType(nullable)) return random.pick(nullable.getValues()).name;
    if (isInputObjectType(nullable)) return objectOf(nullable, random, value, depth);
    if (nullable.name === 'JSON' && variable && random.chance(0.3)) return random.pick([`[${variable(type)}]`, `{ a: [${variable(type)}] }`]);
    return random.pick(SCALARS[nullable.name] ?? STRINGS);
}

function objectOf(type, random, value, depth) {
    const isGiven = (field) => isNonNullType(field.type) && field.defaultValue === undefined ? !random.slip(0.05) : random.chance(depth > 1 ? 0.02 : 0.2);
    const fields = Object.values(type.getFields()).filter(isGiven);
    const written = fields.map((field) => `${field.name}: ${value(field.type)}`);
    if (random.slip(0.02) && written.length > 0) written.push(written[0]);
    if (random.slip(0.01)) written.push('nope: 1');
    return `{ ${written.join(', ')} }`;
}

/** A default for a variable of that type, or none. */
export function randomDefault(type, random) {
    if (!random.chance(0.15) || !(isScalarType(getNamedType(type)) || isEnumType(getNamedType(type)))) return '';
    return ` = ${randomValue(type, random)}`;
}
