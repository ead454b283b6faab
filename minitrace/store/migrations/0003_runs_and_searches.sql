-- A run is what happened between a start and an end that somebody may want to compare: a server, a command under
-- `minitrace run`, a session of tests. Resources of a command's spans name it (minitrace.run.id); what belongs to a
-- server's run is what arrived meanwhile.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL, -- server, command or pytest
    label TEXT NOT NULL, -- the command line
    directory TEXT NOT NULL,
    git_commit TEXT, -- 40 hex digits, where the directory is in a repository
    git_branch TEXT, -- NULL where no branch is checked out
    is_dirty INTEGER NOT NULL DEFAULT 0, -- something was changed and not committed
    started_ns INTEGER NOT NULL,
    ended_ns INTEGER, -- NULL while it goes on, or if nobody saw its end
    exit_code INTEGER
) WITHOUT ROWID;
CREATE INDEX runs_by_start ON runs (started_ns);

-- A search that somebody gave a name: the query string of its address.
CREATE TABLE saved_searches (
    name TEXT PRIMARY KEY,
    query TEXT NOT NULL,
    saved_ns INTEGER NOT NULL
) WITHOUT ROWID;
