//! Reads what callgrind wrote: <https://valgrind.org/docs/manual/cl-format.html>.
//!
//! With [`FLAGS`] every function's name is followed by those of its callers, as in `copy'work'main`, so that the
//! profile has whole stacks. Without them it would have pairs of caller and callee only.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};

use super::tree::{CallTree, readable};

/// What callgrind needs so that stacks and the addresses of instructions are in its profile. Demangled names could
/// contain the mark between two names.
pub(super) const FLAGS: [&str; 3] = [
    "--separate-callers=100",
    "--dump-instr=yes",
    "--demangle=no",
];
/// Between a function's name and its caller's.
const MARK: char = '\'';

/// Adds a profile to a tree.
///
/// # Errors
/// If it isn't one, or was written without [`FLAGS`].
pub(super) fn read(text: &str, tree: &mut CallTree) -> Result<()> {
    ensure!(
        text.starts_with("# callgrind format"),
        "not a profile of callgrind: it doesn't begin with \"# callgrind format\""
    );
    let mut reader = Reader {
        tree,
        functions: HashMap::new(),
        objects: HashMap::new(),
        object: String::new(),
        callee_object: None,
        frame: None,
        callee: None,
        calls: None,
        address: 0,
    };
    for (number, line) in (1..).zip(text.lines()) {
        reader
            .line(line)
            .with_context(|| format!("line {number} of callgrind's profile: {line:?}"))?;
    }
    Ok(())
}

struct Reader<'a> {
    tree: &'a mut CallTree,
    /// By the id that stands for a name after its first use.
    functions: HashMap<String, usize>,
    objects: HashMap<String, String>,
    object: String,
    callee_object: Option<String>,
    frame: Option<usize>,
    callee: Option<usize>,
    /// The next line has the cost of so many calls.
    calls: Option<u64>,
    /// Of the last line; the next may be relative to it.
    address: u64,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) -> Result<()> {
        if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            return self.cost(line);
        }
        if let Some(columns) = line.strip_prefix("positions: ") {
            ensure!(columns == "instr line", "expected positions: instr line");
        }
        let Some((key, value)) = line.split_once('=') else {
            return Ok(());
        };
        match key {
            "ob" => self.object = self.object_named(value)?,
            "cob" => self.callee_object = Some(self.object_named(value)?),
            "fn" => {
                let object = self.object.clone();
                self.frame = Some(self.function(value, &object)?);
            }
            "cfn" => {
                // It is in the caller's file unless `cob` said otherwise.
                let object = self.callee_object.take();
                let object = object.unwrap_or_else(|| self.object.clone());
                self.callee = Some(self.function(value, &object)?);
            }
            "calls" => {
                let count = value.split(' ').next().unwrap_or_default();
                self.calls = Some(count.parse().context("expected a number of calls")?);
            }
            _ => {}
        }
        Ok(())
    }

    /// `ADDRESS LINE COST`, where address and line may be relative to those of the line before.
    fn cost(&mut self, line: &str) -> Result<()> {
        let mut words = line.split(' ');
        let (Some(address), Some(_), cost) = (words.next(), words.next(), words.next()) else {
            bail!("expected an address, a line and a cost");
        };
        self.address = match (address.split_at(1), self.address) {
            (("*", ""), last) => last,
            (("+", more), last) => last.wrapping_add(number(more)?),
            (("-", less), last) => last.wrapping_sub(number(less)?),
            _ => number(address)?,
        };
        // A line without a number costs nothing.
        let cost = cost.map_or(Ok(0), number)?;
        let frame = self.frame.context("a cost before the first fn=")?;
        match (self.calls.take(), self.callee) {
            (None, _) => *self.tree.frames[frame].own.entry(self.address).or_default() += cost,
            // A level of a recursion calls the next one from within the same frame.
            (Some(_), Some(callee)) if callee == frame => {}
            (Some(count), Some(callee)) => {
                let called = &mut self.tree.frames[callee].called;
                let calls = called.entry(self.address).or_default();
                calls.count += count;
                calls.cost += cost;
            }
            (Some(_), None) => bail!("calls= without cfn="),
        }
        Ok(())
    }

    fn object_named(&mut self, value: &str) -> Result<String> {
        let (id, name) = compressed(value);
        if let Some(name) = name {
            self.objects.insert(id.to_owned(), name.to_owned());
        }
        let known = self.objects.get(id);
        known.cloned().context("an id without a name")
    }

    fn function(&mut self, value: &str, object: &str) -> Result<usize> {
        let (id, name) = compressed(value);
        let frame = match name {
            Some(name) => {
                let frame = frame_of(self.tree, name);
                self.functions.insert(id.to_owned(), frame);
                frame
            }
            None => *self.functions.get(id).context("an id without a name")?,
        };
        let known = &mut self.tree.frames[frame].object;
        if known.is_empty() {
            object.clone_into(known);
        }
        Ok(frame)
    }
}

