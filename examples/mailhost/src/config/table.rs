//! Tables and values of the file, each with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// A table of the file.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    table: &'a DeTable<'a>,
    source: Source<'a>,
}

/// A key of a table and its value, or an item of an array under that key.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a DeValue<'a>,
    at: usize,
    source: Source<'a>,
}

#[derive(Clone, Copy)]
struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

pub(super) fn parse<'a>(text: &'a str, file: &Path) -> Result<Spanned<DeTable<'a>>, ConfigError> {
    DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let what = error.message().replace('\n', " ");
        let twice = error.span().and_then(|span| text.get(span)).filter(|_| what == "duplicate key");
        let message = match twice {
            Some(key) => format!("{key} is there already; put what belongs to it in one place"),
            None => format!("not valid TOML: {what}"),
        };
        ConfigError { file: file.to_owned(), line, message }
    })
}

impl<'a> Table<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, text: &'a str, file: &'a Path) -> Self {
        Self { table, source: Source { text, file } }
    }

    /// Every key with its value. The line is that of the key.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        self.table.iter().map(move |(key, value)| Entry {
            key: key.get_ref(),
            value: value.get_ref(),
            at: key.span().start,
            source: self.source,
        })
    }

    pub(super) fn get(self, key: &str) -> Option<Entry<'a>> {
        self.entries().find(|entry| entry.key == key)
    }

    pub(super) fn required(self, key: &str, example: &str) -> Result<Entry<'a>, ConfigError> {
        self.get(key).ok_or_else(|| ConfigError {
            file: self.source.file.to_owned(),
            line: None,
            message: format!("{key} is missing; add {key} = {example} at the top of the file"),
        })
    }

    pub(super) fn section(self, name: &str) -> Result<Option<Self>, ConfigError> {
        let Some(entry) = self.get(name) else {
            return Ok(None);
        };
        match entry.value {
            DeValue::Table(table) => Ok(Some(Self { table, source: self.source })),
            _ => Err(entry.error(format!("{name} must be a section; write [{name}] on a line of its own"))),
        }
    }
}

impl<'a> Entry<'a> {
    pub(super) fn item(self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { value: value.get_ref(), at: value.span().start, ..self }
    }

    pub(super) fn line(self) -> usize {
        line_of(self.source.text, self.at)
    }

    pub(super) fn file(self) -> &'a Path {
        self.source.file
    }

    pub(super) fn error(self, message: impl Into<String>) -> ConfigError {
        ConfigError { file: self.source.file.to_owned(), line: Some(self.line()), message: message.into() }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|octet| **octet == b'\n').count() + 1
}
