//! The variables that settings are read from, and why they cannot be read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::{SETTINGS, SettingError, variable_names};

/// What the name of a variable ends with that names the file of a secret.
pub(super) const FILE_SUFFIX: &str = "_FILE";

/// Variables and their values, from one source.
pub(super) type Variables = HashMap<String, String>;

/// Why settings cannot be read, for the operator. One line without any value: a value may be a
/// secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub(super) String);

impl From<SettingError> for EnvironmentError {
    fn from(error: SettingError) -> Self {
        Self(error.to_string())
    }
}

/// The text of `file`, which is something else if it is longer than `bytes_max`; the error tells
/// that as `max`.
pub(super) fn read_text(file: &Path, bytes_max: u64, max: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("it has more than {max}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The names of the settings that may come in files.
pub(super) fn secret_names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter(|setting| setting.is_secret).map(|setting| setting.name)
}

/// The names of all variables that are read for the settings.
pub(super) fn names() -> impl Iterator<Item = String> {
    let of_files = secret_names().map(|name| format!("{name}{FILE_SUFFIX}"));
    variable_names().map(str::to_owned).chain(of_files)
}
