-- v2 -> v3 (compatible with v1+): What changes no link counts as no change, and transactions take turns
-- only: postgres until "end only"
DROP TRIGGER tgprovision_user_changed ON tgprovision_user;

-- As on SQLite, one transaction at a time changes portals or links: the one that has this
-- lock, which auth and portal share. It is taken before any row is locked, so that two
-- transactions can't wait for each other, whatever they change in whichever order.
CREATE FUNCTION tgprovision_user_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	-- Until the transaction ends.
	PERFORM pg_advisory_xact_lock(hashtext('tgprovision_turn'));
	RETURN NULL;
END $$;
CREATE TRIGGER tgprovision_user_turn BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON tgprovision_user
	FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_user_turn();

CREATE OR REPLACE FUNCTION tgprovision_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
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
		UPDATE tgprovision_user_change SET number=number+1;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER tgprovision_user_inserted AFTER INSERT ON tgprovision_user
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_user_changed();
CREATE TRIGGER tgprovision_user_updated AFTER UPDATE ON tgprovision_user
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_user_changed();
CREATE TRIGGER tgprovision_user_deleted AFTER DELETE ON tgprovision_user
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_user_changed();
CREATE TRIGGER tgprovision_user_truncated AFTER TRUNCATE ON tgprovision_user
	FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_user_changed();
-- end only postgres

-- only: sqlite until "end only"
DROP TRIGGER tgprovision_user_updated;
CREATE TRIGGER tgprovision_user_updated AFTER UPDATE ON tgprovision_user
	WHEN (OLD.user_id, OLD.telegram_id, OLD.displaced)
		IS NOT (NEW.user_id, NEW.telegram_id, NEW.displaced)
	BEGIN UPDATE tgprovision_user_change SET number=number+1; END;
-- end only sqlite
