//! Where the bytes of a program's file are in memory, relative to where it is loaded.

use std::collections::HashMap;
use std::path::Path;

use object::{Object as _, ObjectSegment as _};

/// The segments of the programs and libraries that perf has seen.
#[derive(Default)]
pub(super) struct Segments(HashMap<String, Vec<Segment>>);

struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

impl Segments {
    /// The address that a program's debug information has for a place in its file. perf names places by their
    /// offset in the file, and linkers shift code by a page or more from there.
    pub(super) fn address(&mut self, object: &str, offset: u64) -> u64 {
        let of_object = self
            .0
            .entry(object.to_owned())
            .or_insert_with(|| segments(Path::new(object)).unwrap_or_default());
        let within =
            |segment: &&Segment| (segment.offset..segment.offset + segment.size).contains(&offset);
        let segment = of_object.iter().find(within);
        segment.map_or(offset, |segment| segment.address + offset - segment.offset)
    }
}

/// Nothing for what is no file, such as the kernel.
fn segments(path: &Path) -> Option<Vec<Segment>> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let segment = |segment: object::Segment<'_, '_>| {
        let (offset, size) = segment.file_range();
        Segment {
            offset,
            size,
            address: segment.address(),
        }
    };
    Some(file.segments().map(segment).collect())
}

#[cfg(test)]
mod tests {
    use object::ObjectSection as _;

    use super::*;

    #[test]
    fn a_place_in_the_file_has_the_address_that_its_section_says() {
        let own = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&own).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let (offset, _) = text.file_range().unwrap();
        let own = own.to_str().unwrap();
        let mut segments = Segments::default();
        assert_eq!(segments.address(own, offset + 5), text.address() + 5);
        // No file, no segments.
        assert_eq!(segments.address("[kernel]", 7), 7);
    }
}
