// Random documents for a schema: some valid, most of them wrong in one small way or another.
import { getNamedType, getNullableType, isEnumType, isInputObjectType, isInterfaceType, isLeafType, isListType, isNonNullType, isUnionType } from 'graphql';

const DEPTH_MAX = 6;
const CONDITIONS = ['@include(if: true)', '@skip(if: $flag)', '@include(if: $flag)', '@skip(if: 1)', '@skip', '@nope', '@include(if: true) @include(if: true)', '@deprecated'];

/** A document, as text. */
export function randomDocument(schema, random) {
    const made = new Maker(schema, random).document();
    return random.chance(0.2) ? mangled(made, random) : made;
}

class Maker {
    constructor(schema, random) {
        Object.assign(this, { schema, random, variables: new Map(), fragments: [], aliases: 0 });
        this.types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__'));
        this.composites = this.types.filter((type) => type.getFields && !isInputObjectType(type));
    }

    document() {
        const body = this.selections(this.schema.getQueryType(), 0);
        const declared = [...this.variables].filter(() => !this.random.chance(0.02)).map(([name, type]) => `$${name}: ${type}`);
        if (this.random.chance(0.05)) declared.push(`$unused: ${this.random.pick(['Int', 'Nope', '[ID!]!', this.random.pick(this.types).name])}`);
        if (this.random.chance(0.03) && declared.length > 0) declared.push(this.random.pick(declared));
        const head = declared.length > 0 ? `query (${declared.join(', ')}) ` : this.random.pick(['', 'query ', 'query Q ']);
        const more = this.random.chance(0.04) ? [this.fragment(this.random.pick(this.composites))] : [];
        return [head + body, ...this.fragments.filter(() => !this.random.chance(0.02)), ...more].join(' ');
    }

    selections(type, depth) {
        const picked = Array.from({ length: 1 + this.random.below(depth > 3 ? 2 : 3) }, () => this.selection(type, depth));
        return `{ ${picked.join(' ')} }`;
    }

    selection(type, depth) {
        if (this.random.chance(0.05)) return this.conditioned('__typename');
        if (this.random.chance(0.1) && depth < DEPTH_MAX) return this.spread(type, depth);
        const fields = isUnionType(type) ? [] : Object.values(type.getFields());
        if (fields.length === 0) return this.spread(type, depth);
        const field = this.random.pick(this.random.chance(0.5) ? fields : fields.filter((each) => this.isShallow(each, depth)));
        return field ? this.field(field, depth) : '__typename';
    }

    isShallow(field, depth) {
        return depth < DEPTH_MAX || isLeafType(getNamedType(field.type));
    }

    field(field, depth) {
        const type = getNamedType(field.type);
        const name = this.random.chance(0.01) ? `${field.name}x` : field.name;
        // Most fields that may differ in what they ask for have a name of their own: else nearly all documents conflict.
        const isTold = field.args.length > 0 && !this.random.chance(0.06);
        const alias = isTold ? `a${(this.aliases += 1)}: ` : this.random.chance(0.05) ? `${this.random.pick(['a', 'b', field.name])}: ` : '';
        const text = alias + name + this.argumentsOf(field);
        const isLeaf = isLeafType(type) !== this.random.chance(0.01);
        if (isLeaf) return this.conditioned(text);
        if (isLeafType(type)) return `${text} { __typename }`;
        return this.conditioned(text) + (depth >= DEPTH_MAX ? ' { __typename }' : ` ${this.selections(type, depth + 1)}`);
    }

    conditioned(text) {
        if (!this.random.chance(0.04)) return text;
        const condition = this.random.pick(CONDITIONS);
        if (condition.includes('$flag')) this.variables.set('flag', this.random.pick(['Boolean!', 'Boolean! = true', 'Boolean', 'Boolean = true', 'Int!']));
        return `${text} ${condition}`;
    }

    spread(type, depth) {
        const on = this.random.chance(0.9) ? this.random.pick(this.possible(type)) : this.random.pick(this.composites);
        if (this.random.chance(0.5)) return `... ${this.random.chance(0.8) ? `on ${on.name} ` : ''}${this.selections(on, depth + 1)}`;
        if (this.fragments.length > 0 && this.random.chance(0.2)) return `...F${this.random.below(this.fragments.length + 1)}`;
        const number = this.fragments.length;
        this.fragments.push('');
        this.fragments[number] = `fragment F${number} on ${on.name} ${this.selections(on, depth + 1)}`;
        return this.conditioned(`...F${number}`);
    }

