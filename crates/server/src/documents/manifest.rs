//! The operator's files of trusted documents: an object of documents by identifier (`persisted-documents.json` of
//! graphql-codegen, Relay's too), or Apollo's manifest.

use crate::limits::{
    DOCUMENT_ID_BYTES_MAX, PERSISTED_DOCUMENT_BYTES_MAX, TRUSTED_DOCUMENTS_MAX, TRUSTED_FILE_BYTES_MAX,
};
use anyhow::{Context, bail, ensure};
use hookgraph_schema::document::syntax_problem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The value of `format` in Apollo's manifests.
const APOLLO_FORMAT: &str = "apollo-persisted-query-manifest";

/// Documents by identifier.
pub(super) type Manifest = BTreeMap<String, String>;

/// Reads the file, or all `*.json` of the directory.
///
/// # Errors
/// What cannot be read, is of another form, or beyond a limit.
pub(super) fn read(path: &Path) -> anyhow::Result<Manifest> {
    let mut manifest = Manifest::new();
    for file in files(path).with_context(|| format!("trusted_documents: cannot read {}", path.display()))? {
        read_file(&file, &mut manifest).with_context(|| format!("trusted_documents: {}", file.display()))?;
    }
    Ok(manifest)
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    let files = entries.into_iter().map(|entry| entry.path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    Ok(files)
}

fn read_file(file: &Path, manifest: &mut Manifest) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(file)?.len();
    ensure!(bytes <= TRUSTED_FILE_BYTES_MAX, "{bytes} bytes, {TRUSTED_FILE_BYTES_MAX} are allowed");
    let content: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    for (id, text) in documents(&content)? {
        check(id, text).with_context(|| format!("document {id:?}"))?;
        if manifest.insert(id.to_owned(), text.to_owned()).is_some_and(|before| before != text) {
            bail!("{id:?} names two documents");
        }
        ensure!(manifest.len() <= TRUSTED_DOCUMENTS_MAX, "more than {TRUSTED_DOCUMENTS_MAX} documents");
    }
    Ok(())
}

/// The identifiers and texts of a file.
fn documents(content: &Value) -> anyhow::Result<Vec<(&str, &str)>> {
    let object = content.as_object().context("it is not a JSON object of documents by identifier")?;
    if content["format"] == APOLLO_FORMAT {
        let operations = content["operations"].as_array().context("the manifest has no operations")?;
        let parts = operations.iter().map(|operation| {
            let (id, body) = (operation["id"].as_str(), operation["body"].as_str());
            id.zip(body).context("an operation has no id or no body")
        });
        return parts.collect();
    }
    object
        .iter()
        .map(|(id, text)| text.as_str().map(|text| (id.as_str(), text)).with_context(|| format!("{id:?} is no text")))
        .collect()
}

fn check(id: &str, text: &str) -> anyhow::Result<()> {
    ensure!((1..=DOCUMENT_ID_BYTES_MAX).contains(&id.len()), "an identifier has 1 to {DOCUMENT_ID_BYTES_MAX} bytes");
    ensure!(text.len() <= PERSISTED_DOCUMENT_BYTES_MAX, "it is longer than {PERSISTED_DOCUMENT_BYTES_MAX} bytes");
    if let Some(hash) = id.strip_prefix(super::SHA256_PREFIX) {
        ensure!(super::sha256_of_hex(hash) == Some(super::sha256(text)), "its identifier is not its SHA-256");
    }
    // A mistake of the build is found at the start, not by the first client.
    match syntax_problem(text) {
        None => Ok(()),
        Some(problem) => bail!("it is not GraphQL: {}", problem.message),
    }
}
