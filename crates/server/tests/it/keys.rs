//! Two servers that are the first on a new database at the same moment, each with a key file of its own.

use hookgraph_server::config::{Config, Layers};
use hookgraph_server::start;
use hookgraph_testkit::postgres::with_postgres;
use std::path::Path;

fn config(url: &str, key_file: &Path) -> Config {
    let mut layers = Layers::defaults().unwrap();
    let key_file = key_file.display().to_string();
    for (key, value) in [("listen", "127.0.0.1:0"), ("database", url), ("key_file", &key_file)] {
        layers.lay_flag("--set", key, value).unwrap();
    }
    Config::from_layers(&layers)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_key_of_a_new_database_is_refused_however_close_the_starts_are() {
    with_postgres(|url| async move {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one.key", "other.key"].map(|name| config(&url, &folder.path().join(name)));
        let (one, other) = tokio::join!(start(one), start(other));
        let (served, refused): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(Result::is_ok);
        assert_eq!((served.len(), refused.len()), (1, 1), "one of them serves");
        for error in refused.into_iter().filter_map(Result::err) {
            assert!(format!("{error:#}").contains("key_file "), "{error:#}");
        }
        for server in served.into_iter().filter_map(Result::ok) {
            server.shutdown().await;
        }
    })
    .await;
}
