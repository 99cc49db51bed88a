-- v1 -> v2: More of what a chat is, and the work that its changes promise
ALTER TABLE tgprovision_portal ADD COLUMN about TEXT NOT NULL DEFAULT '';
-- Without the @.
ALTER TABLE tgprovision_portal ADD COLUMN username TEXT NOT NULL DEFAULT '';
ALTER TABLE tgprovision_portal ADD COLUMN megagroup BOOLEAN NOT NULL DEFAULT false;

CREATE TABLE tgprovision_portal_task (
	id       TEXT   PRIMARY KEY,
	kind     TEXT   NOT NULL,
	data     TEXT   NOT NULL,
	attempts BIGINT NOT NULL,
	-- In milliseconds since 1970.
	due      BIGINT NOT NULL,
	-- When it was due before it was taken last: the order of tasks taken together.
	was_due  BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX tgprovision_portal_task_due ON tgprovision_portal_task (due, id);
