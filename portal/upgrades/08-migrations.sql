-- v7 -> v8 (compatible with v3+): Portals are found by the basic group that their supergroup was
-- In the style of the Bot API, 0 for none.
ALTER TABLE tgprovision_portal ADD COLUMN migrated_from BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tgprovision_portal_migrated_from ON tgprovision_portal (migrated_from) WHERE migrated_from<>0;

-- only: sqlite until "end only"
DROP TRIGGER tgprovision_portal_updated;
CREATE TRIGGER tgprovision_portal_updated AFTER UPDATE ON tgprovision_portal
	WHEN (OLD.room_id, OLD.chat_id, OLD.receiver, OLD.title, OLD.about, OLD.username, OLD.megagroup, OLD.migrated_from)
		IS NOT (NEW.room_id, NEW.chat_id, NEW.receiver, NEW.title, NEW.about, NEW.username, NEW.megagroup, NEW.migrated_from)
	BEGIN UPDATE tgprovision_portal_change SET number=number+1; END;
-- end only sqlite
