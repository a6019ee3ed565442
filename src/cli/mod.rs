//! The command line: what was asked for, what there is to ask for, and where settings come from.
//!
//! Reads the environment, the `.env` file and the files that secrets are in, and nothing else;
//! prints nothing.

mod arguments;
mod dot_env;
mod environment;
mod help;
#[cfg(test)]
mod test_directory;
mod variables;

pub use arguments::{Command, Examination, UsageError, UserCommand, Watch, parse};
pub use environment::read_config;
pub use help::render_help;
pub use variables::EnvironmentError;
