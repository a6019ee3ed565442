//! Secrets that come in files: systemd's credentials (systemd.exec(5), `LoadCredential=`), and
//! `NAME_FILE=/path`, as users of containers have it for `/run/secrets`.
//!
//! Which settings are secrets, their table says. A credential has the name of the setting, in
//! capitals as it is. In one source (the environment, or `.env`) a secret is set by `NAME` or by
//! `NAME_FILE`, not by both. Between sources the environment wins over a credential, and that
//! over `.env`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::variables::{EnvironmentError, FILE_SUFFIX, Variables, secret_names};

/// Of a secret; a file that is longer is something else.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// How a source sets a secret.
enum Given {
    Value(String),
    In(PathBuf),
}

/// Moves all of `environment` over what is in `dot_env`, and puts secrets in the place of the
/// files that they are in. `credentials` is systemd's directory of them.
///
/// # Errors
/// [`EnvironmentError`] for a secret that a source sets twice, and for the file of one that counts
/// and cannot be read.
pub(super) fn merge(
    mut dot_env: Variables,
    mut environment: Variables,
    credentials: Option<&Path>,
) -> Result<Variables, EnvironmentError> {
    let mut secrets = Variables::new();
    for name in secret_names() {
        let (last, first) = (given(&mut dot_env, name)?, given(&mut environment, name)?);
        let value = match first {
            Some(first) => Some(value(name, first)?),
            None => match credentials.map(|directory| credential(directory, name)).transpose()? {
                Some(Some(credential)) => Some(credential),
                Some(None) | None => last.map(|last| value(name, last)).transpose()?,
            },
        };
        secrets.extend(value.map(|value| (name.to_owned(), value)));
    }
    dot_env.extend(environment);
    dot_env.extend(secrets);
    Ok(dot_env)
}

/// Takes what `source` says of the secret `name`.
fn given(source: &mut Variables, name: &str) -> Result<Option<Given>, EnvironmentError> {
    let mut take = |name: &str| source.remove(name).filter(|value| !value.trim().is_empty());
    match (take(name), take(&format!("{name}{FILE_SUFFIX}"))) {
        (Some(_), Some(_)) => Err(EnvironmentError::SetTwice { name: name.to_owned() }),
        (Some(value), None) => Ok(Some(Given::Value(value))),
        (None, Some(file)) => Ok(Some(Given::In(file.into()))),
        (None, None) => Ok(None),
    }
}

fn value(name: &str, given: Given) -> Result<String, EnvironmentError> {
    let file = match given {
        Given::Value(value) => return Ok(value),
        Given::In(file) => file,
    };
    let variable = format!("{name}{FILE_SUFFIX}");
    match contents(&file) {
        // A file that is named has a secret in it.
        Ok(text) if text.trim().is_empty() => {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it is empty");
            Err(EnvironmentError::SecretFile { variable, file, error })
        }
        Ok(text) => Ok(text),
        Err(error) => Err(EnvironmentError::SecretFile { variable, file, error }),
    }
}

/// The credential `name`; `None` if it was not passed, or is empty: a unit can ask for one that
/// need not be there by giving it nothing as its default (`SetCredential=NAME:`).
fn credential(directory: &Path, name: &str) -> Result<Option<String>, EnvironmentError> {
    let file = directory.join(name);
    match contents(&file) {
        Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EnvironmentError::SecretFile { variable: name.to_owned(), file, error }),
    }
}

/// The file's text without the end of its last line, which every editor adds.
fn contents(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_directory::Directory;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// `JWT_SECRET` of these sources, or the error.
    fn secret(
        dot_env: &[(&str, &str)],
        environment: &[(&str, &str)],
        credentials: Option<&Path>,
    ) -> Result<Option<String>, String> {
        merge(variables(dot_env), variables(environment), credentials)
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
            variables(&[("PORT", "2"), ("DB_NAME", "d")]),
            variables(&[("PORT", "3"), ("MONGODB_URI_FILE", &file)]),
            Some(directory.path()),
        )
        .expect("all can be read");
        let expected = [("PORT", "3"), ("DB_NAME", "d"), ("MONGODB_URI", "mongodb://a")];
        assert_eq!(merged, variables(&expected));
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
