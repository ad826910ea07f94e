//! The examples of RFC 7541, Appendix C, and blocks that are not valid.

use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair));
    pairs
        .map(|pair| u8::from_str_radix(pair.expect("text"), 16).expect("two digits"))
        .collect()
}

impl PathReader {
    fn paths(&mut self, block: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut paths = Vec::new();
        self.read(block, |path| {
            paths.push(String::from_utf8_lossy(path).into_owned());
        })?;
        Ok(paths)
    }

    /// The sizes of the table's entries, from the newest.
    fn sizes(&self) -> Vec<usize> {
        let sizes: Vec<usize> = self.entries.iter().map(|entry| entry.size).collect();
        assert_eq!(self.size, sizes.iter().sum::<usize>());
        sizes
    }
}

/// Reads blocks of one connection, and compares the paths and the table after each.
#[track_caller]
fn check(reader: &mut PathReader, blocks: &[(&str, &[&str], &[usize])]) {
    for (block, paths, sizes) in blocks {
        let found = reader.paths(&bytes(block)).expect("a block");
        assert_eq!(found, *paths, "{block}");
        assert_eq!(reader.sizes(), *sizes, "{block}");
    }
}

#[test]
fn integers_are_read() {
    // C.1, and the largest.
    for (prefix, hex, value) in [
        (5, "0a", 10),
        (5, "1f 9a 0a", 1337),
        (8, "2a", 42),
        (7, "7f 80 01", 255),
        (5, "1f ff ff ff 7f", 31 + (1 << 28) - 1),
    ] {
        let block = bytes(hex);
        // A prefix of 8 bits is not used in blocks; the first byte of 7 bits is read alike.
        let mut rest = &block[..];
        assert_eq!(integer(&mut rest, prefix.min(7)), Ok(value), "{hex}");
        assert!(rest.is_empty());
    }
    for hex in ["", "1f", "1f 80", "1f 80 80 80 80", "1f 80 80 80 80 00"] {
        assert_eq!(integer(&mut &bytes(hex)[..], 5), Err(Malformed), "{hex}");
    }
}

#[test]
fn single_fields_are_read() {
    // C.2.1 to C.2.4, each on a connection of its own.
    for (block, paths, sizes) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &[][..],
            &[55][..],
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", &["/sample/path"], &[]),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", &[], &[]),
        ("82", &[], &[]),
    ] {
        check(&mut PathReader::new(), &[(block, paths, sizes)]);
    }
}

#[test]
fn requests_are_read() {
    // C.3.
    check(
        &mut PathReader::new(),
        &[
            (
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                &["/"],
                &[57],
            ),
            ("8286 84be 5808 6e6f 2d63 6163 6865", &["/"], &[53, 57]),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                &["/index.html"],
                &[54, 53, 57],
            ),
        ],
    );
}

#[test]
fn huffman_coded_requests_are_read() {
    // C.4.
    check(
        &mut PathReader::new(),
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", &["/"], &[57]),
            ("8286 84be 5886 a8eb 1064 9cbf", &["/"], &[53, 57]),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                &["/index.html"],
                &[54, 53, 57],
            ),
        ],
    );
}

/// A reader whose table has 256 bytes, as in C.5 and C.6.
fn small() -> PathReader {
    let mut reader = PathReader::new();
    check(&mut reader, &[("3fe1 01", &[], &[])]);
    reader
}

#[test]
fn old_entries_leave_the_table() {
    // C.5.
    check(
        &mut small(),
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a \
                 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                &[],
                &[63, 65, 52, 42],
            ),
            ("4803 3330 37c1 c0bf", &[], &[42, 63, 65, 52]),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 \
                 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 \
                 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                &[],
                &[98, 52, 65],
            ),
        ],
    );
}

#[test]
fn old_huffman_coded_entries_leave_the_table() {
    // C.6.
    check(
        &mut small(),
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
                 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                &[],
                &[63, 65, 52, 42],
            ),
            ("4883 640e ffc1 c0bf", &[], &[42, 63, 65, 52]),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 \
                 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed \
                 4ee5 b106 3d50 07",
                &[],
                &[98, 52, 65],
            ),
        ],
    );
}

#[test]
fn a_path_is_found_by_every_way_to_name_it() {
    check(
        &mut PathReader::new(),
        &[
            // The name in full, Huffman-coded and not, and by its entries in the static table.
            ("00 05 3a70617468 02 2f61", &["/a"], &[]),
            ("10 84 b958d33f 02 2f62", &["/b"], &[]),
            ("05 02 2f63", &["/c"], &[]),
            // With an entry, which the next blocks name, alone and with another value.
            ("44 02 2f64", &["/d"], &[39]),
            ("be", &["/d"], &[39]),
            ("7e 02 2f65", &["/e"], &[39, 39]),
            ("bf be", &["/d", "/e"], &[39, 39]),
            ("0f 30 02 2f66", &["/f"], &[39, 39]),
            // The table shrinks to the newest, and to nothing.
            ("3f 08 be", &["/e"], &[39]),
            ("20", &[], &[]),
            ("44 02 2f67", &["/g"], &[]),
        ],
    );
}

#[test]
fn a_larger_entry_than_the_table_empties_it() {
    let mut reader = PathReader::new();
    check(&mut reader, &[("3f 08 44 02 2f61", &["/a"], &[39])]);
    check(&mut reader, &[("44 03 2f6263", &["/bc"], &[])]);
}

#[test]
fn other_blocks_are_errors() {
    for block in [
        // Index 0, and beyond the table.
        "80",
        "be",
        "7e 00",
        "ff 80 80 80 80 01",
        // Sizes above the maximum, and after a field.
        "3f e2 1f",
        "82 20",
        // Fields that are cut off.
        "44",
        "44 02 2f",
        "00 01",
        "40 01 61",
        // A path that is not Huffman code.
        "04 81 00",
        "00 81 00 00",
    ] {
        let read = PathReader::new().paths(&bytes(block));
        assert_eq!(read, Err(Malformed), "{block}");
    }
}

proptest! {
    #[test]
    fn no_block_panics_or_overfills_the_table(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
    ) {
        let mut reader = PathReader::new();
        for block in blocks {
            let _ = reader.paths(&block);
            prop_assert!(reader.sizes().iter().sum::<usize>() <= reader.max_size);
        }
    }
}
