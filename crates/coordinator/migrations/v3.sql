-- Deliveries between devices: who announced what, who delivers what to whom, and what was signed for.

CREATE TABLE peers (
    device BLOB PRIMARY KEY REFERENCES devices,
    address BLOB NOT NULL,
    told_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE holdings (
    blob BLOB NOT NULL,
    device BLOB NOT NULL REFERENCES devices,
    PRIMARY KEY (blob, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX holdings_by_device ON holdings (device);

-- reserved: held of the publisher's deposit until it is settled. signed_bytes: what the consumer's last receipt says.
CREATE TABLE deliveries (
    delivery BLOB PRIMARY KEY,
    provider BLOB NOT NULL REFERENCES devices,
    consumer BLOB NOT NULL REFERENCES devices,
    blob BLOB NOT NULL,
    job BLOB NOT NULL REFERENCES jobs,
    reserved TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    signed_bytes INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('open', 'settled')),
    lease BLOB NOT NULL,
    receipt BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_open_by_provider ON deliveries (provider) WHERE state = 'open';
CREATE INDEX deliveries_by_consumer ON deliveries (consumer, granted_at);
CREATE INDEX deliveries_due ON deliveries (expires_at) WHERE state = 'open';
