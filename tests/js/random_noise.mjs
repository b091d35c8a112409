// The tokens of a document with other things between them that mean nothing, and documents with one token wrong.

const TOKEN = /"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*"|\.\.\.|[A-Za-z_]\w*|-?\d[\w.+-]*|#[^\n\r]*|[\s,\u{feff}]+|[^]/gu;
const BLANKS = [' ', ' ', ' ', ',', ',', '\n', '\t', '\r\n', '\r', '\u{feff}', '#\n', '# ", """ { \u{1f600} \\\n', ' ,, ', '#,\r'];
const ODD = ['{', '}', '(', ')', '[', ']', '!', '$', '@', '...', ':', '"', '"""', '#', ',', '\u{feff}', '\\', 'on', 'null', 'query', 'fragment', '-', '0x1', '01', '&', '|', 'é', '\u0000', '\u{1f600}', '..', '.', '\u00a0', '\u2028', '"\\u{110000}"', '"\\ud800"', '1e400', '"a\nb"'];

const tokensOf = (text) => text.match(TOKEN).filter((token) => !/^[\s,\u{feff}#]/u.test(token));
const isWord = (token) => /^[\w"-]/.test(token);

/** The document with ignored tokens wherever they may stand, and none where none is needed. */
export function noisy(text, random) {
    const blank = () => random.list(2, () => random.pick(BLANKS)).join('');
    let [written, before] = ['', '{'];
    for (const token of tokensOf(text)) {
        const between = blank();
        // Two words need something between them, and a number may not run into dots.
        const needed = between === '' && isWord(before) && (isWord(token) || token === '...');
        written += (needed ? random.pick(BLANKS) : between) + token;
        before = token;
    }
    return written + blank();
}

/** The document with one token lost, doubled, moved or replaced. */
export function mangled(text, random) {
    const tokens = tokensOf(text);
    const at = random.below(tokens.length);
    random.pick([
        () => tokens.splice(at, 1),
        () => tokens.splice(at, 0, tokens[at]),
        () => ([tokens[at], tokens[0]] = [tokens[0], tokens[at]]),
        () => tokens.splice(at, 1, random.pick(ODD)),
        () => tokens.splice(at, 0, random.pick(ODD)),
        () => tokens.splice(at, 2, (tokens[at] ?? '') + (tokens[at + 1] ?? '')),
    ])();
    return tokens.join(' ');
}
