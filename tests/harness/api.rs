//! The GraphQL API as a client sees it.

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// A client with a token.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    /// The server's URL, `http://127.0.0.1:PORT`.
    pub base_url: String,
    /// The bearer token.
    pub token: String,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The JSON of the answer.
    pub body: Value,
    /// The header `Retry-After` of the answer.
    pub retry_after: Option<String>,
}

impl Api {
    /// A client of the server at that address.
    pub fn new(base_url: String, token: String) -> Self {
        // Another test of this process may have installed the provider, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), base_url, token }
    }

    /// The whole body of an answer, with `data` and `errors`.
    pub async fn execute(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        Ok(self.respond(query, variables).await?.body)
    }

    /// The whole answer, with the time after which to ask again.
    pub async fn respond(&self, query: &str, variables: Value) -> anyhow::Result<Answered> {
        let request = self.http.post(format!("{}/graphql", self.base_url)).bearer_auth(&self.token);
        let response = request.json(&json!({ "query": query, "variables": variables })).send().await?;
        let status = response.status();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = header.map(ToOwned::to_owned);
        let text = response.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("HTTP {status} is no JSON: {text}"))?;
        Ok(Answered { body, retry_after })
    }

    /// The `data` of an answer without errors.
    pub async fn data(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let mut answer = self.execute(query, variables).await?;
        if answer.get("errors").is_some() {
            bail!("errors for {query}: {answer:#}");
        }
        Ok(answer["data"].take())
    }

    /// The first error of an answer, which must have one.
    pub async fn refusal(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let mut answer = self.execute(query, variables).await?;
        match answer["errors"].get_mut(0) {
            Some(error) => Ok(error.take()),
            None => bail!("no error for {query}: {answer:#}"),
        }
    }

    /// The tenant that the token opens.
    pub async fn tenant_id(&self) -> anyhow::Result<String> {
        let data = self.data("{ tenant { getMany { id } } }", json!({})).await?;
        let id = data["tenant"]["getMany"][0]["id"].as_str().context("a tenant")?;
        Ok(id.to_owned())
    }

    /// The cursor of the feed's current end.
    pub async fn feed_cursor(&self) -> anyhow::Result<String> {
        let data = self.data("{ delivery { feedCursor } }", json!({})).await?;
        Ok(data["delivery"]["feedCursor"].as_str().context("a cursor")?.to_owned())
    }

    /// Creates a webhook from an input that lacks only its tenant, and answers its id.
    pub async fn create_webhook(&self, mut input: Value) -> anyhow::Result<String> {
        input["tenantId"] = json!(self.tenant_id().await?);
        let create = "mutation($input: CreateWebhookInput!) { webhook { create(input: $input) { id } } }";
        let data = self.data(create, json!({ "input": input })).await?;
        let id = data["webhook"]["create"]["id"].as_str().context("an id")?;
        Ok(id.to_owned())
    }
}
