-- v4 -> v5 (compatible with v3+): Since when tasks are recorded, and tasks of one kind by when they are due
-- In milliseconds since 1970. 0 where a process of an older version recorded the task.
ALTER TABLE tgprovision_portal_task ADD COLUMN added BIGINT NOT NULL DEFAULT 0;

-- only: postgres until "end only"
UPDATE tgprovision_portal_task SET added=(extract(epoch FROM clock_timestamp())*1000)::BIGINT;
-- The order is that of bytes, as on SQLite, whatever the database's language.
ALTER TABLE tgprovision_portal_task ALTER COLUMN id TYPE TEXT COLLATE "C";
-- end only postgres

-- only: sqlite until "end only"
UPDATE tgprovision_portal_task SET added=CAST(strftime('%s', 'now') AS INTEGER)*1000;
-- end only sqlite

DROP INDEX tgprovision_portal_task_due;
CREATE INDEX tgprovision_portal_task_kind ON tgprovision_portal_task (kind, due, id);
