// Random documents for a schema: some valid, most of them wrong in one small way or another.
import { getNamedType, getNullableType, isAbstractType, isInputObjectType, isLeafType, isNonNullType, isUnionType, typeFromAST, parseType } from 'graphql';
import { mangled, noisy } from './random_noise.mjs';
import { randomDefault, randomString, randomValue } from './random_values.mjs';

const DEPTH_MAX = 6;
const CONDITIONS = ['@include(if: true)', '@skip(if: $flag)', '@include(if: $flag)', '@skip(if: false) @include(if: $flag)', '@skip(if: 1)', '@skip', '@nope', '@include(if: true) @include(if: true)', '@deprecated', '@include(if: [true])', '@skip(if: null)'];
// Words that mean something elsewhere are names too.
const WORDS = ['on', 'query', 'mutation', 'fragment', 'true', 'false', 'null', 'type', 'input', '_', '__x', 'a1'];

/** A document, as text. */
export function randomDocument(schema, random) {
    const made = new Maker(schema, random).document();
    const wrong = random.chance(0.2) ? mangled(made, random) : made;
    return random.chance(0.3) ? noisy(wrong, random) : wrong;
}

class Maker {
    constructor(schema, random) {
        // Half of the documents are written with care, without a slip of the pen: most of the others are wrong somewhere.
        const slip = random.chance(0.5) ? () => false : random.chance;
        Object.assign(this, { schema, random: { ...random, slip }, variables: new Map(), fragments: [], aliases: 0 });
        this.types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__'));
        this.composites = this.types.filter((type) => type.getFields && !isInputObjectType(type));
    }

    document() {
        const kind = this.random.pick(['query', 'query', 'mutation', 'subscription'].filter((each) => this.rootOf(each)));
        // A subscription asks for one field.
        const body = kind === 'subscription' && !this.random.chance(0.1) ? `{ ${this.selection(this.rootOf(kind), 1)} }` : this.selections(this.rootOf(kind), 0);
        const head = this.head(kind);
        const more = this.random.slip(0.04) ? [this.fragment(this.random.pick(this.composites))] : [];
        const parts = [this.described(head + body), ...this.fragments.filter(() => !this.random.slip(0.02)), ...more];
        if (this.random.chance(0.2)) parts.push(parts.shift());
        return parts.join(' ');
    }

    /** Half of what may be described is, in some documents. */
    described(text) {
        this.describes ??= this.random.chance(0.05);
        return this.describes && this.random.chance(0.5) && (!text.startsWith('{') || this.random.slip(0.3)) ? `${randomString(this.random)} ${text}` : text;
    }

    rootOf(kind) {
        return { query: this.schema.getQueryType(), mutation: this.schema.getMutationType(), subscription: this.schema.getSubscriptionType() }[kind];
    }

    head(kind) {
        const declared = [...this.variables].filter(() => !this.random.slip(0.02)).map(([name, type]) => this.described(`$${name}: ${type}`));
        if (this.random.slip(0.05)) declared.push(`$unused: ${this.random.pick(['Int', 'Nope', '[ID!]!', this.random.pick(this.types).name])}`);
        if (this.random.slip(0.03) && declared.length > 0) declared.push(this.random.pick(declared));
        const name = this.random.chance(0.3) ? this.random.pick(['Q', ...WORDS]) : '';
        const condition = this.random.slip(0.01) ? ` ${this.random.pick(CONDITIONS.filter((each) => !each.includes('$')))}` : '';
        if (declared.length > 0) return `${kind} ${name}(${declared.join(', ')})${condition} `;
        return kind === 'query' && name === '' && condition === '' && this.random.chance(0.5) ? '' : `${kind} ${name}${condition} `;
    }

    selections(type, depth) {
        const picked = Array.from({ length: 1 + this.random.below(depth > 3 ? 2 : 3) }, () => this.selection(type, depth));
        return `{ ${picked.join(' ')} }`;
    }

