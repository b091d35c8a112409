-- Times are INTEGER microseconds since 1970-01-01 UTC (…_at_us); ids are 16-byte BLOBs; JSON is TEXT, byte for byte as written,
-- because some of it is hashed and signed.

CREATE TABLE tenant (
    id BLOB NOT NULL PRIMARY KEY,
    identifier TEXT NOT NULL,             -- lower-case letters, digits and dashes
    default_language TEXT NOT NULL,       -- of events whose mutation names no language
    body TEXT NOT NULL,                   -- JSON: name, languages and the like
    keys_sealed BLOB NOT NULL,            -- JSON: its signature keys, sealed under the label tenant/<id>/keys
    version INTEGER NOT NULL,             -- one more with every write
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER,                -- set: it and what it owns are found by nobody, and are being removed
    CONSTRAINT tenant_id_is_a_uuid CHECK (length(id) = 16)
) STRICT, WITHOUT ROWID;
-- Of those that live: a deletion frees the identifier and changes no column that a key has, which would lock all out that refers to
-- the tenant.
CREATE UNIQUE INDEX tenant_identifier_is_unique ON tenant (identifier) WHERE deleted_at_us IS NULL;
CREATE INDEX tenant_deleted ON tenant (id) WHERE deleted_at_us IS NOT NULL;

