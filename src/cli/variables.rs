//! The variables that settings are read from, and why they cannot be read.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use crate::config::{SETTINGS, SettingError, variable_names};

/// What the name of a variable ends with that names the file of a secret.
pub(super) const FILE_SUFFIX: &str = "_FILE";

/// Variables and their values, from one source.
pub(super) type Variables = HashMap<String, String>;

/// Settings that cannot be read; the operator is to blame. One line without any value: a value
/// may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The `.env` file is there, but cannot be read.
    #[error("{} cannot be read: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of the `.env` file is no assignment.
    #[error(
        "{}, {place}: must be NAME=value; put a value with blanks, #, $ or \\ between single \
         quotes",
        .file.display()
    )]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Which line, and for which setting if that is clear.
        place: String,
    },
    /// A value in the `.env` file has a `$` that stands for nothing.
    #[error(
        "{}, {place}: a $ stands for no variable that is set (write ${{NAME}} for one); put the \
         value between single quotes to keep the $",
        .file.display()
    )]
    Unset {
        /// The file.
        file: PathBuf,
        /// Which line, for which setting.
        place: String,
    },
    /// The value of a variable of the environment is not UTF-8.
    #[error("{name}: must be UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// One source has the secret itself, and the name of a file with it.
    #[error("{name} and {name}_FILE are both set: one of them is enough")]
    SetTwice {
        /// The setting.
        name: String,
    },
    /// The file that a secret is in cannot be read, or has none in it.
    #[error("{variable}: {} cannot be read: {error}", .file.display())]
    SecretFile {
        /// The variable that names the file, or the name of the credential.
        variable: String,
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A value is not allowed.
    #[error(transparent)]
    Setting(#[from] SettingError),
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
