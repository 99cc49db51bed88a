-- v0 -> v1: Events that are limited over time
CREATE TABLE tgprovision_event (
	-- What may happen only so often. It names neither users nor phone numbers.
	key   TEXT   NOT NULL,
	-- Milliseconds since 1970.
	at    BIGINT NOT NULL,
	-- From then on the event counts for no limit.
	until BIGINT NOT NULL
);

CREATE INDEX tgprovision_event_key ON tgprovision_event (key, at);
CREATE INDEX tgprovision_event_until ON tgprovision_event (until);