    fragment(type) {
        return `fragment F${this.random.below(9)} on ${this.random.chance(0.9) ? type.name : this.random.pick(this.types).name} { __typename }`;
    }

    possible(type) {
        const abstract = isUnionType(type) || isInterfaceType(type) ? this.schema.getPossibleTypes(type) : [];
        return [type, ...abstract, ...(type.getInterfaces?.() ?? [])];
    }

    argumentsOf(field) {
        const given = field.args.filter((argument) => (isNonNullType(argument.type) ? !this.random.chance(0.03) : this.random.chance(0.3)));
        const written = given.map((argument) => `${argument.name}: ${this.value(argument.type, argument.name)}`);
        if (this.random.chance(0.01)) written.push('nope: 1');
        if (this.random.chance(0.01) && written.length > 0) written.push(written[0]);
        return written.length > 0 ? `(${written.join(', ')})` : '';
    }

    value(type, name, depth = 0) {
        if (this.random.chance(0.25)) return this.variable(type, name);
        return this.random.chance(0.03) ? this.wrongValue() : this.literal(type, name, depth);
    }

    variable(type, name) {
        const declared = this.random.chance(0.6) ? String(type) : this.random.pick([String(type), String(type), String(getNullableType(type)), `${getNullableType(type)}!`, `${getNullableType(type)} = null`, `[${getNamedType(type)}]`, this.random.chance(0.1) ? 'Int' : String(type)]);
        if (!this.variables.has(name) || this.random.chance(0.02)) this.variables.set(name, declared);
        return `$${name}`;
    }

    wrongValue() {
        return this.random.pick(['1', '-1', '1.5', '"x"', 'true', 'null', 'NOPE', '[]', '[1, "a"]', '{}', '{ a: 1 }', '3000000000', '"""block"""', '[[1]]']);
    }

    literal(type, name, depth) {
        const nullable = getNullableType(type);
        if (isListType(nullable)) return this.random.chance(0.2) ? this.literal(nullable.ofType, name, depth) : `[${this.random.list(2, () => this.value(nullable.ofType, name, depth + 1)).join(', ')}]`;
        if (isEnumType(nullable)) return this.random.pick(nullable.getValues()).name;
        if (isInputObjectType(nullable)) return this.object(nullable, depth);
        return { Int: '3', Float: '1.5', Boolean: 'true', ID: '"0198c5f0-0000-7000-8000-000000000000"' }[nullable.name] ?? '"2026-01-01T00:00:00Z"';
    }

    object(type, depth) {
        const fields = Object.values(type.getFields()).filter((field) => isNonNullType(field.type) !== this.random.chance(depth > 1 ? 0.02 : 0.2));
        const written = fields.map((field) => `${field.name}: ${this.value(field.type, field.name, depth + 1)}`);
        if (this.random.chance(0.03) && written.length > 0) written.push(written[0]);
        return `{ ${written.join(', ')} }`;
    }
}

/** The document with one token lost, doubled, moved or replaced. */
function mangled(text, random) {
    const tokens = text.split(/(\s+|[{}()[\]:$!@,]|\.\.\.)/).filter((token) => token !== undefined && token !== '');
    const at = random.below(tokens.length);
    const odd = ['{', '}', '(', ')', '[', ']', '!', '$', '@', '...', ':', '"', '"""', '#', ',', '\u{feff}', '\\', 'on', 'null', 'query', 'fragment', '-', '0x1', '01', '&', '|', 'é', '\u0000', '\u{1f600}'];
    random.pick([
        () => tokens.splice(at, 1),
        () => tokens.splice(at, 0, tokens[at]),
        () => ([tokens[at], tokens[0]] = [tokens[0], tokens[at]]),
        () => tokens.splice(at, 1, random.pick(odd)),
        () => tokens.splice(at, 0, ` ${random.pick(odd)} `),
    ])();
    return tokens.join('');
}
