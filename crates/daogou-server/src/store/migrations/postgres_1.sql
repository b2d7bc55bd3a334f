-- The last number given out of each sequence. Whoever takes a number holds the row until its commit, so numbers become
-- visible in their order, also between replicas; a PostgreSQL sequence would not promise that. Half-empty pages keep
-- its updates on the page.
CREATE TABLE daogou_counter (
    name TEXT PRIMARY KEY,
    last BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO daogou_counter (name, last) VALUES ('event', 0), ('document', 0), ('retention', 0), ('check', 0);

-- "C" orders text by its bytes, as SQLite does.
CREATE TABLE daogou_event (
    arrival BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    kind TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    item_id TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL,
    request_id TEXT COLLATE "C",
    position BIGINT,
    value DOUBLE PRECISION,
    context TEXT
);

CREATE INDEX daogou_event_of_user ON daogou_event (user_id, time, arrival);
CREATE INDEX daogou_event_by_time ON daogou_event (time);

CREATE TABLE daogou_document (
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    body TEXT,
    words TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL UNIQUE,
    written BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX daogou_document_by_revision ON daogou_document (kind, revision);
