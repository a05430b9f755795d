//! What the files of a journal are called.

/// The names of a journal's files in their folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    file: String,
}

impl Names {
    /// The names around a file name.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into() }
    }

    /// The file that lines are appended to.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    fn parts(&self) -> (&str, &str) {
        match self.file.rfind('.') {
            Some(dot) if dot > 0 => self.file.split_at(dot),
            _ => (&self.file, ""),
        }
    }

    /// The closed segment of a number: `NAME.<n>.jsonl`. They count up from 1, the oldest.
    #[must_use]
    pub fn segment(&self, number: u64) -> String {
        let (stem, extension) = self.parts();
        format!("{stem}.{number}{extension}")
    }

    /// The number of a closed segment, if the name is one of ours.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let (stem, extension) = self.parts();
        let digits = name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(extension)?;
        let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    }

    /// The next segment, before it gets its name.
    #[must_use]
    pub(crate) fn next(&self) -> String {
        format!("{}.next", self.file)
    }

    /// Where torn tails are kept.
    #[must_use]
    pub(crate) fn torn(&self) -> String {
        format!("{}.torn", self.file)
    }

    /// The leaf hashes of a file: 32 bytes a line.
    #[must_use]
    pub fn tree(file: &str) -> String {
        format!("{file}.tree")
    }

    /// The checkpoint of a file.
    #[must_use]
    pub fn checkpoint(file: &str) -> String {
        format!("{file}.checkpoint")
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn segments_are_numbered_before_the_extension() {
        let names = Names::new("chain.jsonl");
        assert_eq!(names.segment(12), "chain.12.jsonl");
        assert_eq!(names.number("chain.12.jsonl"), Some(12));
        for other in
            ["chain.jsonl", "chain..jsonl", "chain.012.jsonl", "chain.+1.jsonl", "chain.1.jsonl.tree", "a.1.jsonl"]
        {
            assert_eq!(names.number(other), None, "{other}");
        }
        assert_eq!(Names::new("log").segment(1), "log.1");
        assert_eq!(Names::new("log").number("log.1"), Some(1));
        assert_eq!(Names::new(".log").segment(1), ".log.1");
    }
}
