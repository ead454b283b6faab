-- Times are nanoseconds since 1970. What is beyond SQLite's integers (2^63 - 1) is stored as that, and
-- exactly in `details`.
--
-- A segment is what arrived in a stretch of time: a range of span ids, and everything that only those spans
-- need. Retention takes whole segments, oldest first. Within a segment each distinct value of an attribute
-- has a row in `dictionary` and a token that stands for it, such as "ab12": the letters are its key's number,
-- the digits count its values. Numbers below are counted by segment; ids are made from both, see tokens.py.
--
-- Each segment also has three virtual tables, made with it (see writer.py):
--   postings_<segment>  rowid = spans.id, the tokens of that span
--   words_<segment>     rowid = dictionary.id, the words of that value
--   counts_<segment>    how many spans have each token

CREATE TABLE segments (
    id INTEGER PRIMARY KEY,
    first_span INTEGER NOT NULL, -- its spans have the ids from here
    last_span INTEGER NOT NULL, -- to here
    span_count INTEGER NOT NULL,
    first_received_ns INTEGER NOT NULL,
    last_received_ns INTEGER NOT NULL,
    newest_start_ns INTEGER NOT NULL, -- of the traces with spans here, none starts later
    state INTEGER NOT NULL DEFAULT 0 -- 0 stays; 1 retention takes its spans; 2 they are gone, and the rest follows
);

CREATE TABLE keys (
    segment INTEGER NOT NULL REFERENCES segments,
    number INTEGER NOT NULL,
    scope TEXT NOT NULL, -- span, resource, instrumentation, event, link or intrinsic
    name TEXT NOT NULL,
    type TEXT NOT NULL, -- see values.py
    PRIMARY KEY (segment, number)
) WITHOUT ROWID;
CREATE INDEX keys_by_name ON keys (name);

-- id: segment, key, count. Of one key they are neighbours, so that its values can be scanned alone.
CREATE TABLE dictionary (
    id INTEGER PRIMARY KEY,
    value
);

-- Ids number services in the order of their first appearance: a service keeps its colour for ever.
CREATE TABLE services (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE resources (
    id INTEGER PRIMARY KEY, -- segment, number
    service INTEGER NOT NULL REFERENCES services,
    attributes TEXT NOT NULL, -- tokens
    dropped_attributes INTEGER NOT NULL,
    schema_url TEXT NOT NULL,
    entities TEXT NOT NULL -- JSON
);

CREATE TABLE scopes (
    id INTEGER PRIMARY KEY, -- segment, number
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    attributes TEXT NOT NULL, -- tokens: its own, then those of its name and version
    dropped_attributes INTEGER NOT NULL,
    schema_url TEXT NOT NULL
);

CREATE TABLE operations (
    service INTEGER NOT NULL REFERENCES services,
    name TEXT NOT NULL,
    segment INTEGER NOT NULL REFERENCES segments,
    PRIMARY KEY (service, name, segment)
) WITHOUT ROWID;

-- One row a trace, kept true by every transaction that adds or takes away spans: a summary of `spans`.
-- root is the earliest span without a parent; its columns are NULL until one is stored.
CREATE TABLE traces (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE,
    received_ns INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    has_time INTEGER NOT NULL DEFAULT 0, -- 0: no span has a usable time, and start_ns is when the first one came
    span_count INTEGER NOT NULL DEFAULT 0,
    error_count INTEGER NOT NULL DEFAULT 0,
    root_start_ns INTEGER,
    root_span_id BLOB,
    root_service INTEGER REFERENCES services,
    root_name TEXT,
    removed_count INTEGER NOT NULL DEFAULT 0, -- spans that retention took away
    is_pinned INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX traces_by_start ON traces (start_ns, id);
CREATE INDEX traces_pinned ON traces (id) WHERE is_pinned;

-- Traces that lost all their spans to retention, the latest ones: if more of them arrive, they are not whole.
CREATE TABLE removed_traces (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE,
    removed_count INTEGER NOT NULL
);

CREATE TABLE trace_services (
    trace INTEGER NOT NULL REFERENCES traces,
    service INTEGER NOT NULL REFERENCES services,
    span_count INTEGER NOT NULL,
    error_count INTEGER NOT NULL,
    PRIMARY KEY (trace, service)
) WITHOUT ROWID;

-- Parents that spans name and that are not stored (yet). A trace with a root and without one of these is complete.
CREATE TABLE awaited (
    trace INTEGER NOT NULL REFERENCES traces,
    span_id BLOB NOT NULL,
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;

-- Parents may arrive after their children, or never: a foreign key on parent_id would refuse the broken
-- traces people come to look at. checksum is the CRC-32 of a span's content: the same span sent twice
-- is stored once, two different spans that claim one id are both kept.
CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL REFERENCES traces,
    span_id BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    parent_id BLOB,
    resource INTEGER NOT NULL, -- number
    scope INTEGER NOT NULL, -- number
    service INTEGER NOT NULL REFERENCES services,
    name INTEGER NOT NULL, -- count of its value among the segment's span names
    kind INTEGER NOT NULL,
    status INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    attributes TEXT NOT NULL, -- tokens
    more TEXT, -- tokens of its status message, events and links
    details BLOB, -- status, events, links and whatever else few spans have: an OTLP Span without the rest
    UNIQUE (trace, span_id, checksum)
);
