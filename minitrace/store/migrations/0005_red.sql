-- Rate, errors and durations: what pieces of `spans` amount to, see rolling.py. A piece without rows here has to be
-- counted from its spans; nothing is lost with a row.
CREATE TABLE red (
    service INTEGER NOT NULL, -- its operations; 0: those of services beyond the first ones; -1: all services
    step_s INTEGER NOT NULL, -- of a bucket
    first_span INTEGER NOT NULL, -- of the piece
    first_bucket INTEGER NOT NULL,
    last_bucket INTEGER NOT NULL,
    cells BLOB NOT NULL, -- see cells.py
    PRIMARY KEY (service, step_s, first_span)
);
CREATE INDEX red_by_piece ON red (first_span);
