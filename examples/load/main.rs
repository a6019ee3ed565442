//! Load for a server of rooms: many clients on one thread, and a count of what reached whom.
//!
//! `cargo run --release --example load -- --help`

mod tool;

use std::io::{self, Write};
use std::process::ExitCode;

use tool::{Command, Options};

/// Bad arguments, or a server that can't be used.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = match tool::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(problem) => return unusable(&problem),
    };
    let shown = match command {
        Command::Help => print(tool::HELP).map(|()| true),
        Command::Run(options) => match tool::run(&options, &mut io::stderr()) {
            Ok(report) => show(&report, &options).map(|()| report.passed),
            Err(problem) => return unusable(&problem),
        },
    };
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => unusable(&problem),
    }
}

fn unusable(problem: &dyn std::error::Error) -> ExitCode {
    eprintln!("load: {problem}");
    ExitCode::from(EXIT_USAGE)
}

fn show(report: &tool::Report, options: &Options) -> io::Result<()> {
    print(&if options.json { report.json() } else { report.text() })
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}
