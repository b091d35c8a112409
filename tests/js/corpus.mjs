// The corpus of payload documents, and graphql-js's verdict on each.
//
// `documents/*.json` holds groups. A group names the rule of the specification that its documents are about (`rule`) or
// the rule of our own that refuses them (`code`), and the event type that they are written for.
import { readdirSync, readFileSync } from 'node:fs';
import * as graphql from 'graphql';

const directory = new URL('documents/', import.meta.url);

/** Every document: `{ file, name, event, query, kind, rule, code }`, with `kind` one of valid, invalid and refused. */
export function documents() {
    return readdirSync(directory)
        .filter((file) => file.endsWith('.json'))
        .sort()
        .flatMap((file) => JSON.parse(readFileSync(new URL(file, directory), 'utf8')).flatMap((group) => ofGroup(file, group)));
}

function ofGroup(file, { rule, code, event, ...kinds }) {
    return Object.entries(kinds).flatMap(([kind, texts]) =>
        Object.entries(texts).map(([name, text]) => ({ file, name, event, query: whole(text), kind, rule, code })),
    );
}

/** A long document is written as what is repeated, how often, and what stands about it. */
function whole(text) {
    return typeof text === 'string' ? text : text.before + text.repeated.repeat(text.times) + text.after;
}

/** What graphql-js finds wrong with the document: `[{ message, line, column }]`. */
export function verdict(schema, document) {
    return errorsOf(schema, document.query, graphql.specifiedRules).map((error) => ({
        message: error.message,
        places: error.locations ?? [],
    }));
}

/** Whether the rule that the document's group names is the one that refuses it. */
export function isRefusedByItsRule(schema, document) {
    const rule = graphql[document.rule];
    return errorsOf(schema, document.query, rule ? [rule] : []).length > 0;
}

function errorsOf(schema, query, rules) {
    try {
        return graphql.validate(schema, graphql.parse(query), rules);
    } catch (error) {
        if (error instanceof graphql.GraphQLError) return [error];
        throw error;
    }
}
