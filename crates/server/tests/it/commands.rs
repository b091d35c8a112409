//! The commands of the binary, run as processes of their own.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long a line or an answer is waited for that must come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The binary with those arguments in that folder, with nothing configured.
fn hookgraph(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgraph"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// A server as a process, until this value is dropped.
struct Serving {
    process: Child,
    log: Receiver<String>,
}

impl Serving {
    fn begun(command: &mut Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        Self { process, log }
    }

    /// The next line of the server's log that has those words.
    fn logged(&self, words: &str) -> String {
        loop {
            let line = self.log.recv_timeout(WAIT_MAX).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// The address on this machine that the next line with those words names.
    fn logged_address(&self, words: &str) -> SocketAddr {
        let line = self.logged(words);
        let (_, port) = line.split_once("127.0.0.1:").unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>().unwrap()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection whose reads end after [`WAIT_MAX`].
fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream
}

/// The answer at that address and path; nothing where the connection is closed at once.
fn asked(address: SocketAddr, path: &str) -> String {
    let mut stream = connected(address);
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn commands_on_no_database_say_so_and_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 6] = [
        &["token", "list"],
        &["token", "create", "--tenant", "acme"],
        &["keys", "list"],
        &["keys", "rotate"],
        &["keys", "rotate", "--add-only"],
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
fn a_server_that_cannot_start_makes_no_database_and_no_secrets_that_nobody_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, told) in [
        (["--listen", address.as_str(), "--set", "log_format=json"], format!("listen: cannot listen on {address}")),
        (["--listen", "127.0.0.1:0", "--set", "trusted_documents=missing.json"], "missing.json".to_owned()),
    ] {
        let output = hookgraph(folder.path(), &[&["serve"], &arguments[..]].concat()).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(&told), "{stderr}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{told}");
    }
}

/// The keys as `keys list` shows them, the one that seals last, and how many secrets each has sealed.
fn keys_listed(folder: &Path) -> Vec<(String, u64)> {
    let output = hookgraph(folder, &["keys", "list"]).output().unwrap();
    let (stdout, stderr) = said(&output);
    assert!(output.status.success(), "{stderr}");
    let cells = |row: &str| -> Option<(String, u64)> {
        let mut cells = row.split_whitespace();
        Some((cells.next()?.to_owned(), cells.next()?.parse().ok()?))
    };
    stdout.lines().skip(1).map(|row| cells(row).unwrap_or_else(|| panic!("{stdout}"))).collect()
}

#[test]
fn a_key_that_is_only_added_seals_no_secret_anew_until_the_rotation_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut command = hookgraph(folder, &["serve", "--listen", "127.0.0.1:0", "--set", "log_format=json"]);
    // The first tenant of the database has secrets.
    let serving = Serving::begun(command.stdout(Stdio::null()));
    serving.logged("\"listening\"");
    drop(serving);
    let told = |arguments: &[&str]| {
        let output = hookgraph(folder, arguments).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        stdout
    };
    let key_count = || std::fs::metadata(folder.join("data/hookgraph.key")).unwrap().len() / 32;
    let before = keys_listed(folder);
    let [(old, count)] = before.as_slice() else { panic!("{before:?}") };
    assert!(*count > 0 && key_count() == 1, "{before:?}");

    let output = hookgraph(folder, &["keys", "rotate", "--add-only", "--resume"]).output().unwrap();
    let (_, stderr) = said(&output);
    assert_eq!((output.status.code(), key_count()), (Some(2), 1));
    for words in ["cannot be used with", "--add-only", "--resume"] {
        assert!(stderr.contains(words), "{stderr}");
    }

    let next = told(&["keys", "rotate", "--add-only"]);
    let added = keys_listed(folder);
    let [kept, (new, 0)] = added.as_slice() else { panic!("{added:?}") };
    assert_eq!((kept, key_count()), (&before[0], 2));
    assert!(next.starts_with(&format!("key {new} is added")), "{next}");
    assert!(next.contains("run `hookgraph keys rotate --resume`"), "{next}");

    let resumed = told(&["keys", "rotate", "--resume"]);
    assert!(resumed.starts_with(&format!("{count} secrets are sealed anew")), "{resumed}");
    assert_eq!(keys_listed(folder), [(old.clone(), 0), (new.clone(), *count)]);
    assert_eq!(told(&["keys", "prune"]), format!("key {old} is gone from the key file\n"));
    assert_eq!((keys_listed(folder), key_count()), (vec![(new.clone(), *count)], 1));
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

#[test]
fn secrets_that_nobody_can_have_seen_are_told_of_in_the_log_of_a_server_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = hookgraph(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--set", "log_format=json"]);
    let serving = Serving::begun(command.stdout(writer));
    let address = serving.logged_address("\"listening\"");
    let line = serving.logged("secrets that were just made are lost");
    assert!(line.contains("`hookgraph token create`") && line.contains("`tenant { regenerateSecrets }`"), "{line}");
    assert!(line.contains("WARN"), "{line}");
    let answer = asked(address, "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn strangers_that_hold_every_descriptor_left_to_them_do_not_shut_out_probes() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("/bin/sh");
    // Half of the descriptors are for connections of clients.
    command.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hookgraph"), "serve"]);
    for key in ["listen=127.0.0.1:0", "metrics=127.0.0.1:0", "log_format=json"] {
        command.args(["--set", key]);
    }
    command.current_dir(folder.path()).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    let serving = Serving::begun(&mut command);
    let probed = serving.logged_address("\"metrics are served\"");
    let public = serving.logged_address("\"listening\"");

    let mut strangers: Vec<_> = (0..160).map(|_| connected(public)).collect();
    let last = strangers.last_mut().unwrap();
    let is_closed = match last.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    assert!(is_closed, "those before it have every place");

    let answer = asked(probed, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}
