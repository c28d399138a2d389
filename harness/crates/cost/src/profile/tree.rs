//! Call stacks with what they cost.

use std::collections::{BTreeMap, HashMap};

/// How often a call was made, and what happened in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) count: u64,
    pub(super) cost: u64,
}

/// A function on one path of calls.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Its demangled name.
    pub(super) symbol: String,
    /// The file of its code; empty if unknown.
    pub(super) object: String,
    /// The frame that calls it.
    pub(super) parent: Option<usize>,
    /// Its own cost, by the address of the instruction.
    pub(super) own: BTreeMap<u64, u64>,
    /// From which addresses of the calling frame it is called.
    pub(super) called: BTreeMap<u64, Calls>,
}

/// All paths of calls.
#[derive(Debug, Default)]
pub(super) struct CallTree {
    pub(super) frames: Vec<Frame>,
    known: HashMap<(Option<usize>, String), usize>,
}

impl CallTree {
    /// The frame of a function that `parent` calls.
    pub(super) fn child(&mut self, parent: Option<usize>, symbol: &str) -> usize {
        let key = (parent, symbol.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let index = self.frames.len();
        self.frames.push(Frame {
            symbol: symbol.to_owned(),
            object: String::new(),
            parent,
            own: BTreeMap::new(),
            called: BTreeMap::new(),
        });
        self.known.insert(key, index);
        index
    }

    /// The cost of everything.
    pub(super) fn total(&self) -> u64 {
        self.frames.iter().map(Frame::cost).sum()
    }

    /// The frame and those that called it, innermost first.
    pub(super) fn path(&self, index: usize) -> impl Iterator<Item = &Frame> {
        let mut next = Some(index);
        std::iter::from_fn(move || {
            let frame = &self.frames[next?];
            next = frame.parent;
            Some(frame)
        })
    }

    /// One line for each path with a cost of its own, as in `main;work;copy 70`.
    pub(super) fn folded(&self) -> Vec<String> {
        let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
        for (index, frame) in self.frames.iter().enumerate() {
            let cost = frame.cost();
            if cost > 0 {
                let mut names: Vec<String> = self
                    .path(index)
                    .map(|one| folded_name(&one.symbol))
                    .collect();
                names.reverse();
                *stacks.entry(names.join(";")).or_default() += cost;
            }
        }
        stacks
            .into_iter()
            .map(|(stack, cost)| format!("{stack} {cost}"))
            .collect()
    }

    /// By function: its own cost, and that of everything it called. A recursive function counts once.
    pub(super) fn functions(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut functions: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (index, frame) in self.frames.iter().enumerate() {
            let cost = frame.cost();
            if cost == 0 {
                continue;
            }
            functions.entry(&frame.symbol).or_default().0 += cost;
            let mut names: Vec<&str> = self.path(index).map(|one| one.symbol.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                functions.entry(name).or_default().1 += cost;
            }
        }
        functions
    }
}

impl Frame {
    fn cost(&self) -> u64 {
        self.own.values().sum()
    }
}

/// A semicolon separates the frames of a folded stack.
pub(super) fn folded_name(symbol: &str) -> String {
    symbol.replace(';', ",")
}

/// A function's name for people: demangled, without a hash and a version.
pub(super) fn readable(symbol: &str) -> String {
    if symbol.starts_with("0x") || symbol == "[unknown]" {
        return "[unknown]".to_owned();
    }
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    match name.find("@@").or_else(|| name.find("@GLIBC")) {
        Some(at) => name[..at].to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_the_sum() {
        let mut tree = CallTree::default();
        let main = tree.child(None, "main");
        let work = tree.child(Some(main), "work::<[u8; 4]>");
        let again = tree.child(Some(work), "work::<[u8; 4]>");
        assert_eq!(tree.child(Some(main), "work::<[u8; 4]>"), work);
        tree.frames[work].own = BTreeMap::from([(1, 30), (2, 10)]);
        tree.frames[again].own = BTreeMap::from([(1, 2)]);
        assert_eq!(
            tree.folded(),
            [
                "main;work::<[u8, 4]> 40",
                "main;work::<[u8, 4]>;work::<[u8, 4]> 2"
            ]
        );
        assert_eq!(tree.total(), 42);
        // A function that calls itself has its cost once.
        assert_eq!(tree.functions()["work::<[u8; 4]>"], (42, 42));
        assert_eq!(tree.functions()["main"], (0, 42));
    }

    #[test]
    fn names_are_readable() {
        for (symbol, expected) in [
            (
                "_ZN5tokio7runtime4task3raw4poll17hd16f7fae9ef61501E",
                "tokio::runtime::task::raw::poll",
            ),
            (
                "_ZN5bytes9bytes_mut8BytesMut8split_to17h5d17c178be8cc7a5E.llvm.8235798031554310646",
                "bytes::bytes_mut::BytesMut::split_to",
            ),
            (
                "_RNvNvMs0_NtNtNtCsjrHSEGnQ3l9_3std3sys6thread4unixNtB7_6Thread3new12thread_start",
                "<std::sys::thread::unix::Thread>::new::thread_start",
            ),
            ("clock_gettime@@GLIBC_2.17", "clock_gettime"),
            ("malloc", "malloc"),
            ("0x000000000026cb8c", "[unknown]"),
        ] {
            assert_eq!(readable(symbol), expected);
        }
    }
}
