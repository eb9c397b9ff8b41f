-- Amounts are decimal text in base units (they pass 2^63), instants are milliseconds since 1970, identifiers 32 bytes.

CREATE TABLE devices (
    device BLOB PRIMARY KEY,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    origin BLOB NOT NULL,
    software INTEGER NOT NULL,
    adapter BLOB NOT NULL,
    clean_units INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    suspended INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL DEFAULT 0,
    tip BLOB NOT NULL,
    total TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nonces (
    sender BLOB NOT NULL,
    nonce BLOB NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (sender, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX nonces_by_age ON nonces (seen_at);

-- The one row of totals that the solvency invariant is checked on.
CREATE TABLE escrow (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    deposits TEXT NOT NULL,
    fees TEXT NOT NULL,
    reserved TEXT NOT NULL,
    provisional TEXT NOT NULL,
    payable TEXT NOT NULL,
    claimed TEXT NOT NULL
) STRICT;
INSERT INTO escrow VALUES (1, '0', '0', '0', '0', '0', '0');

CREATE TABLE publishers (
    publisher BLOB PRIMARY KEY,
    account TEXT NOT NULL UNIQUE,
    deposits TEXT NOT NULL,
    reserved TEXT NOT NULL,
    spent TEXT NOT NULL,
    attested TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    job BLOB PRIMARY KEY,
    position INTEGER NOT NULL UNIQUE,
    publisher BLOB NOT NULL REFERENCES publishers,
    program BLOB NOT NULL,
    body BLOB NOT NULL,
    manifest BLOB NOT NULL,
    title TEXT NOT NULL,
    price TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('checking', 'open', 'held', 'refused', 'done')),
    reason TEXT NOT NULL,
    reserved TEXT NOT NULL,
    spent TEXT NOT NULL,
    submitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE units (
    unit BLOB PRIMARY KEY,
    job BLOB NOT NULL REFERENCES jobs,
    position INTEGER NOT NULL,
    UNIQUE (job, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE slices (
    unit BLOB NOT NULL REFERENCES units,
    position INTEGER NOT NULL,
    job BLOB NOT NULL REFERENCES jobs,
    plan BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'leased', 'auditing', 'accepted')),
    bundle BLOB,
    PRIMARY KEY (unit, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX slices_queued ON slices (job, unit) WHERE state = 'queued';
CREATE INDEX slices_unfinished ON slices (job) WHERE state <> 'accepted';

-- Keeps its rowid: the order in which leases were granted.
CREATE TABLE leases (
    lease BLOB PRIMARY KEY,
    bundle BLOB NOT NULL UNIQUE,
    device BLOB NOT NULL REFERENCES devices,
    job BLOB NOT NULL REFERENCES jobs,
    unit BLOB NOT NULL REFERENCES units,
    state TEXT NOT NULL
        CHECK (state IN ('leased', 'committed', 'uploaded', 'accepted', 'rejected', 'expired', 'returned')),
    granted_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    root BLOB,
    result BLOB
) STRICT;
CREATE INDEX leases_open ON leases (device) WHERE state IN ('leased', 'committed');
CREATE INDEX leases_by_deadline ON leases (deadline_at) WHERE state IN ('leased', 'committed');

-- What each opaque slice of a bundle stands for: an own slice (audit NULL) or an audit of somebody else's.
CREATE TABLE bundle_slices (
    bundle BLOB NOT NULL,
    slice BLOB NOT NULL,
    unit BLOB NOT NULL,
    position INTEGER NOT NULL,
    audit INTEGER,
    digest BLOB,
    PRIMARY KEY (bundle, slice)
) STRICT, WITHOUT ROWID;

-- waiting: for a foreign device; leased: with one; trusted, disputed: for the trusted verifier;
-- agreed: the audited slice is right; refuted: it is wrong.
CREATE TABLE audits (
    audit INTEGER PRIMARY KEY,
    bundle BLOB NOT NULL,
    slice BLOB NOT NULL,
    job BLOB NOT NULL,
    unit BLOB NOT NULL,
    position INTEGER NOT NULL,
    claimed BLOB NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'leased', 'trusted', 'disputed', 'agreed', 'refuted')),
    drawn_at INTEGER NOT NULL,
    auditor BLOB,
    auditor_slice BLOB,
    auditor_digest BLOB,
    auditor_wrong INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX audits_by_bundle ON audits (bundle);
CREATE INDEX audits_by_auditor ON audits (auditor) WHERE auditor IS NOT NULL;
CREATE INDEX audits_open ON audits (state, job) WHERE state IN ('waiting', 'leased', 'trusted', 'disputed');

CREATE TABLE receipts (
    device BLOB NOT NULL REFERENCES devices,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    bundle BLOB NOT NULL,
    job BLOB,
    amount TEXT NOT NULL,
    fee TEXT NOT NULL,
    matures_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('provisional', 'payable', 'listed', 'revoked', 'none')),
    epoch INTEGER,
    envelope BLOB NOT NULL,
    PRIMARY KEY (device, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_maturing ON receipts (matures_at) WHERE state = 'provisional';
CREATE INDEX receipts_payable ON receipts (device) WHERE state = 'payable';

CREATE TABLE bindings (
    device BLOB NOT NULL,
    account TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    effective_at INTEGER NOT NULL,
    evidence BLOB NOT NULL,
    PRIMARY KEY (device, issued_at)
) STRICT, WITHOUT ROWID;

-- What each device has earned for each account in all closed epochs.
CREATE TABLE tree_rows (
    device BLOB NOT NULL,
    account TEXT NOT NULL,
    cumulative TEXT NOT NULL,
    PRIMARY KEY (device, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    total TEXT NOT NULL,
    list BLOB NOT NULL,
    spends BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('closed', 'proposed', 'active')),
    closed_at INTEGER NOT NULL
) STRICT;

-- Drawn once per epoch number; decides which slices are audited.
CREATE TABLE secrets (
    epoch INTEGER PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT;

-- accepted: written before anything is signed; signed: the transaction is written before it is sent.
CREATE TABLE relays (
    account TEXT NOT NULL,
    nonce BLOB NOT NULL,
    intent BLOB NOT NULL,
    request BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'signed', 'sent', 'settled')),
    raw BLOB,
    tx BLOB,
    PRIMARY KEY (account, nonce)
) STRICT, WITHOUT ROWID;
