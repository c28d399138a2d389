//! Reads what `perf script -F ip,sym,dso` writes: a stack for each sample, innermost function first.

use anyhow::{Context as _, Result};

use super::tree::{CallTree, readable};

/// The members of a line, for `perf script`.
pub(super) const MEMBERS: &str = "ip,sym,dso";
/// The object of every frame in the kernel.
pub(super) const KERNEL: &str = "[kernel]";
/// Addresses from here on are the kernel's.
const KERNEL_BEGINS: u64 = 1 << 63;

/// Adds the samples to a tree: each costs 1. `address_of` turns a place in an object's file into an address.
///
/// # Errors
/// If a line is no frame.
pub(super) fn read(
    text: &str,
    tree: &mut CallTree,
    mut address_of: impl FnMut(&str, u64) -> u64,
) -> Result<()> {
    let mut stack = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            add(&stack, tree);
            stack.clear();
            continue;
        }
        let mut frame = sampled(line)
            .with_context(|| format!("line {number} of perf script is no frame: {line:?}"))?;
        frame.address = address_of(frame.object, frame.address);
        stack.push(frame);
    }
    add(&stack, tree);
    Ok(())
}

struct Sampled<'a> {
    address: u64,
    symbol: &'a str,
    object: &'a str,
}

/// `ADDRESS SYMBOL (OBJECT)`; a symbol may contain spaces.
fn sampled(line: &str) -> Option<Sampled<'_>> {
    let (address, rest) = line.trim().split_once(' ')?;
    let (symbol, object) = rest.rsplit_once(" (")?;
    let address = u64::from_str_radix(address, 16).ok()?;
    Some(Sampled {
        address,
        symbol,
        object: match address >= KERNEL_BEGINS {
            true => KERNEL,
            false => object.strip_suffix(')')?,
        },
    })
}

fn add(stack: &[Sampled<'_>], tree: &mut CallTree) {
    let mut caller: Option<(usize, u64)> = None;
    for frame in stack.iter().rev() {
        let index = tree.child(caller.map(|(index, _)| index), &readable(frame.symbol));
        let node = &mut tree.frames[index];
        if node.object.is_empty() {
            frame.object.clone_into(&mut node.object);
        }
        if let Some((_, address)) = caller {
            // The address is where the call returns to, which may belong to the next line of code.
            let calls = node.called.entry(address.saturating_sub(1)).or_default();
            calls.count += 1;
            calls.cost += 1;
        }
        caller = Some((index, frame.address));
    }
    if let Some((leaf, address)) = caller {
        *tree.frames[leaf].own.entry(address).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_stacks() {
        let text = "\tffffffff82070d75 tcp_recvmsg ([kernel.kallsyms])\n\
                    \t          10a974 __libc_recv (/usr/lib/libc.so.6)\n\
                    \t          13435b <a::B<T> as c::D>::e ()>::f (/target/server-alder)\n\n\
                    \t          13435b <a::B<T> as c::D>::e ()>::f (/target/server-alder)\n\n\
                    \t          7f00 [unknown] ([unknown])\n";
        let mut tree = CallTree::default();
        read(text, &mut tree, |_, address| address).unwrap();
        assert_eq!(
            tree.folded(),
            [
                "<a::B<T> as c::D>::e ()>::f 1",
                "<a::B<T> as c::D>::e ()>::f;__libc_recv;tcp_recvmsg 1",
                "[unknown] 1"
            ]
        );
        let recv = &tree.frames[1];
        assert_eq!(
            (recv.symbol.as_str(), recv.called[&0x13_435a].count),
            ("__libc_recv", 1)
        );
        assert_eq!(tree.frames[2].object, KERNEL);
        assert!(read("what is this\n", &mut tree, |_, address| address).is_err());
    }
}