/// The frame of `copy'work'main`. A number at the end tells levels of a recursion apart, which share a frame here.
fn frame_of(tree: &mut CallTree, name: &str) -> usize {
    let is_level = |name: &&str| name.chars().all(|c| c.is_ascii_digit());
    let names = name.rsplit(MARK).skip_while(is_level);
    let mut frame = None;
    for name in names {
        frame = Some(tree.child(frame, &readable(name)));
    }
    // Callgrind names every function.
    frame.unwrap_or_else(|| tree.child(None, "[unknown]"))
}

/// `(ID) NAME`, `(ID)` or `NAME`.
fn compressed(value: &str) -> (&str, Option<&str>) {
    match value
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
    {
        Some((id, "")) => (id, None),
        Some((id, name)) => (id, Some(name.trim_start())),
        None => (value, Some(value)),
    }
}

fn number(word: &str) -> Result<u64> {
    let read = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    read.with_context(|| format!("{word:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tree::Calls;

    /// Written by callgrind of a small program; `sample.rs` beside it says how.
    const SAMPLE: &str = include_str!("../../tests/data/sample.callgrind");

    #[test]
    fn a_real_profile_is_read_whole() {
        let mut tree = CallTree::default();
        read(SAMPLE, &mut tree).unwrap();
        let stated = SAMPLE
            .lines()
            .find_map(|line| line.strip_prefix("totals: "));
        assert_eq!(tree.total().to_string(), stated.unwrap());
        let folded: u64 = tree
            .folded()
            .iter()
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum();
        assert_eq!(folded, tree.total());
        // The sample calls `twig` 3 times from one place and 4 times from another, each of which allocates once.
        let mut twigs: Vec<(String, u64)> = (0..tree.frames.len())
            .filter(|index| tree.frames[*index].symbol == "sample::twig")
            .map(|index| {
                let caller = tree.path(index).nth(1).unwrap().symbol.clone();
                let count = tree.frames[index].called.values().map(|calls| calls.count);
                (caller, count.sum())
            })
            .collect();
        twigs.sort();
        assert_eq!(
            twigs,
            [
                ("sample::left".to_owned(), 3),
                ("sample::right".to_owned(), 4)
            ]
        );
        let mut mallocs: Vec<(String, u64)> = tree
            .frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| frame.symbol == "malloc")
            .map(|(index, frame)| {
                let right = tree.path(index).any(|one| one.symbol == "sample::right");
                let count = frame.called.values().map(|calls| calls.count).sum();
                (if right { "right" } else { "left" }.to_owned(), count)
            })
            .collect();
        mallocs.sort();
        assert_eq!(mallocs, [("left".to_owned(), 3), ("right".to_owned(), 4)]);
    }

    #[test]
    fn positions_may_be_relative_and_names_short() {
        let text = "# callgrind format\npositions: instr line\nevents: Ir\n\
                    ob=(1) /server\nfl=(1) a.rs\nfn=(1) main\n0x100 5 10\n+8 +1 2\ncob=(2) /libc\n\
                    cfn=(2) malloc'main\ncalls=3 0x0 0\n* * 90\n-0x4 -1 1\n\nob=(2)\nfn=(2)\n0x20 0 60\n\
                    cfn=(3) malloc'main'2\ncalls=1 0x0\n* 0 30\nfn=(3)\n0x24 0 30\n";
        let mut tree = CallTree::default();
        read(text, &mut tree).unwrap();
        let [main, malloc] = &tree.frames[..] else {
            panic!("{tree:?}")
        };
        assert_eq!(
            (main.symbol.as_str(), main.object.as_str()),
            ("main", "/server")
        );
        assert_eq!(main.own, [(0x100, 10), (0x104, 1), (0x108, 2)].into());
        assert_eq!((malloc.object.as_str(), malloc.parent), ("/libc", Some(0)));
        // Both levels of the recursion.
        assert_eq!(malloc.own, [(0x20, 60), (0x24, 30)].into());
        let calls = Calls { count: 3, cost: 90 };
        assert_eq!(malloc.called, [(0x108, calls)].into());
        assert_eq!(tree.total(), 103);
    }

    #[test]
    fn a_wrong_profile_is_refused_with_its_line() {
        let head = "# callgrind format\npositions: instr line\n";
        for (wrong, expected) in [
            ("events: Ir", "doesn't begin with"),
            (
                "# callgrind format\npositions: line\n",
                "expected positions: instr line",
            ),
            (&format!("{head}0x1 2 3\n"), "line 3"),
            (&format!("{head}fn=(1)\n"), "an id without a name"),
            (&format!("{head}fn=(1) a\n0x1 2 x\n"), "\"x\" is no number"),
            (
                &format!("{head}fn=(1) a\ncalls=many 0\n"),
                "a number of calls",
            ),
            (
                &format!("{head}fn=(1) a\ncalls=1 0\n0x1 2 3\n"),
                "without cfn=",
            ),
        ] {
            let error = read(wrong, &mut CallTree::default()).unwrap_err();
            let said = format!("{error:#}");
            assert!(said.contains(expected), "{wrong:?}: {said}");
        }
    }
}
