//! Where settings come from: the environment of the process over systemd's credentials over a
//! `.env` file.
//!
//! Secrets may come in files: systemd's credentials (systemd.exec(5), `LoadCredential=`), and
//! `NAME_FILE=/path`, as users of containers have it for `/run/secrets`. Which settings are
//! secrets, their table says. A credential has the name of the setting, in capitals as it is. In
//! one source (the environment, or `.env`) a secret is set by `NAME` or by `NAME_FILE`, not by
//! both.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::dot_env;
use super::variables::{EnvironmentError, FILE_SUFFIX, Variables, names, read_text, secret_names};
use crate::config::Config;

/// Of a secret; a file that is longer is something else.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// How a source sets a secret.
enum Given {
    Value(String),
    In(PathBuf),
}

/// The settings of the environment and of `.env`.
///
/// # Errors
/// [`EnvironmentError`]: a source cannot be read, or has a value that is not allowed.
pub fn read_config() -> Result<Config, EnvironmentError> {
    let variables = variables(Path::new(".env"))?;
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
    // Set by systemd for a service with credentials.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    merge(of_file, of_environment, credentials.as_deref())
}

/// Those of our variables that the environment sets to something; `lookup` gives the value of one.
fn environment(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Variables, EnvironmentError> {
    let mut variables = Variables::new();
    for name in names() {
        let Some(value) = lookup(&name) else { continue };
        let Ok(value) = value.into_string() else {
            return Err(EnvironmentError(format!("{name}: must be UTF-8")));
        };
        if !value.trim().is_empty() {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

/// Moves all of `environment` over what is in `dot_env`, and puts secrets in the place of the
/// files that they are in. `credentials` is systemd's directory of them.
///
/// # Errors
/// [`EnvironmentError`] for a secret that a source sets twice, and for the file of one that counts
/// and cannot be read.
fn merge(
    mut dot_env: Variables,
    mut environment: Variables,
    credentials: Option<&Path>,
) -> Result<Variables, EnvironmentError> {
    let mut secrets = Variables::new();
    for name in secret_names() {
        let (last, first) = (given(&mut dot_env, name)?, given(&mut environment, name)?);
        let found = match first {
            Some(first) => Some(value(name, first)?),
            None => match credential(credentials, name)? {
                None => last.map(|last| value(name, last)).transpose()?,
                found => found,
            },
        };
        secrets.extend(found.map(|value| (name.to_owned(), value)));
    }
    dot_env.extend(environment);
    dot_env.extend(secrets);
    Ok(dot_env)
}

/// Takes what `source` says of the secret `name`.
fn given(source: &mut Variables, name: &str) -> Result<Option<Given>, EnvironmentError> {
    let mut take = |name: &str| source.remove(name).filter(|value| !value.trim().is_empty());
    match (take(name), take(&format!("{name}{FILE_SUFFIX}"))) {
        (Some(_), Some(_)) => Err(EnvironmentError(format!(
            "{name} and {name}{FILE_SUFFIX} are both set: one of them is enough"
        ))),
        (Some(value), None) => Ok(Some(Given::Value(value))),
        (None, file) => Ok(file.map(|file| Given::In(file.into()))),
    }
}

fn value(name: &str, given: Given) -> Result<String, EnvironmentError> {
    let file = match given {
        Given::Value(value) => return Ok(value),
        Given::In(file) => file,
    };
    let error = match secret(&file) {
        // A file that is named has a secret in it.
        Ok(text) if text.trim().is_empty() => io::Error::other("it is empty"),
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    Err(unreadable(&format!("{name}{FILE_SUFFIX}"), &file, &error))
}

/// The credential `name`; `None` if it was not passed, or is empty: a unit can ask for one that
/// need not be there by giving it nothing as its default (`SetCredential=NAME:`).
fn credential(directory: Option<&Path>, name: &str) -> Result<Option<String>, EnvironmentError> {
    let Some(directory) = directory else { return Ok(None) };
    let file = directory.join(name);
    match secret(&file) {
        Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(name, &file, &error)),
    }
}

fn unreadable(variable: &str, file: &Path, error: &io::Error) -> EnvironmentError {
    EnvironmentError(format!("{variable}: {} cannot be read: {error}", file.display()))
}

/// The file's text without the end of its last line, which every editor adds.
fn secret(file: &Path) -> io::Result<String> {
    let text = read_text(file, SECRET_BYTES_MAX, "64 KiB")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
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
        let variables = merge(HashMap::from(file), environment, None).expect("no files");
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

    fn pairs(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// `JWT_SECRET` of these sources, or the error.
    fn secret(
        dot_env: &[(&str, &str)],
        environment: &[(&str, &str)],
        credentials: Option<&Path>,
    ) -> Result<Option<String>, String> {
        merge(pairs(dot_env), pairs(environment), credentials)
            .map(|mut merged| merged.remove("JWT_SECRET"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_wins_over_a_credential_and_that_over_dot_env() {
        let directory = Directory::new("precedence");
        directory.write("JWT_SECRET", "credential\n");
        let (one, other) = (directory.write("one", "e-file"), directory.write("other", "d-file"));
        let credentials = Some(directory.path());
        let (in_one, in_other) = (("JWT_SECRET_FILE", &*one), ("JWT_SECRET_FILE", &*other));
        let (value, other_value) = (("JWT_SECRET", "value"), ("JWT_SECRET", "d-value"));
        let blank = [("JWT_SECRET", " "), ("JWT_SECRET_FILE", "")];
        for (dot_env, environment, credentials, expected) in [
            (&[][..], &[][..], None, None),
            (&[other_value], &[], None, Some("d-value")),
            (&[in_other], &[], None, Some("d-file")),
            (&[other_value], &[], credentials, Some("credential")),
            (&[in_other], &[], credentials, Some("credential")),
            (&[other_value], &[value], credentials, Some("value")),
            (&[in_other], &[in_one], credentials, Some("e-file")),
            (&[in_other], &[value], None, Some("value")),
            (&[], &blank, credentials, Some("credential")),
            (&[other_value], &blank, None, Some("d-value")),
        ] {
            let secret = secret(dot_env, environment, credentials);
            assert_eq!(secret, Ok(expected.map(str::to_owned)), "{dot_env:?} {environment:?}");
        }
    }

    #[test]
    fn what_is_no_secret_comes_through_and_files_of_secrets_do_not() {
        let directory = Directory::new("others");
        let file = directory.write("uri", "mongodb://a");
        directory.write("PORT", "1");
        let merged = merge(
            pairs(&[("PORT", "2"), ("DB_NAME", "d")]),
            pairs(&[("PORT", "3"), ("MONGODB_URI_FILE", &file)]),
            Some(directory.path()),
        )
        .expect("all can be read");
        let expected = [("PORT", "3"), ("DB_NAME", "d"), ("MONGODB_URI", "mongodb://a")];
        assert_eq!(merged, pairs(&expected));
    }

    #[test]
    fn the_end_of_the_last_line_is_no_part_of_a_secret() {
        let directory = Directory::new("ends");
        for (text, expected) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
            ("กข\n", "กข"),
        ] {
            let file = directory.write("file", text);
            let secret = secret(&[], &[("JWT_SECRET_FILE", &file)], None);
            assert_eq!(secret, Ok(Some(expected.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn a_secret_that_is_set_twice_or_cannot_be_read_is_one_line_without_it() {
        let directory = Directory::new("errors");
        let good = directory.write("good", "hunter2");
        let empty = directory.write("empty", " \n");
        let odd = directory.write("odd", b"hunter2\xFF");
        let long = directory.write("long", "hunter2 ".repeat(9 << 10));
        let absent = directory.path().join("absent").to_str().expect("it is text").to_owned();
        let file = |path| [("JWT_SECRET_FILE", path)];
        let twice = [("JWT_SECRET", "hunter2"), ("JWT_SECRET_FILE", &*good)];
        let both = "JWT_SECRET and JWT_SECRET_FILE are both set: one of them is enough";
        assert_eq!(secret(&twice, &[], None), Err(both.to_owned()));
        assert_eq!(secret(&[], &twice, None), Err(both.to_owned()));
        for (path, problem) in [
            (&*absent, "No such file or directory (os error 2)"),
            (&empty, "it is empty"),
            (&odd, "it is not UTF-8"),
            (&long, "it has more than 64 KiB"),
        ] {
            let expected = format!("JWT_SECRET_FILE: {path} cannot be read: {problem}");
            assert_eq!(secret(&[], &file(path), None), Err(expected.clone()));
            assert_eq!(secret(&file(path), &[], None), Err(expected));
            let overruled = secret(&file(path), &[("JWT_SECRET", "value")], None);
            assert_eq!(overruled, Ok(Some("value".to_owned())), "what does not count is not read");
        }
    }

    #[test]
    fn a_credential_may_be_absent_or_empty_but_must_be_readable() {
        let directory = Directory::new("credentials");
        let credential = || secret(&[("JWT_SECRET", "d")], &[], Some(directory.path()));
        assert_eq!(credential(), Ok(Some("d".to_owned())), "absent");
        directory.write("JWT_SECRET", "\n");
        assert_eq!(credential(), Ok(Some("d".to_owned())), "empty");
        let path = directory.write("JWT_SECRET", b"\xFF");
        let expected = format!("JWT_SECRET: {path} cannot be read: it is not UTF-8");
        assert_eq!(credential(), Err(expected));
    }
}
