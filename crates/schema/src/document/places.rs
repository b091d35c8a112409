//! Lines and columns of bytes of a text, as the specification counts them: both from 1, columns in characters.

use async_graphql::Pos;

/// The places in a text: the starts of its lines, and its characters that are wider than a byte.
pub(super) struct Places {
    line_starts: Vec<usize>,
    /// For each wide character, the byte after it, and how many more bytes than characters the text has up to there.
    wide: Vec<(usize, usize)>,
}

impl Places {
    /// The places of a text, in one pass.
    pub fn of(text: &str) -> Self {
        let mut places = Self { line_starts: vec![0], wide: Vec::new() };
        let mut before = ' ';
        let mut surplus = 0;
        for (at, c) in text.char_indices() {
            let after = at + c.len_utf8();
            match c {
                // A carriage return and a line feed end one line together.
                '\n' if before == '\r' => *places.line_starts.last_mut().unwrap_or(&mut 0) = after,
                '\n' | '\r' => places.line_starts.push(after),
                _ => {}
            }
            if c.len_utf8() > 1 {
                surplus += c.len_utf8() - 1;
                places.wide.push((after, surplus));
            }
            before = c;
        }
        places
    }

    /// The line and column of a byte, by two look-ups.
    pub fn at(&self, offset: usize) -> Pos {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let chars = |offset: usize| offset - self.surplus(offset);
        Pos { line, column: chars(offset) - chars(start) + 1 }
    }

    fn surplus(&self, offset: usize) -> usize {
        let wide_before = self.wide.partition_point(|(after, _)| *after <= offset);
        wide_before.checked_sub(1).and_then(|at| self.wide.get(at)).map_or(0, |(_, surplus)| *surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn lines_end_as_the_specification_says_and_columns_are_characters() {
        let text = "a\nb\r\nc\rd\u{e9}\u{1f600}e";
        let places = Places::of(text);
        for (found, line, column) in
            [('a', 1, 1), ('b', 2, 1), ('c', 3, 1), ('d', 4, 1), ('\u{1f600}', 4, 3), ('e', 4, 4)]
        {
            let place = places.at(text.find(found).unwrap());
            assert_eq!((place.line, place.column), (line, column), "{found:?}");
        }
        assert_eq!(Places::of("").at(0), Places::of("x").at(0));
    }
}
