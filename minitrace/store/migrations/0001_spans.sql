-- Times are nanoseconds since 1970. OTLP's are unsigned and SQLite's integers are not: what is beyond
-- 2^63 - 1 is stored as that, and exactly, as "start end", in raw_times.
-- Attributes are JSON objects; what JSON lacks is written as an object of one key, see values.py.

-- Ids number services in the order of their first appearance: a service keeps its colour for ever.
CREATE TABLE services (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE resources (
    id INTEGER PRIMARY KEY,
    service INTEGER NOT NULL REFERENCES services,
    attributes TEXT NOT NULL,
    dropped_attributes INTEGER NOT NULL,
    schema_url TEXT NOT NULL,
    entities TEXT NOT NULL,
    UNIQUE (attributes, dropped_attributes, schema_url, entities)
);

CREATE TABLE scopes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    attributes TEXT NOT NULL,
    dropped_attributes INTEGER NOT NULL,
    schema_url TEXT NOT NULL,
    UNIQUE (name, version, attributes, dropped_attributes, schema_url)
);

-- One row a trace, kept true by every transaction that adds spans: a summary of what `spans` holds.
-- root is the earliest span without a parent; its columns are NULL until one is stored.
CREATE TABLE traces (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE,
    received_ns INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    span_count INTEGER NOT NULL,
    error_count INTEGER NOT NULL,
    has_time INTEGER NOT NULL, -- 0: no span has a usable time, and start_ns is when the first one came
    root_start_ns INTEGER,
    root_span_id BLOB,
    root_service INTEGER REFERENCES services,
    root_name TEXT
);
CREATE INDEX traces_by_start ON traces (start_ns, id);

CREATE TABLE trace_services (
    trace INTEGER NOT NULL REFERENCES traces,
    service INTEGER NOT NULL REFERENCES services,
    span_count INTEGER NOT NULL,
    error_count INTEGER NOT NULL,
    PRIMARY KEY (trace, service)
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
    resource INTEGER NOT NULL REFERENCES resources,
    scope INTEGER NOT NULL REFERENCES scopes,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    status INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    status_message TEXT NOT NULL,
    trace_state TEXT NOT NULL,
    flags INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    dropped_attributes INTEGER NOT NULL,
    events TEXT NOT NULL,
    dropped_events INTEGER NOT NULL,
    links TEXT NOT NULL,
    dropped_links INTEGER NOT NULL,
    raw_times TEXT,
    UNIQUE (trace, span_id, checksum)
);
