-- Log records lie in segments beside spans: a segment has a range of the ids of each, and its resources, scopes, keys and
-- dictionary are of both. Attributes of records are keys of the scope "log"; the scope "record" has what else is a text
-- of few values: severityText and eventName.
--
-- A segment with records has two more virtual tables:
--   logwords_<segment>  rowid = logs.id, the words of the body, and behind a sign of their own (see tokens.py) the tokens
--   logterms_<segment>  all these words
ALTER TABLE segments ADD COLUMN first_log INTEGER NOT NULL DEFAULT 1; -- its records have the ids from here
ALTER TABLE segments ADD COLUMN last_log INTEGER NOT NULL DEFAULT 0; -- to here
ALTER TABLE segments ADD COLUMN log_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN oldest_log_ns INTEGER NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE segments ADD COLUMN newest_log_ns INTEGER NOT NULL DEFAULT 0;

-- checksum is the CRC-32 of a record's content, and of how often the same was said before in the same request.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    trace_id BLOB, -- NULL for none; its spans may come later, or never
    span_id BLOB,
    checksum INTEGER NOT NULL,
    resource INTEGER NOT NULL, -- number
    scope INTEGER NOT NULL, -- number
    service INTEGER NOT NULL REFERENCES services,
    time_ns INTEGER NOT NULL,
    observed_ns INTEGER NOT NULL,
    severity INTEGER NOT NULL, -- where the sender names none, that of its text
    flags INTEGER NOT NULL,
    body_type TEXT, -- see values.py; NULL for a string
    body,
    more TEXT NOT NULL, -- tokens of severityText and eventName
    attributes TEXT NOT NULL, -- tokens
    details BLOB -- whatever else few records have: an OTLP LogRecord without the rest
);
-- The order of pages; and what was sent twice is stored once.
CREATE UNIQUE INDEX logs_by_time ON logs (time_ns, checksum);
CREATE INDEX logs_by_span ON logs (trace_id, span_id) WHERE trace_id IS NOT NULL;
