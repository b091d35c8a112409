// What scanners and people of ill will send. The tests hold that it is refused or answered; `bench/attacks.mjs` measures what
// it costs. The names of graphql-cop's fourteen checks begin so.
import { getIntrospectionQuery } from 'graphql';

/** So many parts, each made of its number. */
export const repeat = (count, part) => Array.from({ length: count }, (_, n) => part(n)).join(' ');
/** A middle within so many brackets. */
export const nested = (depth, opening, middle, closing) => opening.repeat(depth) + middle + closing.repeat(depth);
const bomb = (levels) => `query { ...f0 } ${repeat(levels, (n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`)} fragment f${levels} on Query { __typename }`;
export const FIELD = 'tenant { get(identifier: "tests") { id } }';

/** Requests that must be refused as a whole: no data, and a code. */
export const REFUSED = {
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

const json = (query, variables) => ({ body: JSON.stringify({ query, variables }) });
const doubling = (levels, on, leaf) => `${repeat(levels, (n) => `fragment f${n} on ${on} { ...f${n + 1} ...f${n + 1} }`)} fragment f${levels} on ${on} { ${leaf} }`;

/** Requests that stay just below the limits, each made to cost the most: refused later than those above, or answered. */
export const LARGEST = {
    'one selection in the same place a hundred times, a hundred deep': { query: `{ ${`tenant { ${'__typename '.repeat(99)} } `.repeat(100)} }` },
    'fragments that double: 32,768 names': { query: `{ ...f0 } ${doubling(15, 'Query', '__typename')}` },
    'fragments that double: 8,192 reads': { query: `{ ...f0 } ${doubling(13, 'Query', FIELD)}` },
    'fragments that double in a mutation': { query: `mutation { ...f0 } ${doubling(15, 'Mutation', '__typename')}` },
    'a hundred reads under a hundred aliases': { query: `{ ${repeat(100, (n) => `a${n}: ${FIELD}`)} }` },
    'a hundred pages of a hundred': { query: `query ($t: ID!) { ${repeat(100, (n) => `a${n}: order { getMany(tenantId: $t, first: 100) { edges { node { id } } } }`)} }` },
    'unknown fields, as many as fit': { query: `{ ${repeat(11_900, (n) => `t${n}`)} }` },
    'unknown fields that are nearly known': { query: `{ ${repeat(2_900, (n) => `t${n}: tenan`)} }` },
    'unused variables, as many as fit': { query: `query (${repeat(2_900, (n) => `$v${n}: Int`)}) { __typename }` },
    'variables with descriptions, as many as fit': { query: `query (${repeat(2_000, (n) => `"d" $v${n}: Int`)}) { __typename }` },
    'descriptions before one variable, as many as fit': { query: `query (${repeat(3_500, () => '"d"')} $v: Int) { __typename }` },
    'undefined variables, as many as fit': { query: `{ ${repeat(95, (n) => `tenant { get(identifier: $v${n}) { id } }`)} }` },
    'operations, as many as fit': { query: repeat(2_300, (n) => `query q${n} { __typename }`) },
    'fragments that nothing spreads, as many as fit': { query: `{ __typename } ${repeat(1_600, (n) => `fragment f${n} on Query { __typename }`)}` },
    'fragments in a chain, as long as fits': { query: `{ ...f0 } ${repeat(1_450, (n) => `fragment f${n} on Query { ...f${n + 1} }`)} fragment f1450 on Query { __typename }` },
    'inline fragments as deep as may be': { query: `{ ${nested(75, '... { ', '__typename', ' }')} }` },
    'values as deep as may be': { query: `{ tenant { get(identifier: ${nested(75, '[', '1', ']')}) { id } } }` },
    'a long list of values': { query: `{ tenant { get(identifier: [${'1 '.repeat(11_900)}]) { id } } }` },
    'one string of 128 KB': { query: `{ tenant { get(identifier: "${'x'.repeat(130_000)}") { id } } }` },
    'escapes of 128 KB': { query: `{ tenant { get(identifier: "${'\\u00e9'.repeat(21_000)}") { id } } }` },
    'a comment of 128 KB': { query: `{ __typename } #${'x'.repeat(130_000)}` },
    'commas of 128 KB': { query: `{ __typename ${','.repeat(130_000)} }` },
    'conflicting fields': { query: `{ ${repeat(100, (n) => `tenant { get(identifier: "${n}") { id name identifier } }`)} }` },
    'the whole introspection': { query: getIntrospectionQuery() },
    'a variable of 2 MB': json('query ($v: String!) { tenant { get(identifier: $v) { id } } }', { v: 'x'.repeat(2_000_000) }),
    'variables of 2 MB that nothing takes': json('query ($v: String!) { tenant { get(identifier: $v) { id } } }', { v: 'x', w: Array.from({ length: 190_000 }, () => 'xxxxxxxx') }),
    'numbers of 2 MB that do not fit': json('query ($v: String!) { tenant { get(identifier: $v) { id } } }', { v: Array.from({ length: 900_000 }, () => 1) }),
    'extensions of 2 MB': { body: JSON.stringify({ query: '{ __typename }', extensions: { x: Array.from({ length: 900_000 }, () => 1) } }) },
    'JSON as deep as may be': json('query ($v: String!) { tenant { get(identifier: $v) { id } } }', { v: JSON.parse(nested(120, '[', '1', ']')) }),
};
