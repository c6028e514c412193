//! The paths of files in memory in the arguments of the command.

#![forbid(unsafe_code)]

use std::ffi::CString;

/// The command, in whose arguments each `{VAR}` is replaced by the path that belongs to VAR, if one does; and how many
/// were. The name of the command and all other braces stay as they are, and a path is not read again.
pub fn with_paths(command: &[CString], paths: &[(&str, String)]) -> (Vec<CString>, usize) {
    let mut count = 0;
    let mut arguments: Vec<_> = command.to_vec();
    for argument in arguments.iter_mut().skip(1) {
        let (replaced, found) = with_paths_in(argument.as_bytes(), paths);
        // Neither an argument nor a path has a NUL byte.
        if let (1.., Ok(replaced)) = (found, CString::new(replaced)) {
            *argument = replaced;
            count += found;
        }
    }
    (arguments, count)
}

fn with_paths_in(mut rest: &[u8], paths: &[(&str, String)]) -> (Vec<u8>, usize) {
    let (mut replaced, mut count) = (Vec::with_capacity(rest.len()), 0);
    while let Some((first, behind)) = rest.split_first() {
        let found = paths.iter().find_map(|(name, path)| {
            let behind = behind.strip_prefix(name.as_bytes())?.strip_prefix(b"}")?;
            Some((path, behind))
        });
        match found.filter(|_| *first == b'{') {
            Some((path, behind)) => {
                replaced.extend_from_slice(path.as_bytes());
                count += 1;
                rest = behind;
            }
            None => {
                replaced.push(*first);
                rest = behind;
            }
        }
    }
    (replaced, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_in_braces_are_replaced() {
        let paths = [("A", "/dev/fd/3".to_owned()), ("AB", "{A}".to_owned())];
        let command = [
            "{A}",
            "{A}",
            "x{A}{AB}y",
            "{{A}}",
            "{B}",
            "{A",
            "A}",
            "{ A }",
            "",
        ];
        let command = command.map(|word| CString::new(word).unwrap());
        let (words, count) = with_paths(&command, &paths);
        let expected = [
            "{A}",
            "/dev/fd/3",
            "x/dev/fd/3{A}y",
            "{/dev/fd/3}",
            "{B}",
            "{A",
            "A}",
            "{ A }",
            "",
        ];
        assert_eq!(words, expected.map(|word| CString::new(word).unwrap()));
        assert_eq!(count, 4);
    }
}
