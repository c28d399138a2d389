//! The notes of a report: a reason that several rows or workloads share is given once.
//!
//! Sentences that differ only in their numbers become one note with all the numbers: `the rate is 71, 80 and 94
//! % of the control's`. `table.csv` and `record.json` have the exact sentence of each row.

/// Numbered notes of a whole report.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

#[derive(Debug)]
struct Note {
    /// The sentence between its numbers.
    words: Vec<String>,
    /// The numbers of each occurrence.
    numbers: Vec<Vec<String>>,
    /// The workloads it applies to, in order.
    places: Vec<String>,
}

impl Notes {
    /// The mark for `text`, as in `[1]`. `place` is its workload, or empty.
    pub(super) fn mark(&mut self, text: &str, place: &str) -> String {
        format!("[{}]", self.number(text, place))
    }

    /// The number of `text`, from 1.
    pub(super) fn number(&mut self, text: &str, place: &str) -> usize {
        let (words, numbers) = split(text);
        let known = self.0.iter().position(|note| note.words == words);
        let at = known.unwrap_or_else(|| {
            self.0.push(Note {
                words,
                numbers: Vec::new(),
                places: Vec::new(),
            });
            self.0.len() - 1
        });
        let note = &mut self.0[at];
        note.numbers.push(numbers);
        if !place.is_empty() && !note.places.iter().any(|known| known == place) {
            note.places.push(place.to_owned());
        }
        at + 1
    }

    /// All notes in order. Lists a note's workloads unless it applies to all `workloads`.
    pub(super) fn texts(&self, workloads: usize) -> Vec<String> {
        let text = |note: &Note| match note.places.len() {
            0 => note.text(),
            all if all >= workloads => note.text(),
            _ => format!("{} ({})", note.text(), note.places.join(", ")),
        };
        self.0.iter().map(text).collect()
    }
}

impl Note {
    fn text(&self) -> String {
        let mut text = String::new();
        for (at, words) in self.words.iter().enumerate() {
            text.push_str(words);
            let numbers: Vec<&str> = self
                .numbers
                .iter()
                .filter_map(|said| said.get(at).map(String::as_str))
                .collect();
            text.push_str(&all_of(numbers));
        }
        text
    }
}

/// The numbers at one position: lists up to three, otherwise gives the range.
fn all_of(mut numbers: Vec<&str>) -> String {
    let value = |number: &str| number.replace(',', "").parse().unwrap_or(0.0_f64);
    numbers.sort_by(|a, b| value(a).total_cmp(&value(b)));
    numbers.dedup();
    match numbers.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, last] => format!("{first} and {last}"),
        [first, second, last] => format!("{first}, {second} and {last}"),
        [first, .., last] => format!("{first} to {last}"),
    }
}

/// Splits a text into the parts between numbers, and the numbers. Digits within a name, as in `p99` or
/// `control~2`, are not numbers.
fn split(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut words, mut numbers) = (vec![String::new()], Vec::new());
    for word in text.split_inclusive(' ') {
        let from = word.find(|c: char| !"([".contains(c)).unwrap_or(0);
        let (before, rest) = word.split_at(from);
        let end = rest
            .char_indices()
            .find(|(at, c)| {
                !(c.is_ascii_digit() || ",.".contains(*c) || (*at == 0 && "+-".contains(*c)))
            })
            .map_or(rest.len(), |(at, _)| at);
        let number = rest[..end].trim_end_matches([',', '.']);
        let after = &rest[number.len()..];
        let is_number = number.ends_with(|c: char| c.is_ascii_digit())
            && after.starts_with([' ', ',', '.', ';', ':', ')', ']']) | after.is_empty();
        let last = words.last_mut().expect("starts with one");
        if is_number {
            last.push_str(before);
            numbers.push(number.to_owned());
            words.push(after.to_owned());
        } else {
            last.push_str(word);
        }
    }
    (words, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &[(&str, &str)], workloads: usize) -> Vec<String> {
        let mut notes = Notes::default();
        for (text, place) in said {
            notes.mark(text, place);
        }
        notes.texts(workloads)
    }

    #[test]
    fn a_sentence_is_said_once_with_all_its_numbers() {
        let said = [
            ("outlier in round 4: the rate is -35.6 % off", "users"),
            ("outlier in round 14: the rate is -33.9 % off", "mixed"),
            ("outlier in round 4: the rate is -24.5 % off", "users"),
            ("no trial was run", "mixed"),
        ];
        assert_eq!(
            told(&said, 3),
            [
                "outlier in round 4 and 14: the rate is -35.6, -33.9 and -24.5 % off (users, mixed)",
                "no trial was run (mixed)"
            ]
        );
        let many = [1, 2, 3, 5].map(|n| format!("only {n} of 9, here."));
        let many: Vec<(&str, &str)> = many.iter().map(|text| (text.as_str(), "a")).collect();
        assert_eq!(told(&many, 1), ["only 1 to 5 of 9, here."]);
    }

    #[test]
    fn names_are_no_numbers_and_other_sentences_other_notes() {
        let said = [
            ("p99 of alder (2) is 1,200 µs", ""),
            ("p99.9 of alder (2) is 1,200 µs", ""),
            ("control~2 at 5%", ""),
            ("control~3 at 5%", ""),
        ];
        let expected: Vec<&str> = said.iter().map(|(text, _)| *text).collect();
        assert_eq!(told(&said, 2), expected);
    }

    #[test]
    fn the_same_text_has_the_same_mark() {
        let mut notes = Notes::default();
        assert_eq!(notes.mark("one 1", "a"), "[1]");
        assert_eq!(notes.mark("other", "a"), "[2]");
        assert_eq!(notes.mark("one 2", "b"), "[1]");
    }
}
