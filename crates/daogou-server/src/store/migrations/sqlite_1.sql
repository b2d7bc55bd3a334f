-- The last number given out of each sequence. Whoever takes a number holds the row until its commit, so numbers become
-- visible in their order.
CREATE TABLE daogou_counter (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO daogou_counter (name, last) VALUES ('event', 0), ('document', 0), ('retention', 0), ('check', 0);

CREATE TABLE daogou_event (
    arrival INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    user_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    time INTEGER NOT NULL,
    request_id TEXT,
    position INTEGER,
    value REAL,
    context TEXT
) STRICT;

CREATE INDEX daogou_event_of_user ON daogou_event (user_id, time, arrival);
CREATE INDEX daogou_event_by_time ON daogou_event (time);

CREATE TABLE daogou_document (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT,
    words TEXT NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    written INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE INDEX daogou_document_by_revision ON daogou_document (kind, revision);
