//! The commands of the binary, as processes of their own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary with those arguments in that folder, with nothing configured.
fn hookgraph(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgraph"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn commands_on_no_database_say_so_and_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 5] = [
        &["token", "list"],
        &["token", "create", "--tenant", "acme"],
        &["keys", "list"],
        &["keys", "rotate"],
        &["keys", "prune"],
    ];
    for arguments in commands {
        let output = hookgraph(folder.path(), arguments).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert!(!output.status.success() && stdout.is_empty(), "{arguments:?}: {stdout}");
        let told = "hookgraph: there is no database at sqlite://data/hookgraph.db: `hookgraph serve` makes it\n";
        assert_eq!(stderr, told, "{arguments:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    }
    assert!(hookgraph(folder.path(), &["migrate"]).output().unwrap().status.success());
    for arguments in [["token", "list"], ["keys", "list"]] {
        let output = hookgraph(folder.path(), &arguments).output().unwrap();
        assert!(output.status.success() && output.stdout.ends_with(b"\n"), "{arguments:?}: {:?}", said(&output));
    }
}

#[test]
fn a_reader_that_has_enough_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 6] =
        [&["schema"], &["schema", "--payload"], &["events"], &["events", "--json"], &["config"], &["migrate"]];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = hookgraph(folder.path(), arguments).stdout(writer).output().unwrap();
        let (_, stderr) = said(&output);
        assert!(output.status.success() && stderr.is_empty(), "{arguments:?}: {}, {stderr}", output.status);
    }
}

#[test]
fn a_level_that_there_is_not_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for level in ["verbose", "inof"] {
        let output = hookgraph(folder.path(), &["serve", "--set", &format!("log={level}")]).output().unwrap();
        let (_, stderr) = said(&output);
        assert!(!output.status.success(), "{level}");
        assert!(
            stderr.starts_with("hookgraph: flag --set: log wants off, error, warn, info, debug or trace"),
            "{stderr}"
        );
        assert!(stderr.ends_with(&format!(", not \"{level}\"\n")), "{stderr}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