    selection(type, depth) {
        if (this.random.chance(0.05)) return this.conditioned(`${this.random.chance(0.1) ? `${this.random.pick(WORDS)}: ` : ''}__typename`, 0.3);
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
        const name = this.random.slip(0.01) ? `${field.name}x` : field.name;
        // Most fields that may differ in what they ask for have a name of their own: else nearly all documents conflict.
        const isTold = field.args.length > 0 && !this.random.slip(0.06);
        const alias = isTold ? `a${(this.aliases += 1)}: ` : this.random.slip(0.05) ? `${this.random.pick(['b', field.name, ...WORDS])}: ` : '';
        const text = alias + name + this.argumentsOf(field);
        const isLeaf = isLeafType(type) !== this.random.slip(0.01);
        if (isLeaf) return this.conditioned(text);
        if (isLeafType(type)) return `${text} { __typename }`;
        return this.conditioned(text) + (depth >= DEPTH_MAX ? ' { __typename }' : ` ${this.selections(type, depth + 1)}`);
    }

    conditioned(text, share = 0.04) {
        if (!this.random.chance(share)) return text;
        const condition = this.random.pick(this.random.slip(0.3) ? CONDITIONS : CONDITIONS.slice(0, 4));
        if (condition.includes('$flag')) this.variables.set('flag', this.random.slip(0.2) ? this.random.pick(['Boolean', 'Int!', '[Boolean!]']) : this.random.pick(['Boolean!', 'Boolean! = true', 'Boolean = false']));
        return `${text} ${condition}`;
    }

    spread(type, depth) {
        const on = this.random.slip(0.1) ? this.random.pick(this.composites) : this.random.pick(this.possible(type));
        if (this.random.chance(0.5)) {
            const narrowed = on !== type || this.random.chance(0.7);
            return `${this.conditioned(`...${narrowed ? ` on ${on.name}` : ''}`, 0.2)} ${this.selections(on, depth + 1)}`;
        }
        if (this.fragments.length > 0 && this.random.slip(0.2)) return `...${this.fragmentName(this.random.below(this.fragments.length + 1))}`;
        const number = this.fragments.length;
        this.fragments.push('');
        this.fragments[number] = this.described(`fragment ${this.fragmentName(number)} on ${on.name} ${this.selections(on, depth + 1)}`);
        return this.conditioned(`...${this.fragmentName(number)}`, 0.2);
    }

    /** Most are `F0`, `F1`; one document in ten has words for them, of which `on` is none. */
    fragmentName(number) {
        this.hasWords ??= this.random.chance(0.1);
        return this.hasWords && number < WORDS.length ? WORDS[WORDS.length - 1 - number] : `F${number}`;
    }

    fragment(type) {
        return `fragment F${this.random.below(9)} on ${this.random.chance(0.9) ? type.name : this.random.pick(this.types).name} { __typename }`;
    }

    possible(type) {
        const abstract = isAbstractType(type) ? this.schema.getPossibleTypes(type) : [];
        return [type, ...abstract, ...(type.getInterfaces?.() ?? [])];
    }

    argumentsOf(field) {
        const given = field.args.filter((argument) => (isNonNullType(argument.type) && argument.defaultValue === undefined ? !this.random.slip(0.03) : this.random.chance(0.3)));
        const written = given.map((argument) => `${argument.name}: ${randomValue(argument.type, this.random, (type) => this.variable(type, argument.name))}`);
        if (this.random.slip(0.01)) written.push('nope: 1');
        if (this.random.slip(0.01) && written.length > 0) written.push(written[0]);
        return written.length > 0 ? `(${written.join(', ')})` : '';
    }

    /** A variable for a place of that type, declared with it or with something like it. */
    variable(type, place) {
        const [exact, nullable] = [String(type), String(getNullableType(type))];
        const name = this.random.chance(0.1) ? this.random.pick(WORDS) : `${place}${getNamedType(type).name}`;
        const declared = !this.random.slip(0.3) ? this.random.pick([exact, exact, `${nullable}!`]) : this.random.pick([exact, nullable, `${nullable}!`, `${nullable} = null`, `[${getNamedType(type)}]`, `[${exact}]`, this.random.chance(0.1) ? 'Int' : exact]);
        if (!this.variables.has(name) || this.random.slip(0.02)) this.variables.set(name, declared + this.default(declared));
        return `$${name}`;
    }

    default(declared) {
        return declared.includes('=') ? '' : randomDefault(typeFromAST(this.schema, parseType(declared)), this.random);
    }
}