CREATE TABLE access_token (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    name TEXT NOT NULL,                   -- what it is for, in its owner's words
    secret_sha256 BLOB NOT NULL,          -- of the whole token text; the text itself is kept nowhere
    permissions TEXT NOT NULL,            -- JSON list of what it may read and change
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,                -- null: never
    last_used_at_us INTEGER,              -- give or take a minute
    revoked_at_us INTEGER,                -- null while it is valid
    CONSTRAINT access_token_secret_is_unique UNIQUE (secret_sha256),
    CONSTRAINT access_token_secret_is_a_sha256 CHECK (length(secret_sha256) = 32),
    CONSTRAINT access_token_belongs_to_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_by_tenant ON access_token (tenant_id, id);

CREATE TABLE audit_entry (
    id BLOB NOT NULL PRIMARY KEY,         -- UUID v7: sorts by time
    tenant_id BLOB NOT NULL,
    at_us INTEGER NOT NULL,
    user_id TEXT,                         -- who; null for the command line
    action TEXT NOT NULL,                 -- e.g. webhook.update
    subject TEXT NOT NULL,                -- e.g. webhook:0198…
    before TEXT,                          -- JSON of what it was, secrets redacted
    after TEXT,                           -- JSON of what it became, secrets redacted
    CONSTRAINT audit_entry_belongs_to_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_entry_by_tenant ON audit_entry (tenant_id, id);
CREATE INDEX audit_entry_by_subject ON audit_entry (tenant_id, subject, id);

CREATE TABLE record (
    tenant_id BLOB NOT NULL,
    kind TEXT NOT NULL,                   -- e.g. order
    key TEXT NOT NULL,                    -- id or identifier, as text
    version INTEGER NOT NULL,             -- one more with every write
    body TEXT NOT NULL,                   -- JSON of the pim crate
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    CONSTRAINT record_is_unique_per_tenant_kind_and_key PRIMARY KEY (tenant_id, kind, key),
    CONSTRAINT record_belongs_to_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX record_by_creation ON record (tenant_id, kind, created_at_us, key);
CREATE INDEX record_by_last_change ON record (tenant_id, kind, updated_at_us, key);

CREATE TABLE record_link (
    tenant_id BLOB NOT NULL,
    kind TEXT NOT NULL,                   -- of the record that bears the link
    relation TEXT NOT NULL,               -- e.g. customer
    target TEXT NOT NULL,                 -- e.g. the customer's identifier
    rank INTEGER NOT NULL,                -- order among the records with the same target
    key TEXT NOT NULL,                    -- of the record that bears the link
    CONSTRAINT record_link_is_unique PRIMARY KEY (tenant_id, kind, relation, target, rank, key),
    CONSTRAINT record_link_belongs_to_a_record FOREIGN KEY (tenant_id, kind, key)
        REFERENCES record (tenant_id, kind, key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX record_link_by_record ON record_link (tenant_id, kind, key);

CREATE TABLE record_name (
    tenant_id BLOB NOT NULL,
    scope TEXT NOT NULL,                  -- e.g. sku
    value TEXT NOT NULL,
    kind TEXT NOT NULL,                   -- of the record that bears the name
    key TEXT NOT NULL,
    CONSTRAINT record_name_is_unique_per_tenant_and_scope PRIMARY KEY (tenant_id, scope, value),
    CONSTRAINT record_name_belongs_to_a_record FOREIGN KEY (tenant_id, kind, key)
        REFERENCES record (tenant_id, kind, key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX record_name_by_record ON record_name (tenant_id, kind, key);

CREATE TABLE copy_task (
    id BLOB NOT NULL PRIMARY KEY,
    source_tenant_id BLOB NOT NULL,
    target_identifier TEXT NOT NULL,
    target_tenant_id BLOB,                -- null until the copy exists
    state TEXT NOT NULL,
    body TEXT NOT NULL,                   -- JSON: what was asked for and how far it got
    error TEXT,                           -- why it failed
    user_id TEXT,                         -- who asked
    version INTEGER NOT NULL,             -- one more with every write
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    CONSTRAINT copy_task_state_is_known CHECK (state IN ('RUNNING', 'FINISHED', 'FAILED')),
    CONSTRAINT copy_task_belongs_to_its_source FOREIGN KEY (source_tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX copy_task_running ON copy_task (id) WHERE state = 'RUNNING';
CREATE INDEX copy_task_by_source ON copy_task (source_tenant_id);

CREATE TABLE webhook (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    name TEXT NOT NULL,
    concern TEXT NOT NULL,
    event TEXT NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,                    -- normalised as WHATWG says
    headers_sealed BLOB NOT NULL,         -- JSON list of name and value, sealed under the label tenant/<tenant>/webhook/<id>/headers
    graphql_query TEXT,                   -- the payload query; null means the default payload
    preserve_default_payload INTEGER NOT NULL,
    document TEXT,                        -- JSON: what was found out about the payload query
    document_schema_sha256 TEXT,          -- the schema that the payload query was checked against
    signing TEXT NOT NULL,                -- what signs: a secret, a key pair, or both
    keys_sealed BLOB,                     -- JSON: signature keys of its own, sealed under …/webhook/<id>/keys; null for the tenant\'s
    tls_sealed BLOB,                      -- JSON: TLS settings of its own, sealed under …/webhook/<id>/tls; null for the server's
    status TEXT NOT NULL,
    status_reason TEXT,
    status_since_us INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    retry_delays_s TEXT NOT NULL,         -- JSON list of seconds
    concurrency INTEGER NOT NULL,          -- requests at once, over all processes
    rate_per_second INTEGER,               -- requests per second of each process; null for as many as come
    ordering TEXT NOT NULL,
    probe_at_us INTEGER,                   -- when the open breaker may probe; null while it is closed
    probes_failed INTEGER NOT NULL,        -- since the breaker opened
    probe_id BLOB,                        -- the delivery that probes: the only one that is sent
    draining_since_us INTEGER,             -- since when what was held has become due; null when nothing is held
    drain_at_us INTEGER,                   -- when the next batch of it becomes due
    subscribed_at_us INTEGER NOT NULL,    -- since when it calls on this event type
    failing_since_us INTEGER,             -- null unless all attempts fail
    version INTEGER NOT NULL,             -- one more with every write
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER,                -- set: it stays for its history alone
    CONSTRAINT webhook_method_is_known CHECK (method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),
    CONSTRAINT webhook_status_is_known
        CHECK (status IN ('ACTIVE', 'DISABLED', 'PAUSED', 'SUSPENDED', 'AUTO_DISABLED', 'INVALID')),
    CONSTRAINT webhook_signing_is_known CHECK (signing IN ('SYMMETRIC', 'ASYMMETRIC', 'BOTH')),
    CONSTRAINT webhook_ordering_is_known CHECK (ordering IN ('NONE', 'BY_RECORD')),
    CONSTRAINT webhook_is_probed_only_while_it_is_suspended CHECK (probe_at_us IS NULL OR status = 'SUSPENDED'),
    CONSTRAINT webhook_probes_with_an_open_breaker CHECK (probe_id IS NULL OR probe_at_us IS NOT NULL),
    CONSTRAINT webhook_drains_in_batches CHECK ((draining_since_us IS NULL) = (drain_at_us IS NULL)),
    CONSTRAINT webhook_document_names_its_schema CHECK ((document IS NULL) = (document_schema_sha256 IS NULL)),
    CONSTRAINT webhook_belongs_to_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_by_tenant ON webhook (tenant_id, id) WHERE deleted_at_us IS NULL;
CREATE INDEX webhook_by_event_type ON webhook (tenant_id, concern, event, id) WHERE deleted_at_us IS NULL;
CREATE INDEX webhook_of_a_tenant ON webhook (tenant_id);
CREATE INDEX webhook_to_probe ON webhook (probe_at_us, id) WHERE probe_at_us IS NOT NULL;
CREATE INDEX webhook_to_drain ON webhook (drain_at_us, id) WHERE drain_at_us IS NOT NULL;

-- Webhooks that stopped with more due than is held or cancelled at once: the flow loop goes on with it.
CREATE TABLE stopping (
    webhook_id BLOB NOT NULL PRIMARY KEY,
    since_us INTEGER NOT NULL,            -- when it stopped, or a batch of it was done last: whoever waits longest is next
    CONSTRAINT stopping_belongs_to_a_webhook FOREIGN KEY (webhook_id) REFERENCES webhook (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Webhooks whose ordering changed with more owed than joins or leaves its lines at once: the flow loop goes on with it. Of one that keeps
-- order nothing is claimed before all of it stands in line.
CREATE TABLE lining (
    webhook_id BLOB NOT NULL PRIMARY KEY,
    since_us INTEGER NOT NULL,             -- when its ordering changed, or a batch of it was done last: whoever waits longest is next
    position_id BLOB NOT NULL,            -- up to this delivery all stands in line, where it keeps order
    CONSTRAINT lining_belongs_to_a_webhook FOREIGN KEY (webhook_id) REFERENCES webhook (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE replay (
    id BLOB NOT NULL PRIMARY KEY,         -- UUID v7: sorts by time
    tenant_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    from_us INTEGER NOT NULL,              -- deliveries created at or after
    before_us INTEGER NOT NULL,            -- and before
    states TEXT NOT NULL,                 -- JSON list; empty means every state that has ended
    rate_per_second INTEGER NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,                          -- why it waits or failed
    position_id BLOB,                     -- the last delivery that it replayed
    made_count INTEGER NOT NULL,           -- deliveries that it made
    next_at_us INTEGER NOT NULL,           -- when its next batch is due
    user_id TEXT,                         -- who asked
    version INTEGER NOT NULL,              -- one more with every write
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    CONSTRAINT replay_payload_is_known CHECK (payload IN ('FROZEN', 'FRESH')),
    CONSTRAINT replay_state_is_known CHECK (state IN ('RUNNING', 'FINISHED', 'CANCELLED', 'FAILED')),
    CONSTRAINT replay_belongs_to_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE,
    CONSTRAINT replay_goes_to_a_webhook FOREIGN KEY (webhook_id) REFERENCES webhook (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_due ON replay (next_at_us, id) WHERE state = 'RUNNING';
CREATE INDEX replay_by_tenant ON replay (tenant_id, id);
CREATE INDEX replay_by_webhook ON replay (webhook_id, id);

-- Hot tables have no foreign keys: see docs/decisions/0006-the-queue-apart-from-the-history.md. What belongs to a deleted tenant is
-- removed by hand (retention::tenants).

CREATE TABLE event (
    tenant_id BLOB NOT NULL,
    id BLOB NOT NULL,                     -- UUID v7: sorts by time
    concern TEXT NOT NULL,
    event TEXT NOT NULL,
    variables TEXT NOT NULL,              -- JSON object, in the catalogue's order
    changed_fields TEXT NOT NULL,         -- JSON list
    record_label TEXT NOT NULL,           -- e.g. order:0198…
    is_test INTEGER NOT NULL,             -- made up for a test: in no event feed, fans out to nobody
    recorded_at_us INTEGER NOT NULL,
    CONSTRAINT event_is_unique_per_tenant PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_by_type ON event (tenant_id, concern, event, id);

CREATE TABLE event_skip (
    event_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,             -- that got no delivery
    reason TEXT NOT NULL,
    CONSTRAINT event_skip_is_unique_per_event_and_webhook PRIMARY KEY (event_id, webhook_id),
    CONSTRAINT event_skip_reason_is_known CHECK (reason IN ('DISABLED', 'CREATED_LATER', 'SUBSCRIBED_LATER'))
) STRICT, WITHOUT ROWID;

CREATE TABLE tombstone (
    event_id BLOB NOT NULL PRIMARY KEY,   -- the delete event whose render reads this
    tenant_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,                   -- the record as it was
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL
) STRICT;

-- Of the fan out an event and a webhook have one delivery and no second: its id follows from both (DeliveryId::of_fan_out), so
-- the primary key keeps that, and the deliveries of an event are a range of ids.

-- The queue: every delivery that has not ended, and nothing else. A claim changes no column that an index holds or asks for.
CREATE TABLE due (
    id BLOB NOT NULL PRIMARY KEY,         -- UUID v7: sorts by time
    tenant_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    is_test INTEGER NOT NULL,
    is_fan_out INTEGER NOT NULL,          -- made by the fan out of its event
    replay_id BLOB,                       -- the replay that made it
    state TEXT NOT NULL,
    state_reason TEXT,
    due_at_us INTEGER,                     -- null while it is held
    due_since_us INTEGER NOT NULL,         -- since when it has been owed: made, or last retried by a person
    leased_until_us INTEGER,               -- null unless it is in flight
    attempts_spent INTEGER NOT NULL,       -- since it was made or last retried by a person
    attempt_count INTEGER NOT NULL,        -- of all attempts
    fencing_token INTEGER NOT NULL,        -- one more with every claim
    cancel_requested INTEGER NOT NULL,    -- someone asked for its end while it was in flight
    payload_kind TEXT NOT NULL,           -- NONE yet; RENDERED: has a row in payload; DEFAULT: follows from the event
    default_frozen_at_us INTEGER,         -- when a claim froze the default payload
    order_key TEXT,                       -- whose line it stands in: its record, where its webhook keeps order
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    CONSTRAINT due_state_is_known CHECK (state IN ('PENDING', 'IN_FLIGHT', 'RETRYING', 'HELD')),
    CONSTRAINT due_payload_kind_is_known CHECK (payload_kind IN ('NONE', 'RENDERED', 'DEFAULT')),
    CONSTRAINT due_default_payload_has_a_time CHECK ((payload_kind = 'DEFAULT') = (default_frozen_at_us IS NOT NULL)),
    CONSTRAINT due_is_leased_while_in_flight CHECK ((state = 'IN_FLIGHT') = (leased_until_us IS NOT NULL)),
    CONSTRAINT due_has_a_time_unless_it_is_held CHECK ((state = 'HELD') = (due_at_us IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX due_by_time ON due (webhook_id, due_at_us, id) WHERE due_at_us IS NOT NULL;
CREATE INDEX due_by_webhook ON due (webhook_id, id);
CREATE INDEX due_by_line ON due (webhook_id, order_key, id) WHERE order_key IS NOT NULL;
-- For the gauge of what is held: what is sent has no entry.
CREATE INDEX due_held ON due (id) WHERE due_at_us IS NULL;
-- Made later than their event: tests and replays.
CREATE INDEX due_by_event ON due (event_id, id) WHERE NOT is_fan_out;

-- The history: deliveries that have ended. A retry moves one back into the queue.
CREATE TABLE delivery (
    id BLOB NOT NULL PRIMARY KEY,         -- UUID v7: sorts by time
    tenant_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    is_test INTEGER NOT NULL,
    is_fan_out INTEGER NOT NULL,          -- made by the fan out of its event
    replay_id BLOB,                       -- the replay that made it
    state TEXT NOT NULL,
    state_reason TEXT,
    due_since_us INTEGER NOT NULL,         -- since when it was owed: made, or last retried by a person
    attempts_spent INTEGER NOT NULL,       -- since it was made or last retried by a person
    attempt_count INTEGER NOT NULL,        -- of all attempts
    fencing_token INTEGER NOT NULL,        -- of its last claim
    payload_kind TEXT NOT NULL,           -- as in due
    default_frozen_at_us INTEGER,         -- as in due
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    CONSTRAINT delivery_state_is_final CHECK (state IN ('DELIVERED', 'FAILED', 'RENDER_FAILED', 'CANCELLED', 'EXPIRED')),
    CONSTRAINT delivery_payload_kind_is_known CHECK (payload_kind IN ('NONE', 'RENDERED', 'DEFAULT')),
    CONSTRAINT delivery_default_payload_has_a_time
        CHECK ((payload_kind = 'DEFAULT') = (default_frozen_at_us IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_by_tenant ON delivery (tenant_id, id);
CREATE INDEX delivery_by_webhook ON delivery (webhook_id, id);
CREATE INDEX delivery_by_event ON delivery (event_id, id) WHERE NOT is_fan_out;

CREATE TABLE payload (
    delivery_id BLOB NOT NULL PRIMARY KEY,
    json TEXT NOT NULL,                   -- the frozen bytes: never replaced
    rendered_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE attempt (
    webhook_id BLOB NOT NULL,             -- of the delivery: the log of a webhook is read by it
    id BLOB NOT NULL,                     -- UUID v7: sorts by time
    delivery_id BLOB NOT NULL,
    number INTEGER NOT NULL,               -- 1 for the first of its delivery; the fencing token keeps it unique
    code TEXT NOT NULL,                   -- how it ended
    detail TEXT,                          -- in plain words
    request_method TEXT,                  -- null where no request was built
    request_url TEXT,
    request_headers TEXT,                 -- JSON list of name and value, secrets redacted
    request_body TEXT,                    -- null for GET
    response_status INTEGER,               -- null where no answer came
    response_headers TEXT,                -- JSON list of name and value
    response_body TEXT,                   -- its first bytes
    response_truncated INTEGER NOT NULL,
    remote_address TEXT,
    started_at_us INTEGER NOT NULL,
    ended_at_us INTEGER NOT NULL,
    CONSTRAINT attempt_is_unique_per_webhook PRIMARY KEY (webhook_id, id)
) STRICT;
CREATE INDEX attempt_by_delivery ON attempt (delivery_id, number);

-- The feed: what one transaction changed for one tenant, in batches.
CREATE TABLE feed (
    tenant_id BLOB NOT NULL,
    seq_last INTEGER NOT NULL,             -- of the batch's last entry; seq follows commit order: the cursor of subscribers
    seq_first INTEGER NOT NULL,            -- of its first entry
    at_us INTEGER NOT NULL,
    entries BLOB NOT NULL,               -- packed: see rows::feed
    CONSTRAINT feed_batch_is_unique_per_tenant PRIMARY KEY (tenant_id, seq_last),
    CONSTRAINT feed_batch_has_entries CHECK (seq_first <= seq_last)
) STRICT, WITHOUT ROWID;
-- Whose feeds moved.
CREATE INDEX feed_by_seq ON feed (seq_last);

-- One row: written last in every transaction that feeds, and locked by that until its commit.
CREATE TABLE feed_position (
    id INTEGER NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,                  -- of the last entry of all
    CONSTRAINT feed_position_is_one CHECK (id = 1)
) STRICT, WITHOUT ROWID;
INSERT INTO feed_position (id, seq) VALUES (1, 0);

-- How far retention has come in a tenant's feed; no row where nothing was removed.
CREATE TABLE feed_pruned (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL                  -- its entries up to this one are gone
) STRICT, WITHOUT ROWID;

-- One row: how far retention has come in the history.
CREATE TABLE retention (
    id INTEGER NOT NULL PRIMARY KEY,
    history_from_us INTEGER,              -- what was created before this may be gone; null where nothing is
    CONSTRAINT retention_is_one CHECK (id = 1)
) STRICT;
INSERT INTO retention (id) VALUES (1);

CREATE TABLE idempotency (
    tenant_id BLOB NOT NULL,
    key TEXT NOT NULL,                    -- in the caller's words
    step INTEGER NOT NULL,                 -- which change of the request
    request_sha256 BLOB NOT NULL,        -- of the whole request
    answer TEXT NOT NULL,                 -- JSON of who wrote the change
    created_at_us INTEGER NOT NULL,
    CONSTRAINT idempotency_key_is_unique_per_tenant_and_step PRIMARY KEY (tenant_id, key, step),
    CONSTRAINT idempotency_request_is_a_sha256 CHECK (length(request_sha256) = 32),
    CONSTRAINT idempotency_belongs_to_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at_us);
