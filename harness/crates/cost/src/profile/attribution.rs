//! To which class a cost belongs, and where in the source an allocation is made.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::classes::{Work, WorkClasses};
use super::perf_script::KERNEL;
use super::source::Sources;
use super::tree::CallTree;
use record::AllocationSite;

/// A share of something for each class; they add up to 1.
type Shares = Vec<f64>;

/// Answers for one tree.
pub(super) struct Attribution<'a> {
    tree: &'a CallTree,
    classes: &'a WorkClasses,
    sources: Sources<'a>,
    callers: HashMap<usize, Shares>,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    function: String,
    source: String,
    class: usize,
}

impl<'a> Attribution<'a> {
    pub(super) fn new(tree: &'a CallTree, classes: &'a WorkClasses, root: &'a Path) -> Self {
        Self {
            tree,
            classes,
            sources: Sources::new(root),
            callers: HashMap::new(),
        }
    }

    /// The cost of each class, and of each class by function.
    pub(super) fn costs(&mut self) -> (Shares, BTreeMap<&'a str, Shares>) {
        let mut of_all = self.nothing();
        let mut of_functions: BTreeMap<&str, Shares> = BTreeMap::new();
        let tree = self.tree;
        for (index, frame) in tree.frames.iter().enumerate() {
            for (address, cost) in &frame.own {
                let shares = self.at(index, *address);
                let nothing = self.nothing();
                let function = of_functions.entry(&frame.symbol).or_insert(nothing);
                for (class, share) in shares.iter().enumerate() {
                    of_all[class] += share * *cost as f64;
                    function[class] += share * *cost as f64;
                }
            }
        }
        (of_all, of_functions)
    }

    /// Where allocations are made, the most frequent first.
    pub(super) fn allocations(&mut self) -> Vec<AllocationSite> {
        let mut sites: BTreeMap<Place, f64> = BTreeMap::new();
        let tree = self.tree;
        for frame in &tree.frames {
            let Some(parent) = frame.parent else { continue };
            // What the allocator itself calls is a part of an allocation.
            let inside = self.is_allocator(&tree.frames[parent].symbol);
            if inside || !self.classes.allocates(&frame.symbol) {
                continue;
            }
            for (address, calls) in &frame.called {
                self.find(parent, *address, calls.count as f64, &mut sites);
            }
        }
        let mut sites: Vec<AllocationSite> = sites
            .into_iter()
            .map(|(place, count)| AllocationSite {
                function: place.function,
                source: place.source,
                class: self.classes.all[place.class].name.clone(),
                per_request: count,
            })
            .collect();
        sites.sort_by(|one, other| other.per_request.total_cmp(&one.per_request));
        sites
    }

    fn is_allocator(&self, symbol: &str) -> bool {
        self.classes.of_function(symbol) == Work::Class(self.classes.index("allocation"))
    }

    fn nothing(&self) -> Shares {
        vec![0.0; self.classes.all.len()]
    }

    /// The classes of the code at an address.
    fn at(&mut self, index: usize, address: u64) -> Shares {
        match self.direct(index, address) {
            Some(class) => {
                let mut shares = self.nothing();
                shares[class] = 1.0;
                shares
            }
            None => self.of_callers(index),
        }
    }

    /// The class of the code at an address, if it doesn't work for its caller.
    fn direct(&mut self, index: usize, address: u64) -> Option<usize> {
        let frame = &self.tree.frames[index];
        if frame.object == KERNEL {
            return Some(self.classes.index("kernel"));
        }
        // What is inlined into the allocator is the allocator.
        if self.is_allocator(&frame.symbol) {
            return Some(self.classes.index("allocation"));
        }
        let other = self.classes.index("other");
        let written = self.sources.at(&frame.object, address);
        for inlined in written {
            match self.classes.of_path(&inlined.path) {
                Work::Class(class) => return Some(class),
                Work::Callers => {}
                Work::Unknown => return Some(other),
            }
        }
        let known = !written.is_empty();
        match self.classes.of_function(&frame.symbol) {
            Work::Class(class) => Some(class),
            // All that is inlined here was helpers, and so is the function.
            _ if known => None,
            Work::Callers => None,
            // A function of a system library works for its caller; one of the program is simply not known.
            Work::Unknown if is_system(&frame.object) => None,
            Work::Unknown => Some(other),
        }
    }

