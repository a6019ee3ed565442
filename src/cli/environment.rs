//! Where settings come from: the environment of the process over systemd's credentials over a
//! `.env` file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::variables::{EnvironmentError, Variables, names};
use super::{dot_env, secret_files};
use crate::config::Config;

/// The file of settings, in the working directory.
const DOT_ENV: &str = ".env";

/// Set by systemd for a service with credentials: the directory that they are in
/// (systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The settings of the environment and of `.env`.
///
/// # Errors
/// [`EnvironmentError`]: a source cannot be read, or has a value that is not allowed.
pub fn read_config() -> Result<Config, EnvironmentError> {
    let variables = variables(Path::new(DOT_ENV))?;
    Ok(Config::from_variables(|name| variables.get(name).cloned())?)
}

/// What is set of the variables that the settings are read from: those of the environment, over
/// systemd's credentials, over those of `file`, which need not exist. A variable that
/// is set to nothing does not hide that of the file. Secrets that are in files were read from them.
///
/// # Errors
/// [`EnvironmentError`]. Lines of the file for variables that are none of ours must be well formed
/// too, but may say what they like.
fn variables(file: &Path) -> Result<Variables, EnvironmentError> {
    let of_file = dot_env::read(file, |name| std::env::var_os(name).is_some())?;
    let of_environment = environment(|name| std::env::var_os(name))?;
    let credentials = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
    secret_files::merge(of_file, of_environment, credentials.as_deref())
}

/// Those of our variables that the environment sets to something; `lookup` gives the value of one.
fn environment(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Variables, EnvironmentError> {
    let mut variables = Variables::new();
    for name in names() {
        let Some(value) = lookup(&name) else { continue };
        let Ok(value) = value.into_string() else {
            return Err(EnvironmentError::NotText { name });
        };
        if !value.trim().is_empty() {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use super::*;
    use crate::cli::test_directory::Directory;

    #[test]
    fn the_environment_wins_unless_it_says_nothing() {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let file = [("PORT", "80"), ("DB_NAME", "file"), ("LOG_FORMAT", "json")].map(owned);
        let pairs = HashMap::from([
            ("PORT", "81"),
            ("DB_NAME", ""),
            ("LOG_FORMAT", "  "),
            ("STATE_DIRECTORY", "/s"),
            ("HOME", "/h"),
        ]);
        let environment = environment(|name| pairs.get(name).map(OsString::from)).expect("text");
        let variables =
            secret_files::merge(HashMap::from(file), environment, None).expect("no files");
        let expected = [
            ("PORT", "81"),
            ("DB_NAME", "file"),
            ("LOG_FORMAT", "json"),
            ("STATE_DIRECTORY", "/s"),
        ];
        assert_eq!(variables, HashMap::from(expected.map(owned)));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused_but_only_if_it_is_ours() {
        use std::os::unix::ffi::OsStringExt;
        let odd = |odd: &'static str| {
            move |name: &str| (name == odd).then(|| OsString::from_vec(vec![0xFF]))
        };
        for name in ["DATA_DIR", "JWT_SECRET_FILE"] {
            let error = environment(odd(name)).expect_err("no text");
            assert_eq!(error.to_string(), format!("{name}: must be UTF-8"));
        }
        environment(odd("LS_COLORS")).expect("none of ours");
    }

    #[test]
    fn the_file_need_not_exist_but_must_be_readable() {
        let directory = Directory::new("environment");
        let file = directory.path().join(".env");
        assert!(!variables(&file).expect("no file").contains_key("JWT_TTL_SECONDS"));

        fs::write(&file, "\u{feff}JWT_TTL_SECONDS=61 ").expect("written");
        assert_eq!(variables(&file).expect("a good file")["JWT_TTL_SECONDS"], "61");

        let too_long = vec![b'#'; 1 + usize::try_from(dot_env::DOT_ENV_BYTES_MAX).expect("small")];
        for (bytes, problem) in [
            (&b"JWT_TTL_SECONDS=\xFF"[..], "it is not UTF-8"),
            (&too_long, "it has more than 1 MiB"),
        ] {
            fs::write(&file, bytes).expect("written");
            let error = variables(&file).expect_err("a bad file").to_string();
            assert_eq!(error, format!("{} cannot be read: {problem}", file.display()));
        }
        let error = variables(directory.path()).expect_err("a directory is no file").to_string();
        assert!(error.contains(" cannot be read: "), "{error}");
    }
}
