//! What `sample.callgrind` is a profile of. To write it again:
//!
//! ```sh
//! rustc -O -C codegen-units=1 sample.rs
//! valgrind --tool=callgrind --separate-callers=100 --dump-instr=yes --demangle=no \
//!     '--toggle-collect=*sample*branch*' --callgrind-out-file=sample.callgrind ./sample
//! ```

use std::hint::black_box;

#[inline(never)]
fn twig(n: usize) -> Vec<u8> {
    Vec::with_capacity(black_box(n))
}

#[inline(never)]
fn left() -> usize {
    (1..=3).map(|n| twig(n).capacity()).sum()
}

#[inline(never)]
fn right() -> usize {
    (1..=4).map(|n| twig(n).capacity()).sum()
}

#[inline(never)]
fn branch() -> usize {
    left() + right()
}

fn main() {
    let _ = black_box(branch());
}
