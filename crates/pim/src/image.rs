//! Images of variants: the files are kept elsewhere, and named here by key.

use crate::common::{KeyValuePair, KeyValuePairInput, converted, property};
use async_graphql::{InputObject, Object};
use serde::{Deserialize, Serialize};

/// An image as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageBody {
    pub key: String,
    pub alt_text: Option<String>,
    pub meta: Option<Vec<KeyValuePair>>,
    pub mime_type: Option<String>,
}

/// An image.
pub struct Image(pub(crate) ImageBody);

/// An image.
#[Object]
impl Image {
    /// What it shows, for those who do not see it.
    async fn alt_text(&self) -> Option<&str> {
        self.0.alt_text.as_deref()
    }

    /// What names it where it is kept.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.0.meta.as_deref()
    }

    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.0.meta.as_deref(), &key)
    }

    /// Its media type.
    async fn mime_type(&self) -> Option<&str> {
        self.0.mime_type.as_deref()
    }

    /// Where it can be fetched: its key, where that is an address.
    async fn url(&self) -> Option<&str> {
        let key = self.0.key.as_str();
        (key.starts_with("https://") || key.starts_with("http://")).then_some(key)
    }
}

/// An image.
#[derive(Clone, Debug, InputObject)]
pub struct ImageInput {
    /// What it shows, for those who do not see it.
    pub alt_text: Option<String>,
    /// What names it where it is kept.
    pub key: String,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Its media type.
    pub mime_type: Option<String>,
}

impl From<ImageInput> for ImageBody {
    fn from(input: ImageInput) -> Self {
        Self { key: input.key, alt_text: input.alt_text, meta: converted(input.meta), mime_type: input.mime_type }
    }
}
