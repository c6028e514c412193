//! The ends of lines in what a program has written to a terminal.

#![forbid(unsafe_code)]

/// Whether a line feed in a text behind another byte has no carriage return in front.
pub fn has_bare_feed(before: u8, text: &[u8]) -> bool {
    let befores = [before].into_iter().chain(text.iter().copied());
    let mut pairs = befores.zip(text);
    pairs.any(|(before, byte)| *byte == b'\n' && before != b'\r')
}

/// Removes one carriage return in front of each line feed.
pub fn remove_returns(text: &mut Vec<u8>) {
    let mut kept = 0;
    for at in 0..text.len() {
        if !text[at..].starts_with(b"\r\n") {
            text[kept] = text[at];
            kept += 1;
        }
    }
    text.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::{has_bare_feed, remove_returns};

    #[test]
    fn one_return_of_each_line_end_is_removed() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"", b""),
            (b"a\r\nb\r\n", b"a\nb\n"),
            (b"a\r\r\n\r", b"a\r\n\r"),
            (b"\r\n", b"\n"),
            (b"a\n\rb", b"a\n\rb"),
        ];
        for (text, expected) in cases {
            let mut text = text.to_vec();
            remove_returns(&mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_line_feed_without_a_return_is_found_behind_any_byte() {
        assert!(!has_bare_feed(0, b"a\rb"));
        assert!(!has_bare_feed(b'\r', b"\na\r\n"));
        assert!(has_bare_feed(0, b"\na\r\n"));
        assert!(has_bare_feed(0, b"a\r\nb\n"));
    }
}
