// Where the API takes ids, read off its schema, and documents that fill them in.
import { getNamedType, getNullableType, isEnumType, isInputObjectType, isLeafType, isListType, isNonNullType, isObjectType, isRequiredArgument, isRequiredInputField } from 'graphql';

/** A moment, as the API takes it. */
export const daysAgo = (days) => new Date(Date.now() - days * 86_400_000).toISOString();

/** Values for what is required; a record needs no more. */
const LEAVES = { Int: '1', PositiveInt: '1', NonNegativeInt: '1', Float: '1.0', Boolean: 'true', DateTime: '"2030-01-01T00:00:00.000Z"', Date: '"2030-01-01"', EmailAddress: '"ada@example.com"', JSON: '{}' };
const TEXTS = { language: '"en"', url: '"http://127.0.0.1:9/"', concern: '"customers"', event: '"create"', authProvider: '"google"', from: `"${daysAgo(1)}"`, to: `"${daysAgo(-1)}"` };

/** Every place of the schema that takes an id: `{ operation, namespace, field, path }`, e.g. `input.tree.parentId`. */
export function places(schema) {
    const found = [];
    for (const [operation, root] of [['query', schema.getQueryType()], ['mutation', schema.getMutationType()], ['subscription', schema.getSubscriptionType()]]) {
        for (const top of Object.values(root?.getFields() ?? {})) {
            const isNamespace = operation !== 'subscription' && isObjectType(getNamedType(top.type));
            const fields = isNamespace ? Object.values(getNamedType(top.type).getFields()) : [top];
            for (const field of fields) {
                const paths = field.args.flatMap((argument) => pathsTo(argument.type, [argument.name], []));
                for (const path of paths) found.push({ operation, namespace: isNamespace ? top.name : undefined, field, path });
            }
        }
    }
    return found;
}

function pathsTo(type, path, within) {
    const named = getNamedType(type);
    if (named.name === 'ID') return [path];
    if (!isInputObjectType(named) || within.includes(named)) return [];
    return Object.values(named.getFields()).flatMap((field) => pathsTo(field.type, [...path, field.name], [...within, named]));
}

/** The name of a place, for people: `mutation order.update input.cart.productId`. */
export const nameOf = ({ operation, namespace, field, path }) => `${operation} ${namespace ? `${namespace}.` : ''}${field.name} ${path.join('.')}`;

/** A document that asks for the place's field with that id in the place; `idFor(path)` fills in the other ids that it needs. */
export function documentFor({ operation, namespace, field, path }, id, idFor) {
    const values = field.args
        .filter((argument) => argument.name === path[0] || isRequiredArgument(argument))
        .map((argument) => `${argument.name}: ${valueOf(argument.type, argument.name === path[0] ? path.slice(1) : undefined, [argument.name], { id, idFor })}`);
    const written = `${field.name}${values.length > 0 ? `(${values.join(', ')})` : ''}${isLeafType(getNamedType(field.type)) ? '' : ` { ${selectionOf(field.type)} }`}`;
    return namespace ? `${operation} { ${namespace} { ${written} } }` : `${operation} { ${written} }`;
}

/** What tells what was found. */
function selectionOf(type) {
    const fields = getNamedType(type).getFields?.() ?? {};
    const asked = ['id', 'identifier', 'name', 'count', 'changedCount', 'totalCount'].filter((name) => fields[name] && isLeafType(getNamedType(fields[name].type)));
    const lists = ['nodes', 'edges'].filter((name) => fields[name]);
    return ['__typename', ...asked, ...lists.map((name) => `${name} { __typename }`)].join(' ');
}

let skus = 0;

/** A value of the type: the id at the end of the way that is left to it, where there is one. */
function valueOf(type, way, path, ids) {
    const nullable = getNullableType(type);
    if (isListType(nullable)) return way || isNonNullType(nullable.ofType) ? `[${valueOf(nullable.ofType, way, path, ids)}]` : '[]';
    if (nullable.name === 'ID') return JSON.stringify(way ? ids.id : ids.idFor(path));
    if (isEnumType(nullable)) return nullable.getValues()[0].name;
    if (isInputObjectType(nullable)) return objectOf(nullable, way, path, ids);
    // No two products have one sku, whoever asks.
    if (path.at(-1) === 'sku') return JSON.stringify(`sku-${(skus += 1)}`);
    return TEXTS[path.at(-1)] ?? LEAVES[nullable.name] ?? '"x"';
}

function objectOf(type, way, path, ids) {
    const fields = Object.values(type.getFields()).filter((field) => field.name === way?.[0] || isRequiredInputField(field));
    if (type.isOneOf && fields.length === 0) fields.push(Object.values(type.getFields())[0]);
    // Of these exactly one is given.
    if (type.name === 'ComponentInput' && !way) fields.push(type.getFields().boolean);
    const written = fields.map((field) => `${field.name}: ${valueOf(field.type, field.name === way?.[0] ? way.slice(1) : undefined, [...path, field.name], ids)}`);
    return `{ ${written.join(', ')} }`;
}