    /// The classes of what calls a function, in proportion to what the calls cost.
    fn of_callers(&mut self, index: usize) -> Shares {
        if let Some(known) = self.callers.get(&index) {
            return known.clone();
        }
        let frame = &self.tree.frames[index];
        let all: f64 = frame.called.values().map(|calls| calls.cost as f64).sum();
        let mut shares = self.nothing();
        match frame.parent {
            Some(parent) if all > 0.0 => {
                for (address, calls) in &frame.called {
                    let part = calls.cost as f64 / all;
                    for (class, share) in self.at(parent, *address).iter().enumerate() {
                        shares[class] += share * part;
                    }
                }
            }
            // A call that began before the profile did has no cost of its own.
            Some(parent) => shares = self.at(parent, 0),
            // The start of a thread.
            None => shares[self.classes.index("runtime")] = 1.0,
        }
        self.callers.insert(index, shares.clone());
        shares
    }

    /// Adds allocations to the innermost code that is neither the allocator nor a helper.
    fn find(&mut self, index: usize, address: u64, count: f64, sites: &mut BTreeMap<Place, f64>) {
        let frame = &self.tree.frames[index];
        let allocation = self.classes.index("allocation");
        let other = self.classes.index("other");
        let class_of = |work: Work| match work {
            Work::Class(class) if class == allocation => None,
            Work::Class(class) => Some(class),
            Work::Callers => None,
            Work::Unknown => Some(other),
        };
        let mut add = |source: &str, class: usize| {
            let place = Place {
                function: frame.symbol.clone(),
                source: source.to_owned(),
                class,
            };
            *sites.entry(place).or_default() += count;
        };
        let written = self.sources.at(&frame.object, address);
        for inlined in written {
            if let Some(class) = class_of(self.classes.of_path(&inlined.path)) {
                return add(&inlined.place, class);
            }
        }
        if written.is_empty()
            && !is_system(&frame.object)
            && let Some(class) = class_of(self.classes.of_function(&frame.symbol))
        {
            return add("", class);
        }
        let all: f64 = frame.called.values().map(|calls| calls.count as f64).sum();
        match frame.parent {
            Some(parent) if all > 0.0 => {
                for (address, calls) in &frame.called {
                    let part = count * calls.count as f64 / all;
                    self.find(parent, *address, part, sites);
                }
            }
            Some(parent) => self.find(parent, 0, count, sites),
            None => add("", other),
        }
    }
}

/// Whether an object is a library of the system, or code that the kernel maps into every process.
fn is_system(object: &str) -> bool {
    object.contains(".so") || object.starts_with("[vdso")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tree::Calls;

    /// A tree of frames, each with its parent, its own cost, and how often it is called.
    fn tree(frames: &[(&str, Option<usize>, u64, u64)]) -> CallTree {
        let mut tree = CallTree::default();
        for (symbol, parent, own, count) in frames {
            let index = tree.child(*parent, symbol);
            let frame = &mut tree.frames[index];
            frame.object = "/no/such/program".to_owned();
            frame.own.insert(1, *own);
            frame.called.insert(
                2,
                Calls {
                    count: *count,
                    cost: *own + 1,
                },
            );
        }
        tree
    }

    #[test]
    fn a_helper_works_for_its_caller() {
        let tree = tree(&[
            ("std::thread::start", None, 1, 0),
            ("tokio::poll", Some(0), 10, 1),
            ("serde_json::to_vec", Some(1), 100, 1),
            ("alloc::raw_vec::RawVec<T>::grow_one", Some(2), 1_000, 4),
            ("__memmove_avx_unaligned_erms", Some(3), 10_000, 4),
            ("mi_realloc_aligned", Some(3), 100_000, 4),
            ("mi_malloc_aligned", Some(5), 1_000_000, 4),
            ("mi_malloc_aligned", Some(1), 0, 2),
            ("mi_free", Some(1), 0, 5),
            ("unheard_of::x", Some(1), 7, 1),
        ]);
        let classes = WorkClasses::read(None).unwrap();
        let mut attribution = Attribution::new(&tree, &classes, Path::new("/"));
        let (all, functions) = attribution.costs();
        let of = |shares: &Shares, name: &str| shares[classes.index(name)];
        assert_eq!(of(&all, "runtime"), 11.0);
        assert_eq!(of(&all, "JSON and queries"), 11_100.0);
        assert_eq!(of(&all, "allocation"), 1_100_000.0);
        assert_eq!(of(&all, "other"), 7.0);
        assert_eq!(all.iter().sum::<f64>(), tree.total() as f64);
        assert_eq!(
            of(
                &functions["__memmove_avx_unaligned_erms"],
                "JSON and queries"
            ),
            10_000.0
        );
        let sites: Vec<_> = attribution
            .allocations()
            .into_iter()
            .map(|site| (site.function, site.per_request))
            .collect();
        // An allocation in an allocation is one, and freeing is none.
        assert_eq!(
            sites,
            [
                ("serde_json::to_vec".to_owned(), 4.0),
                ("tokio::poll".to_owned(), 2.0)
            ]
        );
    }
}
