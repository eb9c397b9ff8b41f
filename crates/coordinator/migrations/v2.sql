-- Classes of devices: what each has shown for each program. A class goes by the hash of its canonical bytes.

CREATE TABLE classes (
    class BLOB PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- No row: unknown, and nothing agreed yet.
CREATE TABLE standings (
    program BLOB NOT NULL,
    class BLOB NOT NULL REFERENCES classes,
    state TEXT NOT NULL CHECK (state IN ('unknown', 'qualified', 'blocked')),
    agreed INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (program, class)
) STRICT, WITHOUT ROWID;

-- Every slice that the reference contradicts. held: it was put down to the class and is nobody's fault.
CREATE TABLE mismatches (
    mismatch INTEGER PRIMARY KEY,
    program BLOB NOT NULL,
    class BLOB NOT NULL,
    device BLOB NOT NULL,
    origin BLOB NOT NULL,
    bundle BLOB NOT NULL,
    unit BLOB NOT NULL,
    position INTEGER NOT NULL,
    expected BLOB NOT NULL,
    found BLOB NOT NULL,
    at INTEGER NOT NULL,
    held INTEGER NOT NULL
) STRICT;
CREATE INDEX mismatches_by_class ON mismatches (program, class);
CREATE INDEX mismatches_by_device ON mismatches (device);
CREATE INDEX mismatches_by_origin ON mismatches (origin) WHERE held = 1;

-- How the device computed the known answers, as it says; miscomputes: wrongly, with its present class.
ALTER TABLE devices ADD COLUMN answers BLOB;
ALTER TABLE devices ADD COLUMN miscomputes INTEGER NOT NULL DEFAULT 0;

-- The class of the device when the lease was granted; empty in leases that are older than classes.
ALTER TABLE leases ADD COLUMN class BLOB;
CREATE INDEX leases_unjudged ON leases (class) WHERE state IN ('leased', 'committed', 'uploaded');

-- reference: digest of the right output, once it is known; product_fails: an output is no product of its inputs, and the
-- verifier is to say what is right.
ALTER TABLE audits ADD COLUMN reference BLOB;
ALTER TABLE audits ADD COLUMN product_fails INTEGER NOT NULL DEFAULT 0;
-- What was right in verdicts from before was not kept.
UPDATE audits SET reference = zeroblob(32) WHERE state = 'refuted' OR auditor_wrong = 1;

-- Who else computed a slice, and what.
CREATE INDEX bundle_slices_by_place ON bundle_slices (unit, position);
