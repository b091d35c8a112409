// Seeded randomness: one seed, one run.

/** A generator (mulberry32) with what the tests ask of it. */
export function randomFrom(seed) {
    let state = seed >>> 0;
    const unit = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    const below = (count) => Math.floor(unit() * count);
    return {
        below,
        chance: (share) => unit() < share,
        pick: (values) => values[below(values.length)],
        list: (max, make) => Array.from({ length: below(max + 1) }, make),
    };
}
