//! A draft gathers what a mutation decides until it commits as one change with its events.

use crate::access::{Permitted, to_write};
use crate::conflict::{NotCommitted, until_committed};
use crate::context::PimContext;
use crate::limits::RECORD_BYTES_MAX;
use crate::stored::{RecordBody, Stored};
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::catalogue;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::event::{EventTypeKey, NewEvent};
use hookgraph_domain::ids::{AuditEntryId, EventId, TenantId};
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::record::{Link, Name, Record, RecordRef};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The change that a mutation is deciding on.
pub(crate) struct Draft<'a> {
    pim: &'a PimContext,
    change: Change,
}

/// The names of the top-level fields that an update changed.
pub(crate) type ChangedFields = Vec<String>;

/// Runs a mutation: `decide` gets an empty draft and returns it filled, the draft commits, and on a conflict `decide`
/// runs again.
///
/// `decide` reads through `pim`, which has forgotten every row of an earlier try. Under an idempotency key the answer
/// is kept with the change, and a request that comes again gets the kept answer.
pub(crate) async fn mutate<'a, T, F, D>(pim: &'a PimContext, decide: F) -> Result<T, Refusal>
where
    T: Serialize + DeserializeOwned,
    F: Fn(Draft<'a>) -> D,
    D: Future<Output = Result<(Draft<'a>, T), Refusal>> + Send,
{
    let step = pim.next_step();
    until_committed(async || {
        if let Some(step) = &step
            && let Some(answer) = pim.answered::<T>(step).await?
        {
            return Ok(answer);
        }
        let (mut change, answer) = decided(pim, &decide).await?;
        if let Some(step) = &step {
            change.writes.push(step.keep(&answer)?);
        }
        commit(pim, change).await?;
        Ok(answer)
    })
    .await
}

/// Runs a mutation that raises no event and whose answer is kept nowhere, because it may hold a secret. An idempotency
/// key is refused.
pub(crate) async fn mutate_unkept<'a, T, F, D>(pim: &'a PimContext, decide: F) -> Result<T, Refusal>
where
    F: Fn(Draft<'a>) -> D,
    D: Future<Output = Result<(Draft<'a>, T), Refusal>> + Send,
{
    pim.require_no_idempotency()?;
    until_committed(async || {
        let (change, answer) = decided(pim, &decide).await?;
        commit(pim, change).await?;
        Ok(answer)
    })
    .await
}

/// The change that a mutation decides on the rows as they stand now, and its answer.
async fn decided<'a, T, F, D>(pim: &'a PimContext, decide: &F) -> Result<(Change, T), Refusal>
where
    F: Fn(Draft<'a>) -> D,
    D: Future<Output = Result<(Draft<'a>, T), Refusal>> + Send,
{
    pim.forget();
    // The decision's reads count no bytes: they are dropped with it, while answers add up over a request's mutations.
    let _deciding = pim.begin_deciding();
    let (Draft { change, .. }, answer) = decide(Draft { pim, change: Change::at(pim.now()) }).await?;
    Ok((change, answer))
}

/// Commits a change, unless it is empty.
async fn commit(pim: &PimContext, change: Change) -> Result<(), NotCommitted> {
    if change.writes.is_empty() && change.events.is_empty() {
        return Ok(());
    }
    let rows = change.writes.len() + change.events.len();
    if rows > CHANGE_ROWS_MAX {
        let message = format!("this would write {rows} rows at once, {CHANGE_ROWS_MAX} are allowed: do it in parts");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message).into());
    }
    Ok(pim.commit(change).await?)
}

impl<'a> Draft<'a> {
    /// The time of the change.
    pub fn at(&self) -> Timestamp {
        self.change.at
    }

    /// The context that the mutation reads from.
    pub fn pim(&self) -> &'a PimContext {
        self.pim
    }

    fn tenant_id(&self) -> TenantId {
        self.pim.caller.tenant_id
    }

    /// Adds a write; the proof shows that the caller may make it.
    pub fn write(&mut self, _proof: Permitted, write: Write) {
        self.change.writes.push(write);
    }

    /// Adds an entry of the audit log about a tenant, in the same transaction. The caller leaves secrets out.
    pub fn audit(&mut self, action: &str, tenant_id: TenantId, before: Option<Value>, after: Option<Value>) {
        self.change.writes.push(Write::Audit(AuditEntry {
            id: AuditEntryId(self.pim.new_id()),
            tenant_id: self.tenant_id(),
            at: self.at(),
            user_id: self.pim.caller.user_id.clone(),
            action: action.to_owned(),
            subject: format!("tenant:{tenant_id}"),
            before: before.map(|before| before.to_string()),
            after: after.map(|after| after.to_string()),
        }));
    }

    /// Creates a record.
    pub fn create<B: RecordBody>(&mut self, key: impl Into<String>, body: B) -> Result<Stored<B>, Refusal> {
        let at = self.at();
        self.create_dated(key, body, at)
    }

    /// Creates a record with a `created_at` of its own, e.g. an order that was placed earlier.
    pub fn create_dated<B: RecordBody>(
        &mut self,
        key: impl Into<String>,
        body: B,
        created_at: Timestamp,
    ) -> Result<Stored<B>, Refusal> {
        let stored = Stored {
            tenant_id: self.tenant_id(),
            key: key.into(),
            version: 1,
            body,
            created_at,
            updated_at: self.at(),
        };
        self.put(&stored, Expected::Absent)?;
        Ok(stored)
    }

    /// Replaces a record's body. Returns the record as it then stands, and the names of the top-level fields that
    /// changed: where the new body equals the old one, none changed and nothing is written.
    pub fn update<B: RecordBody>(&mut self, old: &Stored<B>, body: B) -> Result<(Stored<B>, ChangedFields), Refusal> {
        let changed = changed_fields(&to_object(&old.body)?, &to_object(&body)?);
        if changed.is_empty() {
            return Ok((old.clone(), changed));
        }
        let stored = Stored { version: old.version + 1, body, updated_at: self.at(), ..old.clone() };
        self.put(&stored, Expected::Version(old.version))?;
        Ok((stored, changed))
    }

    /// Raises a record's version and changes nothing else, so that concurrent changes that rest on the record conflict.
    pub fn touch<B: RecordBody>(&mut self, stored: &Stored<B>) -> Result<(), Refusal> {
        let touched = Stored { version: stored.version + 1, ..stored.clone() };
        self.put(&touched, Expected::Version(stored.version))
    }

    fn put<B: RecordBody>(&mut self, stored: &Stored<B>, expected: Expected) -> Result<(), Refusal> {
        let (record, links, names) = (to_record(stored)?, stored.body.links(), stored.body.names());
        check_storable(&record, &links, &names)?;
        let proof = self.pim.caller.permit(to_write(B::KIND))?;
        self.write(proof, Write::PutRecord { record, expected, links, names });
        Ok(())
    }

    /// Deletes a record, and returns the tombstone that its `delete` event keeps.
    pub fn delete<B: RecordBody>(&mut self, stored: &Stored<B>) -> Result<Record, Refusal> {
        let tombstone = to_record(stored)?;
        let proof = self.pim.caller.permit(to_write(B::KIND))?;
        self.write(
            proof,
            Write::DeleteRecord {
                tenant_id: stored.tenant_id,
                reference: tombstone.reference.clone(),
                expected_version: stored.version,
            },
        );
        Ok(tombstone)
    }

    /// Refuses the change if the record of that key is gone at the commit.
    pub fn require<B: RecordBody>(&mut self, key: impl Into<String>) {
        let (tenant_id, reference) = (self.tenant_id(), RecordRef::new(B::KIND, key));
        self.change.writes.push(Write::RequireRecord { tenant_id, reference });
    }

    /// Raises an event of the catalogue. The draft fills in the variables `tenantId` and `userId`; the others are given
    /// by name.
    pub fn raise(&mut self, raised: Raised) -> Result<(), Refusal> {
        let Raised { concern, event: name, variables, changed_fields, tombstone, record } = raised;
        let id = EventId(self.pim.new_id());
        let user_id = self.pim.caller.user_id.as_deref();
        let event = event(id, self.tenant_id(), user_id, (concern, name), &variables)?;
        let record_label = format!("{}:{}", record.kind.as_str(), record.key);
        self.raise_ready(NewEvent { changed_fields, tombstone, record_label, ..event });
        Ok(())
    }

    /// Raises an event that is made already.
    pub fn raise_ready(&mut self, event: NewEvent) {
        self.change.events.push(event);
    }
}

/// An event of the catalogue with its variables in the catalogue's order. It has no record yet.
pub(crate) fn event(
    id: EventId,
    tenant_id: TenantId,
    user_id: Option<&str>,
    (concern, name): (&'static str, &'static str),
    given: &[(&'static str, Value)],
) -> Result<NewEvent, Refusal> {
    let event_type =
        catalogue::find(concern, name).ok_or_else(|| fault(format!("{concern}/{name} is not in the catalogue")))?;
    let mut variables = Map::new();
    for variable in event_type.variables.iter().filter(|variable| variable.name != "webhookId") {
        let value = match variable.name {
            "tenantId" => Value::String(tenant_id.to_string()),
            "userId" => user_id.map_or(Value::Null, |id| Value::String(id.to_owned())),
            other => given.iter().find(|(name, _)| *name == other).map_or(Value::Null, |(_, value)| value.clone()),
        };
        if value.is_null() && variable.is_required {
            return Err(fault(format!("{concern}/{name} was raised without its {}", variable.name)));
        }
        variables.insert(variable.name.to_owned(), value);
    }
    Ok(NewEvent {
        id,
        tenant_id,
        event_type: EventTypeKey::new(concern, name),
        variables,
        changed_fields: Vec::new(),
        tombstone: None,
        record_label: String::new(),
    })
}

/// An event to raise.
pub(crate) struct Raised {
    pub concern: &'static str,
    pub event: &'static str,
    pub variables: Vec<(&'static str, Value)>,
    pub changed_fields: ChangedFields,
    pub tombstone: Option<Record>,
    pub record: RecordRef,
}

impl Raised {
    /// An event about the record, without variables.
    pub fn of<B: RecordBody>(concern: &'static str, event: &'static str, stored: &Stored<B>) -> Self {
        Self {
            concern,
            event,
            variables: Vec::new(),
            changed_fields: Vec::new(),
            tombstone: None,
            record: RecordRef::new(B::KIND, stored.key.as_str()),
        }
    }
}

/// Refuses a record that no store can hold: a text of PostgreSQL holds no U+0000. In a body that character is escaped,
/// and allowed.
fn check_storable(record: &Record, links: &[Link], names: &[Name]) -> Result<(), Refusal> {
    let kind = record.reference.kind.as_str();
    let texts = [("key", &record.reference.key)].into_iter();
    let texts = texts.chain(links.iter().map(|link| (link.relation.as_str(), &link.target)));
    let mut texts = texts.chain(names.iter().map(|name| (name.scope.as_str(), &name.value)));
    if let Some((what, text)) = texts.find(|(_, text)| text.contains('\0')) {
        let message = format!("the {what} {text:?} of a {kind} contains the character U+0000: leave it out");
        return Err(Refusal::invalid_at("input", "NUL_CHARACTER", message));
    }
    if record.body.len() > RECORD_BYTES_MAX {
        let bytes = record.body.len();
        let message =
            format!("the {kind} would take {bytes} bytes, {RECORD_BYTES_MAX} are allowed: leave something out");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    Ok(())
}

fn to_record<B: RecordBody>(stored: &Stored<B>) -> Result<Record, Refusal> {
    Ok(Record {
        tenant_id: stored.tenant_id,
        reference: RecordRef::new(B::KIND, stored.key.as_str()),
        version: stored.version,
        body: serde_json::to_string(&stored.body).map_err(|error| fault(error.to_string()))?,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    })
}

fn to_object<B: RecordBody>(body: &B) -> Result<Map<String, Value>, Refusal> {
    match serde_json::to_value(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(fault(format!("the body of a {} is no object", B::KIND.as_str()))),
        Err(error) => Err(fault(error.to_string())),
    }
}

/// The keys whose values differ, in the order of the new body.
pub(crate) fn changed_fields(old: &Map<String, Value>, new: &Map<String, Value>) -> ChangedFields {
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, _)| key.clone());
    let removed = old.keys().filter(|key| !new.contains_key(*key)).cloned();
    changed.chain(removed).collect()
}

fn fault(detail: String) -> Refusal {
    tracing::error!(detail, "a mutation could not be written down");
    Refusal::new(RefusalCode::Internal, "the server failed: its log says why")
}
