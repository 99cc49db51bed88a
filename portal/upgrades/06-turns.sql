-- v5 -> v6 (compatible with v3+): What changes no portal counts as no change, and transactions take turns
-- only: postgres until "end only"
DROP TRIGGER tgprovision_portal_changed ON tgprovision_portal;

-- As on SQLite, one transaction at a time changes portals or links: the one that has this
-- lock, which auth and portal share. It is taken before any row is locked, so that two
-- transactions can't wait for each other, whatever they change in whichever order.
CREATE FUNCTION tgprovision_portal_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	-- Until the transaction ends.
	PERFORM pg_advisory_xact_lock(hashtext('tgprovision_turn'));
	RETURN NULL;
END $$;
CREATE TRIGGER tgprovision_portal_turn BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON tgprovision_portal
	FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_portal_turn();

CREATE OR REPLACE FUNCTION tgprovision_portal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	changed boolean := true;
BEGIN
	IF TG_OP = 'INSERT' THEN
		changed := EXISTS (SELECT FROM new_rows);
	ELSIF TG_OP = 'UPDATE' THEN
		changed := EXISTS (SELECT * FROM new_rows EXCEPT SELECT * FROM old_rows);
	ELSIF TG_OP = 'DELETE' THEN
		changed := EXISTS (SELECT FROM old_rows);
	END IF;
	IF changed THEN
		UPDATE tgprovision_portal_change SET number=number+1;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER tgprovision_portal_inserted AFTER INSERT ON tgprovision_portal
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_portal_changed();
CREATE TRIGGER tgprovision_portal_updated AFTER UPDATE ON tgprovision_portal
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_portal_changed();
CREATE TRIGGER tgprovision_portal_deleted AFTER DELETE ON tgprovision_portal
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_portal_changed();
CREATE TRIGGER tgprovision_portal_truncated AFTER TRUNCATE ON tgprovision_portal
	FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_portal_changed();
-- end only postgres

-- only: sqlite until "end only"
DROP TRIGGER tgprovision_portal_updated;
CREATE TRIGGER tgprovision_portal_updated AFTER UPDATE ON tgprovision_portal
	WHEN (OLD.room_id, OLD.chat_id, OLD.receiver, OLD.title, OLD.about, OLD.username, OLD.megagroup)
		IS NOT (NEW.room_id, NEW.chat_id, NEW.receiver, NEW.title, NEW.about, NEW.username, NEW.megagroup)
	BEGIN UPDATE tgprovision_portal_change SET number=number+1; END;
-- end only sqlite
